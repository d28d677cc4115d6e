package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// requested waits for the one notice on a request.
func (u *user) requested(name string) notice {
	u.t.Helper()
	var found []notice
	u.within(*patience, "notice on request "+name, func() string {
		if found = slices.DeleteFunc(u.said(), func(n notice) bool { return n.Request != name }); len(found) == 0 {
			return u.brief("")
		}
		return ""
	})
	return found[0]
}

// sendAs sends a message and returns the id that the queue gave it.
func (u *user) sendAs(body string) string {
	u.t.Helper()
	url := u.queue("uploads")
	out, err := u.sqs.SendMessage(u.t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body})
	if err != nil {
		u.t.Fatal(err)
	}
	return *out.MessageId
}

func inline(rows int, members string) string {
	text := strings.TrimSpace(string(prompts(rows)))
	return fmt.Sprintf(`{"bedrock-batch":1,"do":"request","prompts":[%s]%s}`, strings.ReplaceAll(text, "\n", ","), members)
}

// An application that may send messages to the uploads queue, and read what
// comes back, needs no file.
func TestAnApplicationAsksByMessage(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{flags: []string{"--set", quotas}})
	const mine = `,"workload":{"model":"us.amazon.nova-lite-v1:0","name":"mine"}`
	filtered := u.subscribe("blue", `{"team":["blue"]}`)
	for range 3 { // the answer to SendMessage may be lost
		u.sendAs(inline(150, mine+`,"id":"order-7","attributes":{"team":"blue"}`))
	}
	few := u.sendAs(inline(3, mine))
	big := u.sendAs(`{"bedrock-batch":1,"do":"request","prompts":[{"id":1,"prompt":"` + strings.Repeat("<long> ", 140_000) + `"}]` + mine + `}`)
	u.settings("apps/", nova)
	version := u.drop("apps/_rows.jsonl", prompts(120))
	u.sendAs(fmt.Sprintf(`{"bedrock-batch":1,"do":"request","id":"object","s3Uri":"s3://%s/apps/_rows.jsonl","version":%q}`, u.input, version))
	u.sendAs(inline(3, `,"id":"wrong","workload":{"modell":"x"}`))
	for name, rows := range map[string]int64{"order-7": 150, few: 3, big: 1, "object": 120} {
		n := u.requested(name)
		if n.Status != "Completed" || n.Rows.Answered != rows || !strings.Contains(n.Results.Results, "/results/requests/"+name+"/") {
			t.Errorf("%s: %s", name, n.Raw)
			continue
		}
		if got := lines[result](u, n.Results.Results); int64(len(got)) != rows || !strings.Contains(got[0].Output, " ") {
			t.Errorf("%s: %d results", name, len(got))
		}
	}
	if n := u.requested("wrong"); n.Status != "Rejected" || !strings.Contains(n.Reason, `did you mean "model"?`) {
		t.Errorf("wrong: %s", n.Raw)
	}
	if blue, err := u.receive(t.Context(), filtered); err != nil || len(blue) != 1 || blue[0].Request != "order-7" {
		t.Errorf("%+v, %v", blue, err)
	}
	if n := len(u.said()); n != 5 {
		t.Errorf("%d notices: %+v", n, u.said())
	}
	u.ended()
}

func TestTheSampleRequestIsAnswered(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../events/request.json")
	if err != nil {
		t.Fatal(err)
	}
	var event struct{ Records []struct{ Body string } }
	if err := json.Unmarshal(data, &event); err != nil {
		t.Fatal(err)
	}
	u := begin(t, setup{})
	if n := u.requested(u.sendAs(event.Records[0].Body)); n.Status != "Completed" || n.Rows.Answered != 2 {
		t.Errorf("notice: %s", n.Raw)
	}
	u.ended()
}
