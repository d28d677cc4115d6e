package bedrockbatch_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch/doctor"
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

// Inputs may come from an iterator, so that they need not fit memory, or from a
// file as it could be dropped into a deployed pipeline.
func ExampleSequence() {
	ctx := context.Background()
	client := open(ctx)
	numbers := func(yield func(bedrockbatch.Input, error) bool) {
		for i := range 3 {
			if !yield(bedrockbatch.Input{Members: map[string]string{"n": fmt.Sprint(i)}}, nil) {
				return
			}
		}
	}
	spec := bedrockbatch.Spec{Model: novaLite, Template: "Say {n}."}
	_, outcome, err := client.Process(ctx, spec, bedrockbatch.Sequence(numbers), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("iterator:", outcome.Rows.Answered)
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	table := filepath.Join(dir, "numbers.csv")
	if err := os.WriteFile(table, []byte("n\n7\n8\n"), 0o644); err != nil {
		log.Fatal(err)
	}
	_, outcome, err = client.Process(ctx, spec, bedrockbatch.File(table), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("file:", outcome.Rows.Answered)
	// Output:
	// iterator: 3
	// file: 2
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

// Jobs are filtered by status, name and time, and pages are fetched as the loop
// asks for them.
func ExampleClient_Jobs() {
	ctx := context.Background()
	client := open(ctx)
	started := time.Now().Add(-time.Minute)
	_, outcome, err := client.Process(ctx, bedrockbatch.Spec{Name: "example-list", Model: novaLite}, bedrockbatch.Prompts(questions(102)...), nil)
	if err != nil {
		log.Fatal(err)
	}
	job, err := client.Job(ctx, outcome.Jobs[0].JobARN)
	if err != nil {
		log.Fatal(err)
	}
	for found, err := range client.Jobs(ctx, batch.JobFilter{Status: batch.Completed, NameContains: job.Name, SubmittedFrom: started}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(found.ARN == job.ARN, found.Status, found.Counts.Total)
	}
	// Output:
	// true Completed 102
}

// Status tells where a run stands and counts its records, without waiting.
func ExampleRun_Status() {
	ctx := context.Background()
	client := open(ctx)
	run, _, err := client.Process(ctx, bedrockbatch.Spec{Name: "example-status", Model: novaLite}, bedrockbatch.Prompts(questions(103)...), nil)
	if err != nil {
		log.Fatal(err)
	}
	status, err := run.Status(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(status.Status, status.Status.Terminal())
	fmt.Println(status.Records.Processed, "of", status.Records.Total, "records,", status.Records.Success, "well,", status.Records.Error, "not")
	// Output:
	// Completed true
	// 103 of 103 records, 103 well, 0 not
}

// Each answer, and the whole, counts input and output tokens.
func ExampleTokens() {
	ctx := context.Background()
	client := open(ctx)
	run, outcome, err := client.Process(ctx, bedrockbatch.Spec{Model: novaLite, MaxTokens: 20}, bedrockbatch.Prompts(questions(3)...), nil)
	if err != nil {
		log.Fatal(err)
	}
	var sum bedrockbatch.Tokens
	for answer, err := range run.Answers(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		sum.Input += answer.Usage.Input
		sum.Output += answer.Usage.Output
		sum.Total += answer.Usage.Total
	}
	fmt.Println(sum == outcome.Tokens, sum.Input > 0, sum.Output > 0, sum.Total == sum.Input+sum.Output)
	// Output:
	// true true true true
}

// What a bucket and a role need is written as policies, and looked at in the
// account: here the role may not ask the models behind an inference profile.
func ExampleSetup() {
	ctx := context.Background()
	setup := open(ctx).Setup("us-east-1", "us.amazon.nova-lite-v1:0")
	policies, err := setup.Policies()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(policies.Role.Statement[0])
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, found := range doctor.New(cfg).Check(ctx, setup) {
		fmt.Printf("%s: %s\n", found.State, found.Check)
		if found.State == doctor.Broken {
			fmt.Println(found.Fix)
		}
	}
	// Output:
	// {"Sid":"ReadParts","Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::contract/staged/runs/*/in/*"]}
	// unknown: encryption
	// ok: trust of the job role
	// broken: rights of the job role
	// add the statement {"Sid":"CallProfiles","Effect":"Allow","Action":["bedrock:InvokeModel"],"Resource":["arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0","arn:aws:bedrock:*::foundation-model/amazon.nova-lite-v1:0"]} to a policy of the role
	// ok: access to model us.amazon.nova-lite-v1:0
	// ok: quotas of model us.amazon.nova-lite-v1:0
}

// What passes is borne as long as Backoff says; every member can be set.
func ExampleBackoff() {
	backoff := bedrockbatch.DefaultBackoff()
	backoff.Throttled = bedrockbatch.Delay{First: time.Second, Longest: 10 * time.Second, Tries: 5}
	client, err := bedrockbatch.New(context.Background(), bedrockbatch.Options{
		Bucket: os.Getenv("BB_OUTPUT_BUCKET"), Role: os.Getenv("BB_JOB_ROLE_ARN"), Backoff: &backoff,
	})
	fmt.Println(client != nil, err)
	// Output:
	// true <nil>
}

// The classes of errors, each met on the services: what is wrong with the call,
// what is not allowed, what is not there, what is in the way.
func ExampleError_classes() {
	ctx := context.Background()
	client := open(ctx)
	spec := bedrockbatch.Spec{Name: "example-classes", Model: novaLite}
	if _, _, err := client.Process(ctx, spec, bedrockbatch.Prompts("One?"), nil); err != nil {
		log.Fatal(err)
	}
	_, conflict := client.Create(ctx, spec, bedrockbatch.Prompts("Two?"))
	_, invalid := client.Create(ctx, spec, bedrockbatch.Prompts())
	_, notFound := client.Job(ctx, "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghijkl")
	stranger := os.Getenv("AWS_SECRET_ACCESS_KEY")
	os.Setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
	_, access := open(ctx).Open(ctx, "example-classes")
	os.Setenv("AWS_SECRET_ACCESS_KEY", stranger)
	for _, err := range []error{conflict, invalid, notFound, access} {
		switch {
		case errors.Is(err, batch.ErrConflict):
			fmt.Println("conflict")
		case errors.Is(err, batch.ErrInvalid):
			fmt.Println("invalid")
		case errors.Is(err, batch.ErrNotFound):
			fmt.Println("not found")
		case errors.Is(err, batch.ErrAccess):
			fmt.Println("access")
		case errors.Is(err, batch.ErrThrottled), errors.Is(err, batch.ErrQuota), errors.Is(err, batch.ErrUnavailable):
			fmt.Println("try again later")
		}
	}
	// Output:
	// conflict
	// invalid
	// not found
	// access
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
