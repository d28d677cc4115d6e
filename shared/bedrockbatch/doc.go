// Package bedrockbatch is the front door: large asynchronous LLM work on
// Amazon Bedrock from a Go program, and the wiring of the deployed functions.
//
// # Runs
//
// A Client needs a bucket and a role that Bedrock runs jobs as:
//
//	client, err := bedrockbatch.New(ctx, bedrockbatch.Options{Bucket: "my-bucket", Role: "arn:aws:iam::123456789012:role/batch"})
//
// A run is inputs, their jobs and their answers. Process does all of it;
// Create, Status, Wait, Outcome, Answers and Cancel are the single steps:
//
//	run, outcome, err := client.Process(ctx, bedrockbatch.Spec{Model: "us.amazon.nova-lite-v1:0", MaxTokens: 200},
//		bedrockbatch.Prompts("What is S3?", "What is SQS?"), nil)
//	for answer, err := range run.Answers(ctx) {
//		...
//	}
//
// Inputs come from a slice (Prompts, Inputs), an iterator (Sequence), a file
// as it could be dropped into a deployed pipeline (File), or a folder of
// documents (Client.ProcessDirectory). Fewer than a job takes are answered on
// demand behind the same calls; Status and Outcome say so.
//
// # The same code
//
// A run is the pipeline of the deployed functions, driven in this process:
// messages in memory take the place of queues, looks at the jobs with back-off
// and jitter that of events. All state stands in the bucket below
// Options.Prefix, so that a program that was killed and starts again, with the
// same inputs and settings or under the same Spec.Name, meets its own jobs and
// pays for nothing twice. One bad input costs no other, every input is
// accounted for, and memory stays flat (answers are read as a sequence).
//
// # Jobs
//
// Client.Jobs, Job, WaitJob and CancelJob work on any batch job of the
// account.
//
// # Errors
//
// Errors are *Error: what was attempted, its class (the sentinels of package
// batch, for errors.Is), what to do. One about rights names the policy
// statement that is missing. Failures that pass are borne by Backoff, by class
// and adjustable. That rows have no answer is no error of a call: Outcome.Err
// tells.
//
// # Before paying
//
// Validate tells what would happen to inputs, offline; Head takes the first
// rows of a file for a try.
//
// # Further in
//
// Package deployed, below this one, reaches a deployed pipeline. The rooms
// behind are pipeline (submissions and their states), batch (jobs and the
// ports), dataset, prompt, part, model and answer. Open, Clients and what they
// give are the wiring of the functions.
package bedrockbatch
