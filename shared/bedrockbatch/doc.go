// Package bedrockbatch is the front door: it puts the pipeline together with
// the AWS services it runs on.
//
// The functions, the command line and programs all enter here, so that the
// wiring exists once. Further in are the rooms: pipeline (submissions and
// their states), batch (jobs and the ports), dataset, prompt, part, model and
// answer (rows in, records, parts, families, results out).
package bedrockbatch
