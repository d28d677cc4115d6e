package bedrockbatch_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/awstest"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch/doctor"
)

// The services evaluate every statement of the template: a right too few, and
// the job fails.
func TestTheTemplateOfASetUpIsEnoughForARun(t *testing.T) {
	const profile = "us.amazon.nova-lite-v1:0"
	setup := bedrockbatch.Setup{Bucket: "my-runs", Role: "arn:aws:iam::123456789012:role/my-jobs", Region: "us-east-1", Models: []string{profile}}
	text, err := setup.Template()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "runs.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	services, end, err := awstest.FromTemplate(dir, file, "--job-time", "1s")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if said, err := end(); err != nil {
			t.Error(err, said)
		}
	}()
	for name, value := range services.Env {
		t.Setenv(name, value)
	}
	backoff := bedrockbatch.DefaultBackoff()
	backoff.Poll = bedrockbatch.Delay{First: 100 * time.Millisecond, Longest: time.Second}
	client, err := bedrockbatch.New(t.Context(), bedrockbatch.Options{Bucket: setup.Bucket, Role: setup.Role, Backoff: &backoff, LockDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	_, o, err := client.Process(t.Context(), bedrockbatch.Spec{Model: profile}, bedrockbatch.Prompts(prompts(120)...), nil)
	if err != nil || o.Rows.Answered != 120 || len(o.Jobs) != 1 {
		t.Fatalf("%v %+v", err, o)
	}
	for _, f := range doctor.New(services.Config(t)).Check(t.Context(), setup) {
		if f.State != doctor.Fine && f.Check != "encryption" {
			t.Errorf("%+v", f)
		}
	}
	setup.Key = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
	found := doctor.New(services.Config(t)).Rights(t.Context(), setup)
	if len(found) != 1 || !strings.Contains(found[0].Fix, `"kms:Decrypt","kms:GenerateDataKey"`) {
		t.Errorf("a key that the role may not use: %+v", found)
	}
}

func TestASetUpIsNarrowAndSaysWhatIsMissing(t *testing.T) {
	full := bedrockbatch.Setup{Bucket: "b", Prefix: "p/", Role: "arn:aws-us-gov:iam::123456789012:role/jobs", Region: "us-gov-west-1",
		Models: []string{"us-gov.anthropic.claude-3-haiku-20240307-v1:0", "amazon.nova-lite-v1:0"}, Key: "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/k"}
	p, err := full.Policies()
	if err != nil {
		t.Fatal(err)
	}
	for _, policy := range []bedrockbatch.Policy{p.Trust, p.Role, p.Caller, p.Bucket} {
		for _, s := range policy.Statement {
			for _, action := range s.Action {
				if strings.Contains(action, "*") && s.Effect == "Allow" {
					t.Errorf("%s allows %s", s.Sid, action)
				}
			}
			for _, resource := range s.Resource {
				if resource == "*" && s.Sid != "ListJobs" || resource != "*" && !strings.HasPrefix(resource, "arn:aws-us-gov:") {
					t.Errorf("%s is about %s", s.Sid, resource)
				}
			}
		}
	}
	for want, text := range map[string]string{
		"a key": p.Role.String(), "another key": p.Caller.String(),
	} {
		if !strings.Contains(text, "kms:GenerateDataKey") {
			t.Errorf("%s: %s", want, text)
		}
	}
	_, err = bedrockbatch.Setup{Role: "jobs", Models: []string{"no model"}}.Policies()
	for _, want := range []string{"no bucket", `role "jobs"`, `region ""`, "no model"} {
		if !errors.Is(err, batch.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
