// Command demo shows the product on this machine, from dropped files to
// notices, and ends by itself. Its last line is
//
//	demo: submissions=N notices=N rows=N answered=N failed=N set_aside=N missing=N ok
//
// and its exit code is 0 only if that line ends in ok. What came back lies in the
// folder of --results.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: demo [flags] [-- flags of the local services]")
		flags.PrintDefaults()
	}
	template := flags.String("template", "infra/template/bedrock-batch.template.json", "CloudFormation template that says what to run")
	functions := flags.String("functions", "dist/local", "folder with <function>/bootstrap, built for this machine")
	services := flags.String("services", "", "program of the local services (default: local, beside this program)")
	examples := flags.String("examples", "examples", "folder whose folders are dropped into the input bucket")
	jobTime := flags.Duration("job-time", 6*time.Second, "how long a batch job takes")
	timeout := flags.Duration("timeout", 5*time.Minute, "when to give up")
	results := flags.String("results", ".local/demo", "folder that results are copied to, empty or not there yet; without a name none are")
	keep := flags.Bool("keep", false, "leave the services' data and logs for a look")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if *services == "" {
		self, err := os.Executable()
		if err != nil {
			fmt.Fprintln(os.Stderr, "demo: find the local services:", err)
			return 1
		}
		*services = filepath.Join(filepath.Dir(self), "local")
	}
	err := demo.Run(ctx, demo.Options{
		Services: *services, Examples: *examples, Timeout: *timeout, Results: *results, Keep: *keep,
		Args: append([]string{"--template", *template, "--functions", *functions, "--job-time", jobTime.String()}, flags.Args()...),
	}, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	return 0
}
