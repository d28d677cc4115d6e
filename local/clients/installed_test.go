//go:build installed

package clients_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// make clients runs these with whatever is installed; make test does not, for
// machines differ.

func TestInstalledClientsAgree(t *testing.T) {
	python, cli := exec.Command("python3", "-c", "import boto3; print(boto3.__version__)"), exec.Command("aws", "--version")
	version, noPython := python.Output()
	words, noCLI := cli.Output()
	if noPython != nil && noCLI != nil {
		t.Fatalf("neither Python's boto3 nor the AWS CLI is installed (on Debian: apt-get install python3-boto3 awscli): %v", errors.Join(noPython, noCLI))
	}
	environment := append(os.Environ(), serve(t)...)
	if noPython != nil {
		t.Logf("boto3 is not installed: %v", noPython)
	} else {
		t.Logf("boto3 %s", version)
		t.Run("boto3", func(t *testing.T) {
			suite := exec.CommandContext(t.Context(), "python3", "other/boto.py")
			suite.Env = environment
			ask(t, suite, 6)
		})
	}
	if noCLI != nil {
		t.Logf("the AWS CLI is not installed: %v", noCLI)
		return
	}
	t.Logf("%s", words)
	t.Run("awscli", func(t *testing.T) { askCLI(t, environment) })
}

// askCLI runs command lines one after the other; $NAME is a variable of the
// env file, FILE and BACK are files.
func askCLI(t *testing.T, environment []string) {
	variables := map[string]string{}
	for _, v := range environment {
		name, value, _ := strings.Cut(v, "=")
		variables[name] = value
	}
	dir := t.TempDir()
	variables["FILE"], variables["BACK"] = filepath.Join(dir, "file"), filepath.Join(dir, "back")
	if err := os.WriteFile(variables["FILE"], []byte(strings.Repeat("a line\n", 2<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, line, want string }{
		{"a large file goes up", "s3 cp $FILE s3://$BB_BUCKET/cli/file", "upload:"},
		{"a folder is listed", "s3 ls s3://$BB_BUCKET/cli/", "14680064 file"},
		{"and comes back", "s3 cp s3://$BB_BUCKET/cli/file $BACK", "download:"},
		{"alarms are described", "cloudwatch describe-alarms --alarm-names clients-errors --query MetricAlarms[0].Threshold", "1"},
		{"log groups are described", "logs describe-log-groups --log-group-name-prefix /aws/lambda/ --query logGroups[0].logGroupName --output text", "/aws/lambda/clients-echo"},
		{"buckets are listed", "s3 ls", "clients-versions"},
		{"an object is described", "s3api head-object --bucket $BB_BUCKET --key cli/file", `"ContentLength": 14680064`},
		{"a folder is removed", "s3 rm --recursive s3://$BB_BUCKET/cli/", "delete:"},
		{"a message is sent", "sqs send-message --queue-url $BB_QUEUE_URL --message-body hello", `"MessageId"`},
		{"and received", "sqs receive-message --queue-url $BB_QUEUE_URL", `"Body": "hello"`},
		{"a notice is published", "sns publish --topic-arn $BB_TOPIC_ARN --message hello", `"MessageId"`},
		{"topics are listed", "sns list-topics", "$BB_TOPIC_ARN"},
		{"a function answers", "lambda invoke --function-name $BB_FUNCTION_NAME $BACK", `"StatusCode": 200`},
		{"the caller is known", "sts get-caller-identity", "user/developer"},
		{"the stack has outputs", "cloudformation describe-stacks --stack-name clients-stack", `"OutputKey": "QueueUrl"`},
		{"a role comes back", "iam get-role --role-name clients-job", "bedrock.amazonaws.com"},
	}
	if exec.Command("aws", "bedrock", "list-model-invocation-jobs", "help").Run() == nil {
		cases = append(cases, struct{ name, line, want string }{"jobs are listed", "bedrock list-model-invocation-jobs", "invocationJobSummaries"})
	} else {
		t.Log("this AWS CLI does not know Bedrock")
	}
	expand := func(s string) string { return os.Expand(s, func(name string) string { return variables[name] }) }
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"--endpoint-url", variables["AWS_ENDPOINT_URL"], "--output", "json"}
			for _, word := range strings.Fields(c.line) {
				args = append(args, expand(word))
			}
			cmd := exec.CommandContext(t.Context(), "aws", args...)
			cmd.Env = append(environment, "AWS_PAGER=")
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), expand(c.want)) {
				t.Fatalf("aws %s: %v, want %s in\n%s", strings.Join(args, " "), err, expand(c.want), out)
			}
		})
	}
}
