package handler_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
)

func TestJobsCarryTheDeploymentsTagsBucketOwnerAndNetwork(t *testing.T) {
	w := handlertest.New(t, func(w *handlertest.World) {
		w.Settings.JobTags = map[string]string{"cost-center": "4711", "team": "everybody"}
		w.Settings.OutputOwner = "444455556666"
		w.Settings.JobSubnets, w.Settings.JobSecurityGroups = []string{"subnet-1"}, []string{"sg-1"}
	})
	w.Input.Set("reviews/workload.yaml", []byte(nova+"tags: {team: reviews}\n"))
	w.Input.Set("reviews/a.jsonl", prompts(120))
	w.Run()
	one(t, w)
	jobs := w.Bedrock.All()
	if len(jobs) != 1 {
		t.Fatalf("%d jobs", len(jobs))
	}
	spec, _ := w.Bedrock.Spec(jobs[0].ARN)
	if want := map[string]string{"cost-center": "4711", "team": "reviews"}; !maps.Equal(spec.Tags, want) {
		t.Errorf("tags are %v, want %v", spec.Tags, want)
	}
	if spec.InputOwner != "444455556666" || spec.OutputOwner != "444455556666" {
		t.Errorf("owners are %q and %q", spec.InputOwner, spec.OutputOwner)
	}
	if !slices.Equal(spec.Subnets, []string{"subnet-1"}) || !slices.Equal(spec.SecurityGroups, []string{"sg-1"}) {
		t.Errorf("the network is %v, %v", spec.Subnets, spec.SecurityGroups)
	}
}
