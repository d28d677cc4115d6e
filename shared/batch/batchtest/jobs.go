package batchtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// Account is batch inference as a suite needs it.
type Account struct {
	Jobs batch.Jobs
	// Spec is a job that can be created under the name, with input that is
	// there.
	Spec func(name string) batch.JobSpec
	// End brings a job to an end, whatever way, and returns when Get says so.
	End func(t *testing.T, arn string)
	// Slots is a number of live jobs that the quota does not allow.
	Slots int
}

var names atomic.Int64

// jobName is a name that no other case has.
func jobName() string {
	return fmt.Sprintf("contract%x-%d", time.Now().UnixNano(), names.Add(1))
}

// Jobs is the contract of batch.Jobs. Cases end the jobs that they create.
func Jobs(t *testing.T, open func() Account) {
	for name, test := range map[string]func(*testing.T, Account){
		"create starts a job and returns its ARN":           createJob,
		"create under the same name starts nothing more":    createJobTwice,
		"create of a job that breaks the rules is invalid":  createJobInvalid,
		"create without a free slot meets the quota":        createJobQuota,
		"get reads a job by ARN or id":                      getJob,
		"get of a job that is not there is not found":       getJobAbsent,
		"list finds jobs by a part of their name":           listJobsByName,
		"list finds jobs by status and time of submission":  listJobsByStatus,
		"list yields in order of submission or against it":  listJobsInOrder,
		"stop asks a job to stop and may be called twice":   stopJob,
		"stop of a job that has ended is a conflict":        stopEndedJob,
		"stop of a job that is not there is not found":      stopAbsentJob,
		"a context that has ended ends every call to a job": jobsContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open()) })
	}
}

func start(t *testing.T, a Account, name string) string {
	t.Helper()
	arn, err := a.Jobs.Create(t.Context(), a.Spec(name))
	must(t, err)
	t.Cleanup(func() {
		// The case's own context has ended by now.
		if err := a.Jobs.Stop(context.Background(), arn); err != nil && !errors.Is(err, batch.ErrConflict) {
			t.Error(err)
		}
		a.End(t, arn)
	})
	return arn
}

func createJob(t *testing.T, a Account) {
	name := jobName()
	spec := a.Spec(name)
	spec.TimeoutHours = 48
	spec.Tags = map[string]string{"b": "2", "a": "1"}
	arn, err := a.Jobs.Create(t.Context(), spec)
	must(t, err)
	defer a.End(t, arn)
	if !strings.HasPrefix(arn, "arn:") || !strings.Contains(arn, ":model-invocation-job/") {
		t.Fatalf("ARN is %s", arn)
	}
	j, err := a.Jobs.Get(t.Context(), arn)
	must(t, err)
	equal(t, "name", j.Name, name)
	equal(t, "time until it expires", j.Expires.Sub(j.Submitted).Round(time.Minute), 48*time.Hour)
	must(t, a.Jobs.Stop(t.Context(), arn))
}

func createJobTwice(t *testing.T, a Account) {
	name := jobName()
	first := start(t, a, name)
	for range 2 {
		again, err := a.Jobs.Create(t.Context(), a.Spec(name))
		if err != nil {
			is(t, err, batch.ErrInUse)
		} else {
			equal(t, "ARN of the repeated call", again, first)
		}
	}
	equal(t, "number of jobs", len(list(t, a, batch.JobFilter{NameContains: name})), 1)
}

func createJobInvalid(t *testing.T, a Account) {
	for what, spoil := range map[string]func(*batch.JobSpec){
		"a name with an underscore":  func(s *batch.JobSpec) { s.Name += "_x" },
		"a name of 64 characters":    func(s *batch.JobSpec) { s.Name = strings.Repeat("a", 64) },
		"a time-out of 23 hours":     func(s *batch.JobSpec) { s.TimeoutHours = 23 },
		"a time-out of 169 hours":    func(s *batch.JobSpec) { s.TimeoutHours = 169 },
		"an input with a space":      func(s *batch.JobSpec) { s.Input = "s3://contract/a b.jsonl" },
		"an output that is no URI":   func(s *batch.JobSpec) { s.Output = "contract/out" },
		"a role that is no role ARN": func(s *batch.JobSpec) { s.RoleARN = "role" },
	} {
		spec := a.Spec(jobName())
		spoil(&spec)
		_, err := a.Jobs.Create(t.Context(), spec)
		if !errors.Is(err, batch.ErrInvalid) {
			t.Errorf("%s: error is %v, want one that is %q", what, err, batch.ErrInvalid)
		}
	}
}

func createJobQuota(t *testing.T, a Account) {
	for range a.Slots {
		name := jobName()
		arn, err := a.Jobs.Create(t.Context(), a.Spec(name))
		if err != nil {
			is(t, err, batch.ErrQuota)
			equal(t, "that the refused job is not there", len(list(t, a, batch.JobFilter{NameContains: name})), 0)
			return
		}
		t.Cleanup(func() {
			if err := a.Jobs.Stop(context.Background(), arn); err != nil && !errors.Is(err, batch.ErrConflict) {
				t.Error(err)
			}
			a.End(t, arn)
		})
	}
	t.Fatalf("%d jobs met no quota", a.Slots)
}

func getJob(t *testing.T, a Account) {
	name := jobName()
	spec := a.Spec(name)
	arn := start(t, a, name)
	j, err := a.Jobs.Get(t.Context(), arn)
	must(t, err)
	equal(t, "ARN", j.ARN, arn)
	equal(t, "name", j.Name, name)
	equal(t, "token", j.Token, name)
	equal(t, "invocation", j.Invocation, spec.Invocation)
	equal(t, "input", j.Input, spec.Input)
	equal(t, "output", j.Output, spec.Output)
	equal(t, "absence of the time of submission", j.Submitted.IsZero(), false)
	equal(t, "absence of a time of the end", j.Ended.IsZero(), !j.Status.Terminal())
	if j.ModelID != spec.ModelID && !strings.HasSuffix(j.ModelID, "/"+spec.ModelID) {
		t.Fatalf("model is %s, want %s or an ARN of it", j.ModelID, spec.ModelID)
	}
	byID, err := a.Jobs.Get(t.Context(), j.ID())
	must(t, err)
	equal(t, "ARN by id", byID.ARN, arn)
	a.End(t, arn)
	j, err = a.Jobs.Get(t.Context(), arn)
	must(t, err)
	equal(t, "that it has ended", j.Status.Terminal(), true)
	equal(t, "absence of a time of the end", j.Ended.IsZero(), false)
}

const absentARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/aaaaaaaaaaaa"

func getJobAbsent(t *testing.T, a Account) {
	_, err := a.Jobs.Get(t.Context(), absentARN)
	is(t, err, batch.ErrNotFound)
}

func list(t *testing.T, a Account, f batch.JobFilter) []batch.Job {
	t.Helper()
	var out []batch.Job
	for j, err := range a.Jobs.List(t.Context(), f) {
		must(t, err)
		out = append(out, j)
	}
	return out
}

func listJobsByName(t *testing.T, a Account) {
	name := jobName()
	arn := start(t, a, name)
	start(t, a, jobName())
	for _, part := range []string{name, name[2:], name[:len(name)-1]} {
		found := false
		for _, j := range list(t, a, batch.JobFilter{NameContains: part}) {
			if !strings.Contains(j.Name, part) {
				t.Fatalf("listed %s for %s", j.Name, part)
			}
			if j.ARN == arn {
				found = true
				equal(t, "token", j.Token, name)
			}
		}
		equal(t, "that "+part+" finds it", found, true)
	}
	equal(t, "number of others", len(list(t, a, batch.JobFilter{NameContains: name + "x"})), 0)
}

func listJobsByStatus(t *testing.T, a Account) {
	prefix := jobName()
	ended := start(t, a, prefix+"-a")
	live := start(t, a, prefix+"-b")
	a.End(t, ended)
	e, err := a.Jobs.Get(t.Context(), ended)
	must(t, err)
	got := list(t, a, batch.JobFilter{NameContains: prefix, Status: e.Status})
	if len(got) == 0 || got[0].ARN != ended {
		t.Fatalf("jobs that are %s: %v", e.Status, got)
	}
	l, err := a.Jobs.Get(t.Context(), live)
	must(t, err)
	equal(t, "number submitted until an hour before", len(list(t, a, batch.JobFilter{NameContains: prefix, SubmittedTo: e.Submitted.Add(-time.Hour)})), 0)
	equal(t, "number submitted from an hour after", len(list(t, a, batch.JobFilter{NameContains: prefix, SubmittedFrom: l.Submitted.Add(time.Hour)})), 0)
	equal(t, "number submitted around", len(list(t, a, batch.JobFilter{NameContains: prefix, SubmittedFrom: e.Submitted.Add(-time.Hour), SubmittedTo: l.Submitted.Add(time.Hour)})), 2)
}

func listJobsInOrder(t *testing.T, a Account) {
	prefix := jobName()
	var arns []string
	for _, suffix := range []string{"-a", "-b", "-c"} {
		arns = append(arns, start(t, a, prefix+suffix))
	}
	for i, j := range list(t, a, batch.JobFilter{NameContains: prefix}) {
		equal(t, "job in order", j.ARN, arns[i])
	}
	for i, j := range list(t, a, batch.JobFilter{NameContains: prefix, NewestFirst: true}) {
		equal(t, "job, newest first", j.ARN, arns[2-i])
	}
	for j, err := range a.Jobs.List(t.Context(), batch.JobFilter{NameContains: prefix}) {
		must(t, err)
		equal(t, "first of a listing left early", j.ARN, arns[0])
		break
	}
}

func stopJob(t *testing.T, a Account) {
	arn := start(t, a, jobName())
	must(t, a.Jobs.Stop(t.Context(), arn))
	j, err := a.Jobs.Get(t.Context(), arn)
	must(t, err)
	if j.Status != batch.Stopping && j.Status != batch.Stopped {
		t.Fatalf("status is %s, want %s or %s", j.Status, batch.Stopping, batch.Stopped)
	}
	if err := a.Jobs.Stop(t.Context(), arn); err != nil {
		is(t, err, batch.ErrConflict) // it had stopped by then
	}
}

func stopEndedJob(t *testing.T, a Account) {
	arn := start(t, a, jobName())
	a.End(t, arn)
	is(t, a.Jobs.Stop(t.Context(), arn), batch.ErrConflict)
}

func stopAbsentJob(t *testing.T, a Account) {
	is(t, a.Jobs.Stop(t.Context(), absentARN), batch.ErrNotFound)
}

func jobsContext(t *testing.T, a Account) {
	ctx, name := ended(t), jobName()
	_, err := a.Jobs.Create(ctx, a.Spec(name))
	is(t, err, context.Canceled)
	_, err = a.Jobs.Get(ctx, absentARN)
	is(t, err, context.Canceled)
	is(t, a.Jobs.Stop(ctx, absentARN), context.Canceled)
	for _, err := range a.Jobs.List(ctx, batch.JobFilter{}) {
		is(t, err, context.Canceled)
	}
	equal(t, "number of jobs", len(list(t, a, batch.JobFilter{NameContains: name})), 0)
}
