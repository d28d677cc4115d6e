package template_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/template"
)

const endpoint = "http://127.0.0.1:4566"

func TestTheGoldenTemplateIsReadWhole(t *testing.T) {
	data, err := os.ReadFile("../../infra/template/bedrock-batch.template.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := template.Read(data, endpoint)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Buckets) != 2 || len(s.Functions) != 2 || len(s.Mappings) != 2 || len(s.Rules) < 3 || len(s.Topics) != 2 || len(s.Roles) != 3 {
		t.Errorf("got %d buckets, %d functions, %d mappings, %d rules, %d topics, %d roles",
			len(s.Buckets), len(s.Functions), len(s.Mappings), len(s.Rules), len(s.Topics), len(s.Roles))
	}
	for _, b := range s.Buckets {
		if b.Name == s.Outputs["InputBucket"] && (!b.Versioned || len(b.Notifications) != 1 || b.Policy == nil) {
			t.Errorf("input bucket: %+v", b)
		}
		if _, err := access.ParsePolicy(b.Policy, access.ResourcePolicy); err != nil {
			t.Errorf("bucket %s: %v", b.Name, err)
		}
	}
	for _, q := range s.Queues {
		if _, err := access.ParsePolicy(q.Policy, access.ResourcePolicy); err != nil {
			t.Errorf("queue %s: %v", q.Name, err)
		}
		if !strings.HasPrefix(q.URL, endpoint+"/123456789012/") {
			t.Errorf("queue URL %s", q.URL)
		}
	}
	names := map[string]bool{}
	for _, a := range s.Alarms {
		names[a.Name] = a.Threshold > 0 && a.Period > 0 && len(a.Dimensions) == 1 && a.Dimensions[0].Value != "" && len(a.AlarmActions) == 1
	}
	for _, want := range []string{"uploads-dead-filled", "submit-slow", "jobs-failed", "spend-high"} {
		if !names["bedrock-batch-dev-"+want] {
			t.Errorf("alarm %s: %+v", want, s.Alarms)
		}
	}
	if len(s.LogGroups) != 2 || s.LogGroups[0].Days == 0 {
		t.Errorf("log groups: %+v", s.LogGroups)
	}
	authority := access.NewAuthority(access.Config{})
	for _, r := range s.Roles {
		if _, err := authority.AddRole(access.Role{Name: r.Name, ARN: r.ARN, Trust: r.Trust, Policies: r.Policies}); err != nil {
			t.Error(err)
		}
	}
	for _, f := range s.Functions {
		if f.Code == "" || f.Environment["BB_OUTPUT_BUCKET"] != s.Outputs["OutputBucket"] || !json.Valid([]byte(f.Environment["BB_SETTINGS"])) {
			t.Errorf("function %+v", f)
		}
		if _, ok := authority.Role(f.RoleARN); !ok {
			t.Errorf("function %s: no role %s", f.Name, f.RoleARN)
		}
	}
}

func TestWhatIsNotSupportedIsNamed(t *testing.T) {
	resource := func(kind, properties string) string {
		return `{"Resources":{"Thing":{"Type":"` + kind + `","Properties":` + properties + `}}}`
	}
	cases := []struct{ name, template, want string }{
		{"an alarm on expressions", resource("AWS::CloudWatch::Alarm", `{"AlarmName":"a","Metrics":[]}`), "Metrics"},
		{"an alarm on a percentile", resource("AWS::CloudWatch::Alarm", `{"AlarmName":"a","ExtendedStatistic":"p99"}`), "ExtendedStatistic"},
		{"an alarm without a threshold", resource("AWS::CloudWatch::Alarm", `{"AlarmName":"a","MetricName":"m"}`), "Threshold"},
		{"a resource type", resource("AWS::DynamoDB::Table", `{}`), "resource Thing (AWS::DynamoDB::Table): resource type AWS::DynamoDB::Table is not supported"},
		{"a property", resource("AWS::SQS::Queue", `{"FifoQueue":true}`), `"FifoQueue"`},
		{"a property within a property", resource("AWS::S3::Bucket", `{"NotificationConfiguration":{"LambdaConfigurations":[]}}`), `"LambdaConfigurations"`},
		{"an intrinsic function", resource("AWS::SQS::Queue", `{"QueueName":{"Fn::Select":[0,["a"]]}}`), "Fn::Select"},
		{"an intrinsic function deep within", resource("AWS::SQS::Queue", `{"RedrivePolicy":{"deadLetterTargetArn":{"Fn::ImportValue":"x"}}}`), "RedrivePolicy: deadLetterTargetArn: intrinsic function Fn::ImportValue"},
		{"a reference to nothing", resource("AWS::SQS::Queue", `{"QueueName":{"Ref":"Nobody"}}`), "Ref Nobody"},
		{"an attribute", resource("AWS::SQS::Queue", `{"RedrivePolicy":{"deadLetterTargetArn":{"Fn::GetAtt":["Thing","Size"]}}}`), "Fn::GetAtt Thing.Size"},
		{"a pseudo parameter", resource("AWS::SQS::Queue", `{"QueueName":{"Fn::Sub":"${AWS::NotificationARNs}"}}`), "AWS::NotificationARNs"},
		{"a name that depends on itself", resource("AWS::SQS::Queue", `{"QueueName":{"Fn::GetAtt":["Thing","QueueName"]}}`), "depends on itself"},
		{"a section", `{"Conditions":{},"Resources":{"Q":{"Type":"AWS::SQS::Queue"}}}`, `"Conditions"`},
		{"a dependency on nothing", `{"Resources":{"Q":{"Type":"AWS::SQS::Queue","DependsOn":"Nobody"}}}`, "no resource Nobody"},
		{"a policy of nothing", resource("AWS::S3::BucketPolicy", `{"Bucket":"b","PolicyDocument":{}}`), "the bucket b, which the template does not declare"},
		{"a runtime", resource("AWS::Lambda::Function", `{"Runtime":"python3.13","Code":{"S3Bucket":"b","S3Key":"f.zip"}}`), `"python3.13"`},
		{"an event bus", resource("AWS::Events::Rule", `{"EventBusName":"own"}`), `"own"`},
		{"a number that is none", resource("AWS::SQS::Queue", `{"DelaySeconds":"soon"}`), `"soon" is not a whole number`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := template.Read([]byte(c.template), endpoint)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	_, err := template.Read([]byte(`{"Resources":{"A":{"Type":"AWS::X::Y"},"B":{"Type":"AWS::SQS::Queue","Properties":{"Nope":1}}}}`), endpoint)
	if err == nil || !strings.Contains(err.Error(), "resource A") || !strings.Contains(err.Error(), "resource B") {
		t.Fatal(err)
	}
}

func TestIntrinsicFunctionsGiveWhatTheCloudGives(t *testing.T) {
	const resources = `"Resources":{
		"Q":{"Type":"AWS::SQS::Queue","Properties":{"QueueName":"q"}},
		"U":{"Type":"AWS::SQS::Queue"},
		"T":{"Type":"AWS::SNS::Topic","Properties":{"TopicName":"t"}},
		"B":{"Type":"AWS::S3::Bucket","Properties":{"BucketName":{"Fn::Sub":"in-${AWS::AccountId}"},"Tags":{"Ref":"AWS::NoValue"}}},
		"L":{"Type":"AWS::Logs::LogGroup","Properties":{"LogGroupName":"/l"}},
		"R":{"Type":"AWS::IAM::Role","Properties":{"AssumeRolePolicyDocument":{}}}}`
	cases := []struct{ name, value, want string }{
		{"Ref of a queue is its URL", `{"Ref":"Q"}`, endpoint + "/123456789012/q"},
		{"Ref of a topic is its ARN", `{"Ref":"T"}`, "arn:aws:sns:us-east-1:123456789012:t"},
		{"Ref of a bucket is its name", `{"Ref":"B"}`, "in-123456789012"},
		{"GetAtt of a bucket", `{"Fn::GetAtt":["B","Arn"]}`, "arn:aws:s3:::in-123456789012"},
		{"GetAtt as one text", `{"Fn::GetAtt":"Q.Arn"}`, "arn:aws:sqs:us-east-1:123456789012:q"},
		{"GetAtt of a log group ends in a star", `{"Fn::GetAtt":["L","Arn"]}`, "arn:aws:logs:us-east-1:123456789012:log-group:/l:*"},
		{"a resource without a name gets one", `{"Fn::GetAtt":["R","Arn"]}`, "arn:aws:iam::123456789012:role/local-R"},
		{"Join", `{"Fn::Join":["-",["a",{"Ref":"AWS::Region"},3]]}`, "a-us-east-1-3"},
		{"Sub with attributes and pseudo parameters", `{"Fn::Sub":"${Q.Arn}|${AWS::Partition}|${!Literal}"}`, "arn:aws:sqs:us-east-1:123456789012:q|aws|${Literal}"},
		{"Sub with names of its own", `{"Fn::Sub":["${x}",{"x":{"Ref":"B"}}]}`, "in-123456789012"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, err := template.Read([]byte(`{`+resources+`,"Outputs":{"O":{"Value":`+c.value+`}}}`), endpoint)
			if err != nil {
				t.Fatal(err)
			}
			if s.Outputs["O"] != c.want {
				t.Fatalf("got %s, want %s", s.Outputs["O"], c.want)
			}
		})
	}
}
