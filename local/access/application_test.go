package access_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// literal puts texts into the place of the template's references: queue for the
// uploads queue, anything for whatever else.
func literal(value any, queue string) any {
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i] = literal(v[i], queue)
		}
	case map[string]any:
		for key, below := range v {
			switch key {
			case "Fn::GetAtt":
				if of, ok := below.([]any); ok && of[0] == "QueueUploads" {
					return queue
				}
				return "arn:aws:sqs:us-east-1:123456789012:another"
			case "Fn::Sub", "Fn::Join":
				return "arn:aws:s3:::another"
			case "Ref":
				return "another"
			}
			v[key] = literal(below, queue)
		}
	}
	return value
}

// An application in the account needs one right of its own to send requests:
// the queue's policy in the template neither grants nor denies it more.
func TestAnApplicationSendsRequestsWithOneRight(t *testing.T) {
	const queue = "arn:aws:sqs:us-east-1:123456789012:bedrock-batch-dev-uploads"
	data, err := os.ReadFile("../../infra/template/bedrock-batch.template.json")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct {
			Type       string
			Properties struct {
				Queues         []map[string]string
				PolicyDocument any
			}
		}
	}
	if err := json.Unmarshal(data, &template); err != nil {
		t.Fatal(err)
	}
	var policy *access.Policy
	for name, r := range template.Resources {
		if r.Type != "AWS::SQS::QueuePolicy" || r.Properties.Queues[0]["Ref"] != "QueueUploads" {
			continue
		}
		text, err := json.Marshal(literal(r.Properties.PolicyDocument, queue))
		if err != nil {
			t.Fatal(err)
		}
		if policy, err = access.ParsePolicy(text, access.ResourcePolicy); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if policy == nil {
		t.Fatal("the uploads queue has no policy")
	}
	authority := access.NewAuthority(access.Config{Log: quiet()})
	application, err := authority.AddUser("application", map[string][]byte{"ask": document(`{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"` + queue + `"}`)})
	if err != nil {
		t.Fatal(err)
	}
	nobody, err := authority.AddUser("nobody", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who    *access.Principal
		action string
		secure bool
		want   bool
	}{
		{application, "sqs:SendMessage", true, true},
		{application, "sqs:SendMessage", false, false},
		{application, "sqs:ReceiveMessage", true, false},
		{application, "sqs:DeleteMessage", true, false},
		{nobody, "sqs:SendMessage", true, false},
	} {
		authority.SetSecureTransport(c.secure)
		if got := authority.Allows(access.Call{Principal: c.who, Action: c.action, Resource: queue, ResourcePolicy: policy}); got != c.want {
			t.Errorf("%s may %s (over TLS: %v): %v", c.who.Name, c.action, c.secure, got)
		}
	}
}
