// Command bedrock-batch is large asynchronous LLM work on Amazon Bedrock from
// the command line: without a deployed pipeline (run, validate, try, jobs) and
// with one.
//
// Data goes to stdout, talk to stderr; with --json stdout holds one object a
// line, each with a member "type". Exit codes: 0 all is well, 1 some rows have
// no answer, 2 usage, 3 the input is invalid, 4 access or configuration,
// 5 throttled or quota, 6 a job failed, 130 interrupted.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := newApp(os.Stdout, os.Stderr)
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
