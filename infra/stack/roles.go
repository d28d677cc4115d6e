package stack

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"github.com/bedrock-batch/bedrock-batch/infra/stage"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
)

const bedrockService = "bedrock.amazonaws.com"

// state are the folders of the output bucket that submissions live in.
var state = []string{
	config.Submissions, config.Staged, config.Open, config.Waiting,
	config.Gather, config.Rounds, config.Taken, config.Control,
}

func (b *builder) addRoles() {
	b.jobRole = b.addJobRole()
	b.submitLogs = b.logGroup("LogSubmit", submitName)
	b.collectLogs = b.logGroup("LogCollect", collectName)
	b.submitRole = b.functionRole("RoleSubmit", submitName,
		"Accepts uploads, stages their records and starts jobs; may not write results.",
		append(b.submitStatements(), writeLogs(b.submitLogs)))
	b.collectRole = b.functionRole("RoleCollect", collectName,
		"Gathers answers, writes results and publishes notices; may not start jobs.",
		append(b.collectStatements(), writeLogs(b.collectLogs)))
}

// addJobRole is what Bedrock assumes to run a job: it reads parts, writes
// their outputs and calls the models behind inference profiles.
func (b *builder) addJobRole() awsiam.Role {
	statements := []statement{
		{sid: "ReadParts", actions: []string{"s3:GetObject"}, resources: b.inOutput(config.JobInputs)},
		{sid: "WriteOutputs", actions: []string{"s3:PutObject"}, resources: b.inOutput(config.JobOutputs)},
		{sid: "ListStaged", actions: []string{"s3:ListBucket"}, resources: []*string{b.output.BucketArn()},
			conditions: map[string]any{"StringLike": map[string]any{"s3:prefix": []string{config.Staged + "*"}}}},
	}
	if profiles := modelARNs(b.settings.Resources(), true); len(profiles) > 0 {
		statements = append(statements, statement{sid: "CallProfiles", actions: []string{"bedrock:InvokeModel"}, resources: profiles})
	}
	if b.settings.VPC.Jobs {
		statements = append(statements, b.jobNetwork()...)
	}
	statements = append(statements, b.keyStatements()...)
	return awsiam.NewRole(b.stack, jsii.String("RoleJob"), &awsiam.RoleProps{
		Description: jsii.String("Bedrock runs this deployment's batch jobs as this role."),
		AssumedBy: awsiam.NewServicePrincipal(jsii.String(bedrockService), &awsiam.ServicePrincipalOpts{
			Conditions: conditions(from(jobARNs())),
		}),
		InlinePolicies: &map[string]awsiam.PolicyDocument{"job": document(statements...)},
	})
}

func (b *builder) functionRole(id, name, description string, statements []statement) awsiam.Role {
	if b.settings.Tracing {
		// These actions know no resources.
		statements = append(statements, statement{sid: "SendTraces",
			actions: []string{"xray:PutTraceSegments", "xray:PutTelemetryRecords"}, resources: []*string{jsii.String("*")}})
	}
	if len(b.settings.VPC.Subnets) > 0 {
		// Lambda itself makes the function's network interfaces as this role;
		// it asks for these on everything.
		statements = append(statements, statement{sid: "JoinNetwork", resources: []*string{jsii.String("*")}, actions: []string{
			"ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface",
			"ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"}})
	}
	statements = append(statements, b.keyStatements()...)
	return awsiam.NewRole(b.stack, jsii.String(id), &awsiam.RoleProps{
		Description:    jsii.String(description),
		AssumedBy:      awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil),
		InlinePolicies: &map[string]awsiam.PolicyDocument{name: document(statements...)},
	})
}

func writeLogs(group awslogs.LogGroup) statement {
	return statement{sid: "WriteLogs", actions: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, resources: []*string{group.LogGroupArn()}}
}

// submitStatements: only this function creates and stops jobs and calls
// models.
func (b *builder) submitStatements() []statement {
	models := modelARNs(b.settings.Resources(), false)
	return append(append(b.commonStatements(b.uploads), b.lookBehind()...),
		statement{sid: "ReadState", actions: []string{"s3:GetObject"}, resources: b.inOutput(append(below(state...), config.Known+"*")...)},
		statement{sid: "WriteState", actions: []string{"s3:PutObject"}, resources: b.inOutput(append(below(state...), config.Results+"*/progress.json")...)},
		statement{sid: "RemoveMarkers", actions: []string{"s3:DeleteObject"}, resources: b.inOutput(below(config.Waiting, config.Gather)...)},
		statement{sid: "GiveUpParts", actions: []string{"s3:AbortMultipartUpload"}, resources: b.inOutput(below(config.Staged)...)},
		statement{sid: "ManageJobs", resources: []*string{jobARNs()}, actions: []string{
			"bedrock:CreateModelInvocationJob", "bedrock:StopModelInvocationJob", "bedrock:TagResource"}},
		// Listing knows no resources, so nothing narrower can be said.
		statement{sid: "ListJobs", actions: []string{"bedrock:ListModelInvocationJobs"}, resources: []*string{jsii.String("*")}},
		// Creating a job needs the model beside the job.
		statement{sid: "UseModels", actions: []string{"bedrock:CreateModelInvocationJob", "bedrock:InvokeModel"}, resources: models},
		statement{sid: "PassJobRole", actions: []string{"iam:PassRole"}, resources: []*string{b.jobRole.RoleArn()},
			conditions: map[string]any{"StringEquals": map[string]any{"iam:PassedToService": bedrockService}}},
	)
}

// lookBehind lets submit find the base model of models whose id does not tell:
// quotas and prices are the base model's.
func (b *builder) lookBehind() []statement {
	var statements []statement
	for _, look := range []struct {
		sid, action string
		kind        model.Resource
	}{
		{"LookBehindProfiles", "bedrock:GetInferenceProfile", model.ApplicationProfile},
		{"LookBehindCustomModels", "bedrock:GetCustomModel", model.CustomModel},
	} {
		var these []stage.Resource
		for _, r := range b.settings.Resources() {
			if strings.Contains(":"+r.ARN, ":"+string(look.kind)+"/") || strings.HasPrefix(r.Path, string(look.kind)+"/") {
				these = append(these, r)
			}
		}
		if len(these) > 0 {
			statements = append(statements, statement{sid: look.sid, actions: []string{look.action}, resources: modelARNs(these, false)})
		}
	}
	return statements
}

// collectStatements: only this function writes results and publishes.
func (b *builder) collectStatements() []statement {
	read := []string{config.Submissions, config.Staged, config.Rounds, config.Results}
	write := []string{config.Submissions, config.Staged, config.Waiting, config.Known, config.Results}
	give := []string{config.Staged, config.Known, config.Results}
	if b.settings.Warehouse.Enabled {
		write, give = append(write, config.Warehouse), append(give, config.Warehouse)
	}
	return append(b.commonStatements(b.jobs),
		statement{sid: "ReadState", actions: []string{"s3:GetObject"}, resources: b.inOutput(below(read...)...)},
		statement{sid: "WriteState", actions: []string{"s3:PutObject"}, resources: b.inOutput(below(write...)...)},
		statement{sid: "RemoveState", actions: []string{"s3:DeleteObject"}, resources: b.inOutput(below(config.Staged, config.Open, config.Waiting)...)},
		statement{sid: "GiveUpFiles", actions: []string{"s3:AbortMultipartUpload"}, resources: b.inOutput(below(give...)...)},
		statement{sid: "ReadJobs", actions: []string{"bedrock:GetModelInvocationJob"}, resources: []*string{jobARNs()}},
		statement{sid: "PublishNotices", actions: []string{"sns:Publish"}, resources: []*string{b.topic.TopicArn()}},
	)
}

// commonStatements are what both functions need: uploads by version, their
// own queue, and messages to both. Listing the buckets is what makes S3 say
// "not there" rather than "not allowed".
func (b *builder) commonStatements(own queue) []statement {
	return []statement{
		{sid: "ReadUploads", actions: []string{"s3:GetObject", "s3:GetObjectVersion"}, resources: []*string{b.input.ArnForObjects(jsii.String("*"))}},
		{sid: "ListBuckets", actions: []string{"s3:ListBucket"}, resources: []*string{b.input.BucketArn(), b.output.BucketArn()}},
		{sid: "SendMessages", actions: []string{"sqs:SendMessage"}, resources: []*string{b.uploads.QueueArn(), b.jobs.QueueArn()}},
		{sid: "TakeMessages", actions: []string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}, resources: []*string{own.QueueArn()}},
	}
}

// inOutput are the ARNs of patterns of the output bucket's keys.
func (b *builder) inOutput(patterns ...string) []*string {
	arns := make([]*string, len(patterns))
	for i, p := range patterns {
		arns[i] = b.output.ArnForObjects(jsii.String(p))
	}
	return arns
}

func below(folders ...string) []string {
	patterns := make([]string, len(folders))
	for i, f := range folders {
		patterns[i] = f + "*"
	}
	return patterns
}

// modelARNs writes a stage's models as ARNs, all or only those of profiles.
func modelARNs(resources []stage.Resource, profilesOnly bool) []*string {
	var arns []*string
	for _, r := range resources {
		if profilesOnly && !r.Profile {
			continue
		}
		region, account := "${AWS::Region}", ""
		if r.AnyRegion {
			region = "*"
		}
		if r.Account {
			account = "${AWS::AccountId}"
		}
		if r.ARN != "" {
			arns = append(arns, jsii.String(r.ARN))
			continue
		}
		arns = append(arns, arn("bedrock", region+":"+account, r.Path))
	}
	return arns
}

func conditions(c map[string]any) *map[string]any { return &c }

func camel(env string) string {
	var b strings.Builder
	for _, word := range strings.Split(strings.TrimPrefix(env, "BB_"), "_") {
		b.WriteString(word[:1] + strings.ToLower(word[1:]))
	}
	return b.String()
}
