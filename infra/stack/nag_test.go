package stack_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"

	"github.com/bedrock-batch/bedrock-batch/infra/app"
	"github.com/bedrock-batch/bedrock-batch/infra/stack"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

// exception is a finding of the rules that we know and stand by. A … in the
// finding stands for any text: which models a stage lists is its own affair.
type exception struct{ finding, at, reason string }

// wildcard is the finding of a resource that holds a *.
func wildcard(resource string) string { return "AwsSolutions-IAM5[Resource::" + resource + "]" }

func exceptions() []exception {
	out := func(keys string) string { return wildcard("<BucketOutput.Arn>/" + keys) }
	const jobs = "arn:<AWS::Partition>:bedrock:<AWS::Region>:<AWS::AccountId>:model-invocation-job/*"
	const behind = "arn:<AWS::Partition>:bedrock:*::foundation-model/…"
	all := []exception{
		{"AwsSolutions-S1", "BucketInput", "access logs cost storage and need a bucket of the account: the setting access_logs names it"},
		{"AwsSolutions-S1", "BucketOutput", "as for the input bucket"},
		{"AwsSolutions-SQS3", "QueueUndelivered", "it is the dead letter queue of the rules' targets, which the rule does not see"},
		{wildcard("<BucketInput.Arn>/*"), "RoleSubmit", "users choose the keys of their uploads"},
		{wildcard("<BucketInput.Arn>/*"), "RoleCollect", "results are joined with the upload's own rows"},
		{out("results/*/progress.json"), "RoleSubmit", "progress stands beside the results, whose folder is named after the upload"},
		{out(config.JobInputs), "RoleJob", "each submission has a folder of its own"},
		{out(config.JobOutputs), "RoleJob", "each submission has a folder of its own"},
		{wildcard(jobs), "RoleSubmit", "jobs get their ids from the service"},
		{wildcard(jobs), "RoleCollect", "jobs get their ids from the service"},
		{wildcard("*"), "RoleSubmit", "listing jobs is an action without resources"},
		{wildcard(behind), "RoleSubmit", "the service chooses the region that a profile's model runs in"},
		{wildcard(behind), "RoleJob", "the service chooses the region that a profile's model runs in"},
	}
	for _, folder := range []string{config.Submissions, config.Staged, config.Open, config.Waiting, config.Gather, config.Rounds, config.Taken, config.Known, config.Control} {
		all = append(all, exception{out(folder + "*"), "RoleSubmit", "a folder of the pipeline's own state"})
	}
	for _, folder := range []string{config.Submissions, config.Staged, config.Open, config.Waiting, config.Rounds, config.Known, config.Results, config.Warehouse} {
		all = append(all, exception{out(folder + "*"), "RoleCollect", "a folder of the pipeline's own state or of results"})
	}
	return all
}

func (e exception) covers(finding, at string) bool {
	before, after, open := strings.Cut(e.finding, "…")
	return e.at == at && (finding == e.finding || open && strings.HasPrefix(finding, before) && strings.HasSuffix(finding, after))
}

// findings runs the rules over the golden stage and gives, for each finding,
// where it was made.
func findings(t *testing.T) map[string][]string {
	t.Helper()
	out := t.TempDir()
	// Without this the first finding would end synth with a panic.
	a, err := app.New(root, out, map[string]any{"@aws-cdk/core:annotationsInValidationReport": false})
	if err != nil {
		t.Fatal(err)
	}
	s := dev(t)
	if _, err := stack.New(a, stack.Props{Settings: s, Dist: binaries(t)}); err != nil {
		t.Fatal(err)
	}
	awscdk.Aspects_Of(a).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{Reports: jsii.Bool(false)}), nil)
	a.Synth(nil)

	data, err := os.ReadFile(filepath.Join(out, s.Prefix()+".metadata.json"))
	if err != nil {
		t.Fatal(err)
	}
	var metadata map[string][]struct {
		Type string
		Data any
	}
	if err := json.Unmarshal(data, &metadata); err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for path, entries := range metadata {
		at := strings.Split(strings.Trim(path, "/"), "/")
		for _, e := range entries {
			text, ok := e.Data.(string)
			if !ok || !strings.HasPrefix(text, "AwsSolutions-") && !strings.HasPrefix(text, "CdkNag") {
				continue
			}
			finding, _, _ := strings.Cut(text, ": ")
			found[finding] = append(found[finding], at[1])
		}
	}
	return found
}

func TestSecurityRulesFindNothingNew(t *testing.T) {
	found, allowed := findings(t), exceptions()
	if len(found) == 0 {
		t.Fatal("the rules found nothing at all, not even what is known: they did not run")
	}
	used := make([]bool, len(allowed))
	for _, finding := range slices.Sorted(maps.Keys(found)) {
		for _, at := range found[finding] {
			known := false
			for i, e := range allowed {
				if e.covers(finding, at) {
					known, used[i] = true, true
				}
			}
			if !known {
				t.Errorf("new: %s at %s: tighten the stack, or add an exception with its reason", finding, at)
			}
		}
	}
	for i, e := range allowed {
		if e.reason == "" {
			t.Errorf("%s at %s has no reason", e.finding, e.at)
		}
		if !used[i] {
			t.Errorf("stale: %s at %s is not found any more; take the exception out", e.finding, e.at)
		}
	}
}
