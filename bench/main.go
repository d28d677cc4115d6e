// Command bench measures the product: its hot paths against a bare copy of the
// same bytes and against peers in Python, cold starts, its own overhead and
// how all of it grows. docs/performance.md explains every figure.
//
//	bench              all of it
//	bench -rounds 1 -mb 50 -only ratios
//
// Each job runs in a process of its own, which is this program too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"syscall"

	"github.com/bedrock-batch/bedrock-batch/bench/data"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := start(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, args []string) error {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return role(ctx, args)
	}
	return measure(ctx, args)
}

// role is one job in a process of its own. BENCH_PROFILE names where its CPU
// profile goes.
func role(ctx context.Context, args []string) (err error) {
	if path := os.Getenv("BENCH_PROFILE"); path != "" {
		f, err := os.Create(path + "." + args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	switch name, rest := args[0], args[1:]; {
	case name == "serve":
		return serve()
	case name == "copy" && len(rest) > 1:
		return bareCopy(ctx, rest[0], rest[1:])
	case name == "prepare" && len(rest) == 2:
		return prepare(ctx, rest[0], rest[1])
	case name == "full" && len(rest) == 2:
		return full(ctx, rest[0], rest[1])
	case name == "slot" && len(rest) == 1:
		return slot(ctx, rest[0])
	case name == "collect" && len(rest) == 3:
		return collect(ctx, rest[0], rest[1], data.Shape(rest[2]))
	}
	return fmt.Errorf("no job %q", args)
}

// plan is what is measured, and how long.
type plan struct {
	rounds int
	mb     int64
	python string
	dist   string
	only   string
	jobs   string
	large  int64
	rows   int64
	boto3  string
	out    string
}

func (p plan) does(what string) bool { return p.only == "" || strings.Contains(p.only, what) }

func measure(ctx context.Context, args []string) (err error) {
	var p plan
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&p.rounds, "rounds", 5, "rounds of interleaved jobs")
	flags.Int64Var(&p.mb, "mb", 400, "megabytes of the upload that is prepared")
	flags.Int64Var(&p.large, "large", 2000, "megabytes of the large upload whose memory is compared")
	flags.Int64Var(&p.rows, "rows", 1_000_000, "most short rows of the growth")
	flags.StringVar(&p.boto3, "boto3", "/usr/bin/python3", "the Python whose boto3 is started cold")
	flags.StringVar(&p.python, "python", "python3", "the Python of the peers")
	flags.StringVar(&p.dist, "dist", "dist/local", "folder of the functions' binaries")
	flags.StringVar(&p.only, "only", "", "verify, ratios, memory, coldstart, growth, separated by commas; all of them if empty")
	flags.StringVar(&p.jobs, "jobs", "", "of the ratios only these jobs, for a look at one of them")
	flags.StringVar(&p.out, "picture", "", "file for the picture of growth")
	dir := flags.String("dir", "", "folder for uploads; a temporary one if empty")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" {
		if *dir, err = os.MkdirTemp("", "bench-*"); err != nil {
			return err
		}
	}
	s, err := begin(filepath.Clean(*dir), p.python)
	if err != nil {
		return err
	}
	defer s.end()
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, step := range []struct {
		name string
		do   func(context.Context, *session, plan, func(string, ...any)) error
	}{
		{"verify", verify}, {"ratios", ratios}, {"memory", memory}, {"coldstart", coldstart}, {"growth", growth},
	} {
		if !p.does(step.name) {
			continue
		}
		if err := step.do(ctx, s, p, say); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", step.name, err), ctx.Err())
		}
	}
	for _, line := range lines {
		fmt.Println(line)
	}
	return nil
}
