package main

import (
	"fmt"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/bedrock"
	"github.com/bedrock-batch/bedrock-batch/local/cloudformation"
	"github.com/bedrock-batch/bedrock-batch/local/cloudwatch"
	"github.com/bedrock-batch/bedrock-batch/local/events"
	"github.com/bedrock-batch/bedrock-batch/local/events/pattern"
	"github.com/bedrock-batch/bedrock-batch/local/iam"
	"github.com/bedrock-batch/bedrock-batch/local/lambda"
	"github.com/bedrock-batch/bedrock-batch/local/logs"
	"github.com/bedrock-batch/bedrock-batch/local/quotas"
	"github.com/bedrock-batch/bedrock-batch/local/sns"
	"github.com/bedrock-batch/bedrock-batch/local/sqs"
	"github.com/bedrock-batch/bedrock-batch/local/sts"
	"github.com/bedrock-batch/bedrock-batch/local/template"
)

// api is a service with the operations of its router.
type api struct {
	name       string
	operations []string
}

func apis() []api {
	return []api{
		{"SQS", sqs.Operations()}, {"SNS", sns.Operations()}, {"EventBridge", events.Operations()},
		{"Lambda", lambda.Operations()}, {"Bedrock", bedrock.Operations()}, {"CloudFormation", cloudformation.Operations()},
		{"CloudWatch", cloudwatch.Operations()}, {"CloudWatch Logs", logs.Operations()},
		{"IAM", iam.Operations()}, {"STS", sts.Operations()}, {"Service Quotas", quotas.Operations()},
	}
}

// operations is the table of the operations that the routers know, as
// README.md and SUPPORTED.md have it.
func operations() string {
	var b strings.Builder
	b.WriteString("| service | operations |\n| --- | --- |\n")
	for _, s := range apis() {
		fmt.Fprintf(&b, "| %s | %s |\n", s.name, strings.Join(s.operations, ", "))
	}
	b.WriteString("| S3 | objects, versions, multipart uploads, copies, listings and batch deletes as versitygw has them; " +
		"buckets, policies and notifications come from the template |\n")
	return b.String()
}

// supported is the list of what the services understand, made from their code.
func supported() string {
	var b strings.Builder
	b.WriteString("# What the local services understand\n\n" +
		"Made from the code by `go test ./cmd/local -update`; `local --supported` prints it. Whatever is not here is refused by name.\n\n" +
		"## API operations\n\n")
	b.WriteString(operations())
	b.WriteString("\n## Template\n\n")
	b.WriteString(template.Supported())
	b.WriteString("\nIntrinsic functions: Ref, Fn::GetAtt, Fn::Join, Fn::Sub.\n\n## Policies\n\n")
	fmt.Fprintf(&b, "Condition operators (with ForAnyValue:, ForAllValues: and IfExists): Null, %s.\n\nCondition keys: %s.\n\n",
		strings.Join(access.Operators(), ", "), strings.Join(access.ConditionKeys(), ", "))
	fmt.Fprintf(&b, "## Event patterns\n\nOperators: %s.\n", strings.Join(pattern.Operators(), ", "))
	return b.String()
}
