// Command local runs the AWS services that the product uses on this machine:
// S3, SQS, SNS, EventBridge rules, Lambda, Bedrock batch inference and the
// rights of IAM, all behind one port of the loopback address and all set up
// from the CloudFormation template that would be deployed.
//
// When everything answers it writes a file of shell variables (see --env) and
// one line to standard output:
//
//	ready http://127.0.0.1:4566 env=/path/to/.local/env
//
// Whatever else it has to say goes to standard error. It ends on SIGINT and
// SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// The embedded S3 server prints its banner to standard output, which
	// belongs to the ready line.
	out := os.Stdout
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stdout = null
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], out, os.Stderr))
}

// run is main without the process: 0 after a clean end, 1 on failure, 2 on
// wrong usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "local:", err)
		return 2
	case o.supported:
		if _, err := io.WriteString(stdout, supported()); err != nil {
			return 1
		}
		return 0
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: o.logLevel}))
	if err := serve(ctx, o, log, stdout); err != nil {
		fmt.Fprintln(stderr, "local:", err)
		return 1
	}
	return 0
}
