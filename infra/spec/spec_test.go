package spec_test

import (
	"os"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/infra/spec"
)

func TestTheTemplateIsWhatTheSpecificationKnows(t *testing.T) {
	s, err := spec.Read()
	if err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile("../template/bedrock-batch.template.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(template); err != nil {
		t.Error(err)
	}
}

func TestTheExtractIsOfThePinnedSpecification(t *testing.T) {
	s, err := spec.Read()
	if err != nil {
		t.Fatal(err)
	}
	pinned, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	version := s.Source["@aws-cdk/aws-service-spec"]
	if version == "" || !strings.Contains(string(pinned), `"@aws-cdk/aws-service-spec": "`+version+`"`) {
		t.Errorf("resources.json is of %v, package.json pins another: run extract.mjs", s.Source)
	}
}

func TestWhatTheSpecificationDoesNotKnowIsFound(t *testing.T) {
	s, err := spec.Read()
	if err != nil {
		t.Fatal(err)
	}
	resource := func(kind, properties string) string {
		return `{"Resources":{"X":{"Type":"` + kind + `","Properties":` + properties + `}}}`
	}
	for _, c := range []struct{ name, template, says string }{
		{"a type", resource("AWS::EC2::Instance", `{}`), "X: type AWS::EC2::Instance"},
		{"a member", resource("AWS::SQS::Queue", `{"QueueNames":"q"}`), "X has no member QueueNames"},
		{"a member deep down", resource("AWS::S3::Bucket", `{"NotificationConfiguration":{"QueueConfigurations":[{"Event":"e","Queue":"q","Filters":{}}]}}`),
			"X.NotificationConfiguration.QueueConfigurations[0] has no member Filters"},
		{"a required member that is missing", resource("AWS::Lambda::Function", `{"Code":{}}`), "X has no Role, which must be there"},
		{"a required member that is missing deep down", resource("AWS::S3::Bucket", `{"NotificationConfiguration":{"QueueConfigurations":[{"Event":"e"}]}}`), "[0] has no Queue"},
		{"a text for a number", resource("AWS::SQS::Queue", `{"VisibilityTimeout":"30"}`), "X.VisibilityTimeout is 30, must be a number"},
		{"half a number", resource("AWS::SQS::Queue", `{"VisibilityTimeout":1.5}`), "must be a number (integer)"},
		{"a value of no enumeration", resource("AWS::Lambda::Function", `{"Role":"r","Code":{},"RecursiveLoop":"Sometimes"}`), "X.RecursiveLoop is Sometimes, must be one of [Allow Terminate]"},
		{"an object for a list", resource("AWS::SQS::Queue", `{"Tags":{"a":"b"}}`), "X.Tags is"},
		{"an attribute", `{"Resources":{"X":{"Type":"AWS::SQS::Queue"}},"Outputs":{"O":{"Value":{"Fn::GetAtt":["X","Name"]}}}}`, "a AWS::SQS::Queue has no such attribute"},
		{"nothing", `{}`, "no resources"},
		{"what is right", resource("AWS::SQS::Queue", `{"QueueName":{"Ref":"Y"},"VisibilityTimeout":30,"RedrivePolicy":{"maxReceiveCount":5},"Tags":[{"Key":"a","Value":"b"}]}`), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := s.Check([]byte(c.template))
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}
