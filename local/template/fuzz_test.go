package template_test

import (
	"os"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/local/template"
)

func FuzzReadNeverPanics(f *testing.F) {
	golden, err := os.ReadFile("../../infra/template/bedrock-batch.template.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte(`{"Resources":{"Q":{"Type":"AWS::SQS::Queue","Properties":{"QueueName":{"Fn::Sub":["${a}",{"a":{"Ref":"Q"}}]}}}}}`))
	f.Add([]byte(`{"Resources":{"Q":{"Type":"AWS::SQS::Queue","Properties":{"Tags":{"Fn::Join":["",[{"Ref":"AWS::NoValue"}]]}}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := template.Read(data, endpoint)
		if (s == nil) == (err == nil) {
			t.Fatalf("stack %v and error %v", s, err)
		}
	})
}
