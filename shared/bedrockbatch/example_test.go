package bedrockbatch_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
)

const novaLite = "amazon.nova-lite-v1:0"

func questions(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("Say %d.", i+1)
	}
	return all
}

// One prompt is answered on demand, behind the same calls, and the outcome
// says so.
func Example() {
	ctx := context.Background()
	client := open(ctx)
	run, outcome, err := client.Process(ctx, bedrockbatch.Spec{Model: novaLite, MaxTokens: 50}, bedrockbatch.Prompts("Say hello."), nil)
	if err != nil {
		log.Fatal(err)
	}
	for answer, err := range run.Answers(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(answer.Status, answer.Text != "")
	}
	fmt.Println(outcome.Status, "on demand:", outcome.OnDemand)
	// Output:
	// answered true
	// Completed on demand: true
}

// Create starts a job and returns; Status tells how far it is, Wait carries it
// to its end, and the outcome counts tokens.
func ExampleClient_Create() {
	ctx := context.Background()
	client := open(ctx)
	run, err := client.Create(ctx, bedrockbatch.Spec{
		Name: "example-create", Model: novaLite, System: "Be brief.", MaxTokens: 20,
	}, bedrockbatch.Prompts(questions(120)...))
	if err != nil {
		log.Fatal(err)
	}
	status, err := run.Status(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(status.Name, status.Records.Total, "records in", len(status.Parts), "job")
	outcome, err := run.Wait(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(outcome.Status, outcome.Rows.Answered)
	fmt.Println("tokens add up:", outcome.Tokens.Input+outcome.Tokens.Output == outcome.Tokens.Total && outcome.Tokens.Input > 0)
	// Output:
	// example-create 120 records in 1 job
	// Completed 120
	// tokens add up: true
}

// Wait tells of progress; when its context ends the jobs run on, and another
// handle, in another process if need be, carries the run on.
func ExampleRun_Wait() {
	ctx := context.Background()
	client := open(ctx)
	run, err := client.Create(ctx, bedrockbatch.Spec{Name: "example-wait", Model: novaLite}, bedrockbatch.Prompts(questions(100)...))
	if err != nil {
		log.Fatal(err)
	}
	short, cancel := context.WithCancel(ctx)
	_, err = run.Wait(short, func(bedrockbatch.Progress) { cancel() })
	fmt.Println("interrupted:", errors.Is(err, context.Canceled))

	again, err := client.Open(ctx, "example-wait")
	if err != nil {
		log.Fatal(err)
	}
	var last bedrockbatch.Progress
	outcome, err := again.Wait(ctx, func(p bedrockbatch.Progress) { last = p })
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(outcome.Status, last.Current, "of", last.Total, "in", len(outcome.Jobs), "job")
	// Output:
	// interrupted: true
	// Completed 100 of 100 in 1 job
}

// Any job of the account can be listed, read and waited for.
func ExampleClient_WaitJob() {
	ctx := context.Background()
	client := open(ctx)
	run, err := client.Create(ctx, bedrockbatch.Spec{Name: "example-jobs", Model: novaLite}, bedrockbatch.Prompts(questions(101)...))
	if err != nil {
		log.Fatal(err)
	}
	status, err := run.Status(ctx)
	if err != nil {
		log.Fatal(err)
	}
	arn := status.Parts[0].JobARN
	found := false
	for job, err := range client.Jobs(ctx, batch.JobFilter{NewestFirst: true}) {
		if err != nil {
			log.Fatal(err)
		}
		if found = job.ARN == arn; found {
			break
		}
	}
	fmt.Println("listed:", found)
	job, err := client.WaitJob(ctx, arn, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.Status, job.Counts.Success, "of", job.Counts.Total)
	// A job that has ended cannot be cancelled.
	fmt.Println("conflict:", errors.Is(client.CancelJob(ctx, arn), batch.ErrConflict))
	// Output:
	// listed: true
	// Completed 101 of 101
	// conflict: true
}

// A cancelled run starts nothing more; Wait gathers what there is.
func ExampleRun_Cancel() {
	ctx := context.Background()
	client := open(ctx)
	run, err := client.Create(ctx, bedrockbatch.Spec{Name: "example-cancel", Model: novaLite}, bedrockbatch.Prompts(questions(100)...))
	if err != nil {
		log.Fatal(err)
	}
	if err := run.Cancel(ctx); err != nil {
		log.Fatal(err)
	}
	outcome, err := run.Wait(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(outcome.Status, outcome.Rows.Answered+outcome.Rows.Missing)
	// Output:
	// Stopped 100
}

// Many inputs with ids, at most two jobs at once, parts by quota, and a result
// for each input in input order: what cannot be asked costs no other.
func ExampleClient_Process() {
	ctx := context.Background()
	client := open(ctx)
	inputs := make([]bedrockbatch.Input, 250)
	for i := range inputs {
		inputs[i] = bedrockbatch.Input{ID: fmt.Sprintf("q-%03d", i+1), Prompt: fmt.Sprintf("Say %d.", i+1)}
	}
	inputs[41].Prompt = ""
	spec := bedrockbatch.Spec{Model: novaLite, MaxJobs: 2}
	run, outcome, err := client.Process(ctx, spec, bedrockbatch.Inputs(inputs), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(outcome.Status, outcome.Rows.Answered, "answered", outcome.Rows.SetAside, "set aside")
	for answer, err := range run.Answers(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if answer.Err != nil {
			fmt.Println(answer.ID, answer.Status, answer.Err.Code)
		}
	}
	fmt.Println("complete:", outcome.Err() == nil, errors.Is(outcome.Err(), bedrockbatch.ErrIncomplete))
	// Output:
	// CompletedWithErrors 249 answered 1 set aside
	// q-042 set-aside empty_prompt
	// complete: false true
}

// A folder of documents becomes a folder of answers, in the same tree. What is
// answered already is not asked again.
func ExampleClient_ProcessDirectory() {
	ctx := context.Background()
	client := open(ctx)
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"in/a.md", "in/deep/b.md", "in/c.txt"} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("The text of "+name), 0o644); err != nil {
			log.Fatal(err)
		}
	}
	spec := bedrockbatch.Spec{Model: novaLite, System: "You summarise.", Template: "Summarise {name}:\n{content}"}
	folder := bedrockbatch.Directory{In: filepath.Join(dir, "in"), Out: filepath.Join(dir, "out"), Pattern: "**/*.md"}
	for range 2 {
		summary, err := client.ProcessDirectory(ctx, spec, folder, nil)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(summary.Files, "files:", summary.Answered, "answered,", summary.Skipped, "answered before")
	}
	_, err = os.Stat(filepath.Join(dir, "out", "deep", "b.md.answer.txt"))
	fmt.Println("mirrored:", err == nil)
	// Output:
	// 2 files: 2 answered, 0 answered before
	// 2 files: 0 answered, 2 answered before
	// mirrored: true
}

// Errors are told apart by class and say what to do.
func ExampleError() {
	ctx := context.Background()
	client := open(ctx)
	_, err := client.Open(ctx, "never-started")
	var e *bedrockbatch.Error
	if errors.As(err, &e) {
		fmt.Println(e.Op)
		fmt.Println("not found:", errors.Is(err, batch.ErrNotFound), "retryable:", e.Retryable())
		fmt.Println(e.Advice)
	}
	_, err = client.Create(ctx, bedrockbatch.Spec{}, bedrockbatch.Prompts("Hello?"))
	fmt.Println("invalid:", errors.Is(err, batch.ErrInvalid))
	// Output:
	// open run never-started
	// not found: true retryable: false
	// check name, bucket and region
	// invalid: true
}

// What would happen to inputs, found out offline.
func ExampleValidate() {
	forecast, err := bedrockbatch.Validate(context.Background(), bedrockbatch.Spec{Model: novaLite, MaxTokens: 100}, bedrockbatch.Prompts(questions(50_001)...), nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, part := range forecast.Parts {
		fmt.Println(part.Records, "records, on demand:", part.OnDemand)
	}
	fmt.Println("cost is known:", forecast.MostUSD != nil)
	// Output:
	// 49901 records, on demand: false
	// 100 records, on demand: false
	// cost is known: true
}
