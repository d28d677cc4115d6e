package bedrockbatch_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

func TestARunKilledAtAnyCallIsCarriedOnAndPaysNothingTwice(t *testing.T) {
	const inputs = 33 // two jobs
	for _, after := range []bool{false, true} {
		for at := 0; ; at += 3 {
			w := newWorld(t)
			deaths := 0
			var run *bedrockbatch.Run
			var o *bedrockbatch.Outcome
			var err error
			for step := at; ; step = at/2 + deaths {
				k := &killer{left: step, after: after}
				if w.hook = k; deaths == 3 {
					w.hook = nil
				}
				run, o, err = w.client(t).Process(t.Context(), bedrockbatch.Spec{Name: "mine", Model: haiku}, bedrockbatch.Prompts(prompts(inputs)...), nil)
				if !k.dead {
					k.left = 1 << 30
					break
				}
				deaths++
			}
			if err != nil || o.Status != "Completed" || o.Rows.Answered != inputs {
				t.Fatalf("killed at call %d (after %v): %v %+v", at, after, err, o)
			}
			if jobs := w.bedrock.All(); len(jobs) != 2 {
				t.Fatalf("killed at call %d (after %v): %d jobs", at, after, len(jobs))
			}
			answers, err := bedrockbatch.Collect(run.Answers(t.Context()))
			if err != nil || len(answers) != inputs {
				t.Fatalf("%d answers, %v", len(answers), err)
			}
			if deaths == 0 {
				break
			}
		}
	}
}

func TestTheSameQuestionIsNeverPaidForTwice(t *testing.T) {
	w := newWorld(t)
	spec := bedrockbatch.Spec{Model: haiku, System: "Be brief."}
	for i := range 3 {
		run, o, err := w.client(t).Process(t.Context(), spec, bedrockbatch.Prompts(prompts(5)...), nil)
		if err != nil || o.Rows.Answered != 5 {
			t.Fatal(err, o)
		}
		if run.Resumed != (i > 0) {
			t.Errorf("time %d: resumed %v", i, run.Resumed)
		}
	}
	if n := len(w.bedrock.Asked()); n != 5 {
		t.Errorf("%d questions were paid for", n)
	}
}

// What earlier runs below the same prefix asked is known to a later one.
func TestRunsThatPayForNewRowsOnlyKnowEachOther(t *testing.T) {
	w := newWorld(t)
	yes := true
	spec := bedrockbatch.Spec{Model: haiku, Workload: workload.Workload{OnlyNew: &yes}}
	for i, inputs := range []int{33, 40, 40} { // two jobs, on demand, nothing
		spec.Name = fmt.Sprintf("run-%d", i)
		run, o, err := w.client(t).Process(t.Context(), spec, bedrockbatch.Prompts(prompts(inputs)...), nil)
		if err != nil || o.Status != "Completed" || o.Rows.Answered != int64(inputs) || o.OnDemand != (i == 1) {
			t.Fatalf("run %d: %v %+v", i, err, o)
		}
		answers, err := bedrockbatch.Collect(run.Answers(t.Context()))
		if err != nil || len(answers) != inputs {
			t.Fatalf("run %d: %d answers, %v", i, len(answers), err)
		}
		if st, err := run.Status(t.Context()); err != nil || st.Records.Success != int64(inputs) || st.Current != int64(inputs) {
			t.Errorf("run %d: %+v, %v", i, st, err)
		}
	}
	if jobs, asked := len(w.bedrock.All()), len(w.bedrock.Asked()); jobs != 2 || asked != 7 {
		t.Errorf("%d jobs, %d questions on demand", jobs, asked)
	}
	for name, err := range w.client(t).Runs(t.Context()) {
		if err != nil || strings.HasPrefix(name, "_") {
			t.Errorf("run %q, %v", name, err)
		}
	}
}

func TestANameStandsForItsInputsAndSettings(t *testing.T) {
	w := newWorld(t)
	c := w.client(t)
	if _, _, err := c.Process(t.Context(), bedrockbatch.Spec{Name: "mine", Model: haiku}, bedrockbatch.Prompts("One?"), nil); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"other inputs": func() error {
			_, err := c.Create(t.Context(), bedrockbatch.Spec{Name: "mine", Model: haiku}, bedrockbatch.Prompts("Two?"))
			return err
		},
		"other settings": func() error {
			_, err := c.Create(t.Context(), bedrockbatch.Spec{Name: "mine", Model: haiku, MaxTokens: 9}, bedrockbatch.Prompts("One?"))
			return err
		},
	} {
		if err := call(); !errors.Is(err, batch.ErrConflict) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPartialFailureIsKept(t *testing.T) {
	w := newWorld(t)
	w.outcome = func(j batch.Job) memory.Outcome {
		return memory.Outcome{Line: func(n int, id string) memory.Line {
			if n == 3 {
				return memory.Line{Shape: memory.Beside, Code: 400, Message: "no such thing"}
			}
			return memory.Line{}
		}}
	}
	inputs := make([]bedrockbatch.Input, 15)
	for i := range inputs {
		inputs[i] = bedrockbatch.Input{ID: fmt.Sprintf("id-%d", i+1), Prompt: fmt.Sprintf("Question %d?", i+1)}
	}
	inputs[7].Prompt = "  "        // cannot be asked
	inputs[9].Prompt = "caf\xe9 ?" // not UTF-8
	run, o, err := w.client(t).Process(t.Context(), bedrockbatch.Spec{Model: haiku}, bedrockbatch.Inputs(inputs), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(o.Err(), bedrockbatch.ErrIncomplete) || o.Rows.Answered != 12 || o.Rows.Failed != 1 || o.Rows.SetAside != 2 {
		t.Fatalf("%+v %v", o, o.Err())
	}
	answers, err := bedrockbatch.Collect(run.Answers(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		want := bedrockbatch.Answered
		switch i {
		case 3:
			want = bedrockbatch.Unanswered
		case 7, 9:
			want = bedrockbatch.SetAside
		}
		if a.Status != want || a.Row != int64(i+1) || i != 9 && a.ID != inputs[i].ID || (a.Err != nil) != (want != bedrockbatch.Answered) {
			t.Errorf("input %d: %+v", i+1, a)
		}
	}
}

func TestNoMoreJobsAreLiveThanAsked(t *testing.T) {
	for _, most := range []int{1, 2} {
		w := newWorld(t)
		_, o, err := w.client(t).Process(t.Context(), bedrockbatch.Spec{Model: haiku, MaxJobs: most}, bedrockbatch.Prompts(prompts(95)...), nil)
		if err != nil || o.Rows.Answered != 95 {
			t.Fatal(err, o)
		}
		if w.most != most || len(w.bedrock.All()) != 5 {
			t.Errorf("at most %d wanted: %d jobs were live at once, %d in all", most, w.most, len(w.bedrock.All()))
		}
	}
}

func TestARunWaitsForSlots(t *testing.T) {
	w := newWorld(t)
	w.bedrock.SetSlots(1)
	_, o, err := w.client(t).Process(t.Context(), bedrockbatch.Spec{Model: haiku}, bedrockbatch.Prompts(prompts(60)...), nil)
	if err != nil || o.Rows.Answered != 60 || w.most != 1 {
		t.Fatal(err, o, w.most)
	}
}

func TestStatusAndCancel(t *testing.T) {
	w := newWorld(t)
	c := w.client(t)
	run, err := c.Create(t.Context(), bedrockbatch.Spec{Name: "mine", Model: haiku}, bedrockbatch.Prompts(prompts(40)...))
	if err != nil {
		t.Fatal(err)
	}
	other, err := c.Open(t.Context(), "mine")
	if err != nil {
		t.Fatal(err)
	}
	st, err := other.Status(t.Context())
	if err != nil || st.Status != batch.InProgress || st.Records.Total != 40 || len(st.Parts) != 2 || st.Parts[0].Job != batch.Submitted || st.OnDemand {
		t.Fatalf("%+v %v", st, err)
	}
	if _, err := other.Outcome(t.Context()); !errors.Is(err, bedrockbatch.ErrRunning) {
		t.Errorf("the outcome of a live run: %v", err)
	}
	if err := other.Cancel(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st, err = other.Status(t.Context()); err != nil || st.Status != batch.Stopping {
		t.Fatalf("%+v %v", st, err)
	}
	o, err := run.Wait(t.Context(), nil)
	if err != nil || o.Status != "Stopped" || o.Rows.Missing != 40 {
		t.Fatalf("%+v %v", o, err)
	}
	if st, err = other.Status(t.Context()); err != nil || st.Status != batch.Stopped {
		t.Fatalf("%+v %v", st, err)
	}
	if err := other.Cancel(t.Context()); !errors.Is(err, batch.ErrConflict) {
		t.Errorf("cancelled again: %v", err)
	}
	names, err := bedrockbatch.Collect(c.Runs(t.Context()))
	if err != nil || len(names) != 1 || names[0] != "mine" {
		t.Errorf("runs %v, %v", names, err)
	}
}

func TestWaitingForAJobTellsEachOfItsStatuses(t *testing.T) {
	for end, want := range map[batch.Status]string{
		batch.Completed:          "Submitted Validating Scheduled InProgress Completed",
		batch.PartiallyCompleted: "Submitted Validating Scheduled InProgress PartiallyCompleted",
		batch.Failed:             "Submitted Validating Scheduled InProgress Failed",
		batch.Stopped:            "Submitted Validating Scheduled InProgress Stopped",
		batch.Expired:            "Submitted Validating Scheduled InProgress Expired",
	} {
		w := newWorld(t)
		w.outcome = func(batch.Job) memory.Outcome { return memory.Outcome{Status: end} }
		c := w.client(t)
		if _, err := c.Create(t.Context(), bedrockbatch.Spec{Model: haiku}, bedrockbatch.Prompts(prompts(12)...)); err != nil {
			t.Fatal(err)
		}
		var told []string
		job, err := c.WaitJob(t.Context(), w.bedrock.All()[0].ARN, func(j batch.Job) {
			if len(told) == 0 || told[len(told)-1] != string(j.Status) {
				told = append(told, string(j.Status))
			}
		})
		if err != nil || job.Status != end || strings.Join(told, " ") != want {
			t.Errorf("%s: %v %v", end, told, err)
		}
	}
}

func TestWaitingForAJobThatIsCancelledTellsThatItIsStopping(t *testing.T) {
	w := newWorld(t)
	w.linger = 1
	c := w.client(t)
	if _, err := c.Create(t.Context(), bedrockbatch.Spec{Model: haiku}, bedrockbatch.Prompts(prompts(12)...)); err != nil {
		t.Fatal(err)
	}
	arn := w.bedrock.All()[0].ARN
	var told []batch.Status
	job, err := c.WaitJob(t.Context(), arn, func(j batch.Job) {
		if told = append(told, j.Status); j.Status == batch.Scheduled {
			if err := c.CancelJob(t.Context(), arn); err != nil {
				t.Error(err)
			}
		}
	})
	want := []batch.Status{batch.Submitted, batch.Validating, batch.Scheduled, batch.Stopping, batch.Stopped}
	if err != nil || job.Status != batch.Stopped || !slices.Equal(told, want) {
		t.Errorf("%v %v", told, err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	w := newWorld(t)
	c := w.client(t)
	_, err := c.Open(t.Context(), "absent")
	var e *bedrockbatch.Error
	if !errors.Is(err, batch.ErrNotFound) || !errors.As(err, &e) || e.Class != batch.ErrNotFound || e.Advice == "" {
		t.Errorf("an absent run: %v", err)
	}
	_, err = c.Create(t.Context(), bedrockbatch.Spec{Name: "a b", MaxTokens: -1}, bedrockbatch.Prompts("One?"))
	if !errors.Is(err, batch.ErrInvalid) || !strings.Contains(err.Error(), "a b") || !strings.Contains(err.Error(), "-1") || !strings.Contains(err.Error(), "no model") {
		t.Errorf("all that is wrong is told at once: %v", err)
	}
	if _, err = c.Create(t.Context(), bedrockbatch.Spec{Model: haiku}, bedrockbatch.File("/does/not/exist.jsonl")); !errors.Is(err, batch.ErrNotFound) {
		t.Errorf("an absent file: %v", err)
	}
	if _, err = c.Create(t.Context(), bedrockbatch.Spec{Model: haiku}, bedrockbatch.Prompts()); !errors.Is(err, batch.ErrInvalid) {
		t.Errorf("no input: %v", err)
	}
	for call, want := range map[string]string{
		"Bucket.Put":  `"Action":["s3:PutObject"],"Resource":"arn:aws:s3:::mine/staged/runs/denied/*"`,
		"Bucket.Get":  `"s3:ListBucket"`,
		"Jobs.Create": `"iam:PassRole"`,
	} {
		w := newWorld(t)
		w.hook = denying(call)
		_, err := w.client(t).Create(t.Context(), bedrockbatch.Spec{Name: "denied", Model: haiku}, bedrockbatch.Prompts(prompts(12)...))
		if !errors.Is(err, batch.ErrAccess) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s denied: %v", call, err)
		}
	}
}

func TestPassingFailuresAreBorne(t *testing.T) {
	w := newWorld(t)
	w.hook = &failing{every: 40, err: batch.ErrUnavailable}
	_, o, err := w.client(t).Process(t.Context(), bedrockbatch.Spec{Model: haiku}, bedrockbatch.Prompts(prompts(12)...), nil)
	if err != nil || o.Rows.Answered != 12 {
		t.Fatal(err, o)
	}
}

func TestADirectoryIsAnsweredIntoATreeLikeIt(t *testing.T) {
	in, out := t.TempDir(), filepath.Join(t.TempDir(), "answers")
	for name, text := range map[string]string{"a.md": "Alpha", "deep/b.md": "Beta", "deep/er/c.md": "Gamma", "deep/d.txt": "Delta", "bad.md": "caf\xe9"} {
		file := filepath.Join(in, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t)
	dir := bedrockbatch.Directory{In: in, Out: out, Pattern: "**/*.md"}
	spec := bedrockbatch.Spec{Model: haiku, Template: "Summarise {name}: {content}", System: "Be brief."}
	sum, err := w.client(t).ProcessDirectory(t.Context(), spec, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Files != 4 || sum.Answered != 3 || sum.Failed != 1 || sum.Errors[0].File != "bad.md" || sum.Errors[0].Code != "not_utf8" {
		t.Fatalf("%+v", sum)
	}
	text, err := os.ReadFile(filepath.Join(out, "deep", "er", "c.md.answer.txt"))
	if err != nil || string(text) != "You said: Summarise deep/er/c.md: Gamma" {
		t.Errorf("%s %v", text, err)
	}
	var written bedrockbatch.DirectorySummary
	body, err := os.ReadFile(filepath.Join(out, "summary.json"))
	if err != nil || json.Unmarshal(body, &written) != nil || written.Answered != 3 {
		t.Errorf("%s %v", body, err)
	}
	// What is answered is not asked again; what is new or failed is.
	if err := os.WriteFile(filepath.Join(in, "bad.md"), []byte("café"), 0o644); err != nil {
		t.Fatal(err)
	}
	asked := len(w.bedrock.Asked())
	sum, err = w.client(t).ProcessDirectory(t.Context(), spec, dir, nil)
	if err != nil || sum.Skipped != 3 || sum.Answered != 1 || len(w.bedrock.Asked()) != asked+1 {
		t.Fatalf("%+v %v, %d asked", sum, err, len(w.bedrock.Asked()))
	}
}

func TestADirectoryKilledAtAnyCallIsCarriedOnAndPaysNothingTwice(t *testing.T) {
	in := t.TempDir()
	for i := range 12 {
		if err := os.WriteFile(filepath.Join(in, fmt.Sprintf("%02d.txt", i)), fmt.Appendf(nil, "Text %d", i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for at := 0; ; at += 5 {
		w := newWorld(t)
		out := t.TempDir()
		k := &killer{left: at}
		w.hook = k
		var err error
		call := func() {
			_, err = w.client(t).ProcessDirectory(t.Context(), bedrockbatch.Spec{Name: "mine", Model: haiku}, bedrockbatch.Directory{In: in, Out: out}, nil)
		}
		call()
		if w.hook = nil; k.dead {
			call()
		}
		if err != nil || len(w.bedrock.All()) != 1 {
			t.Fatalf("killed at call %d: %v, %d jobs", at, err, len(w.bedrock.All()))
		}
		if files, err := filepath.Glob(filepath.Join(out, "*.answer.txt")); err != nil || len(files) != 12 {
			t.Fatalf("killed at call %d: %d answers", at, len(files))
		}
		if !k.dead {
			return
		}
	}
}

func TestAFileIsRunAsIfItWereDropped(t *testing.T) {
	file := filepath.Join(t.TempDir(), "questions.csv")
	if err := os.WriteFile(file, []byte("id,city\n7,Paris\n8,\"Ro\nme\"\n9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	run, o, err := w.client(t).Process(t.Context(), bedrockbatch.Spec{Model: haiku, Template: "Where is {city}?"}, bedrockbatch.File(file), nil)
	if err != nil || o.Rows.Answered != 2 || o.Rows.SetAside != 1 {
		t.Fatal(err, o)
	}
	answers, err := bedrockbatch.Collect(run.Answers(t.Context()))
	if err != nil || len(answers) != 3 || answers[0].ID != "7" || answers[1].Text != "You said: Where is Ro\nme?" || answers[2].Err.Line != 5 {
		t.Fatalf("%+v %v", answers, err)
	}
	names, err := run.Download(t.Context(), t.TempDir())
	if err != nil || len(names) != 4 {
		t.Errorf("%v %v", names, err)
	}
}

func TestAnInterruptedWaitLeavesTheJobsRunning(t *testing.T) {
	w := newWorld(t)
	run, err := w.client(t).Create(t.Context(), bedrockbatch.Spec{Name: "mine", Model: haiku}, bedrockbatch.Prompts(prompts(12)...))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := contextWith(t)
	if _, err := run.Wait(ctx, func(bedrockbatch.Progress) { cancel() }); err == nil || !errors.Is(err, ctx.Err()) {
		t.Fatal(err)
	}
	if w.bedrock.Live("") != 1 {
		t.Error("the job does not run on")
	}
	start := w.Now()
	o, err := run.Wait(t.Context(), nil)
	if err != nil || o.Rows.Answered != 12 || w.Now().Sub(start) > 10*time.Minute {
		t.Fatal(err, o, w.Now().Sub(start))
	}
}
