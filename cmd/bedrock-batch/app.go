package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch/deployed"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// app is one call of the command.
type app struct {
	out, talk io.Writer
	tty       bool       // talk is a terminal
	width     func() int // of the terminal, in columns
	json      bool
	// resume says how to come back after Ctrl-C; empty if nothing runs on.
	resume string

	bucket, prefix, role, stack string
	poll                        time.Duration
	bar                         bool // a line of progress stands unfinished
}

func newApp(out, talk *os.File) *app {
	return &app{out: out, talk: talk, tty: terminal(talk), width: func() int { return columns(talk) }}
}

// terminal reports whether f is one that lines can be rewritten on.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" && f.Name() != os.DevNull
}

// The exit codes.
const (
	exitOK          = 0
	exitRows        = 1
	exitUsage       = 2
	exitInput       = 3
	exitAccess      = 4
	exitThrottled   = 5
	exitJob         = 6
	exitInterrupted = 130
)

// errUsage: the command line itself is wrong.
var errUsage = errors.New("usage")

func usage(format string, args ...any) error {
	return fmt.Errorf("%s%w", fmt.Sprintf(format, args...), silentSuffix{})
}

// silentSuffix marks an error as one of usage without showing.
type silentSuffix struct{}

func (silentSuffix) Error() string        { return "" }
func (silentSuffix) Is(target error) bool { return target == errUsage }

// ended is how a run or a submission ended, if not well.
type ended struct {
	status string
	err    error
}

func (e *ended) Error() string { return e.err.Error() }
func (e *ended) Unwrap() error { return e.err }

// code is the exit code of an error.
func code(err error) int {
	var end *ended
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.As(err, &end):
		switch end.status {
		case pipeline.StatusCompletedWithErrors:
			return exitRows
		case pipeline.StatusRejected, pipeline.StatusSuperseded:
			return exitInput
		}
		return exitJob
	case errors.Is(err, batch.ErrAccess), errors.Is(err, batch.ErrNotFound):
		return exitAccess
	case errors.Is(err, batch.ErrThrottled), errors.Is(err, batch.ErrQuota), errors.Is(err, batch.ErrUnavailable):
		return exitThrottled
	case errors.Is(err, batch.ErrInvalid), errors.Is(err, batch.ErrConflict), errors.Is(err, os.ErrNotExist):
		return exitInput
	}
	return exitAccess
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.out)
	root.SetErr(a.talk)
	err := root.ExecuteContext(ctx)
	a.endBar()
	if ctx.Err() != nil && err != nil {
		err = context.Canceled
	}
	switch n := code(err); {
	case err == nil:
		return n
	case n == exitInterrupted:
		fmt.Fprintln(a.talk, "interrupted")
		if a.resume != "" {
			fmt.Fprintln(a.talk, "what was started runs on; come back with: "+a.resume)
		}
		return n
	default:
		if a.json {
			a.object("error", map[string]any{"message": err.Error(), "exitCode": n})
		}
		fmt.Fprintln(a.talk, "error: "+err.Error())
		if n == exitUsage {
			fmt.Fprintln(a.talk, "bedrock-batch --help shows what there is")
		}
		return n
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "bedrock-batch",
		Short: "Large asynchronous LLM work on Amazon Bedrock",
		Long: `Large asynchronous LLM work on Amazon Bedrock, from your own AWS account.

Data goes to stdout, talk to stderr. Exit codes: 0 all is well, 1 some rows have
no answer, 2 usage, 3 the input is invalid, 4 access or configuration, 5
throttled or quota, 6 a job failed, 130 interrupted.`,
		SilenceErrors: true, SilenceUsage: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("there is no command %q", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%v", err) })
	f := root.PersistentFlags()
	f.BoolVar(&a.json, "json", false, "one JSON object a line on stdout")
	f.StringVar(&a.stack, "stack", "", "name of the deployed stack (default: $BB_* variables, else the only one there is)")
	f.StringVar(&a.bucket, "bucket", "", "bucket of runs (default: $"+config.EnvOutputBucket+", else the deployed stack's)")
	f.StringVar(&a.prefix, "prefix", "", "folder of runs in it (default: "+bedrockbatch.DefaultPrefix+")")
	f.StringVar(&a.role, "role", "", "ARN of the role that jobs run as (default: $"+config.EnvJobRoleARN+", else the deployed stack's)")
	f.DurationVar(&a.poll, "poll", 0, "first time between two looks at running jobs (default: 5s)")
	root.AddGroup(&cobra.Group{ID: "direct", Title: "Without a deployed pipeline:"}, &cobra.Group{ID: "deployed", Title: "With a deployed pipeline:"})
	for _, verb := range a.verbs() {
		verb.GroupID = "direct"
		root.AddCommand(verb)
	}
	root.AddCommand(a.deployedVerbs()...)
	root.AddCommand(a.manVerb())
	for _, verb := range root.Commands() {
		strict(verb)
	}
	return root
}

// strict makes wrong arguments of a command, and of those below it, errors of
// usage.
func strict(c *cobra.Command) {
	if args := c.Args; args != nil {
		c.Args = func(c *cobra.Command, given []string) error {
			if err := args(c, given); err != nil {
				return usage("%s: %v", c.CommandPath(), err)
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		strict(sub)
	}
}

// verbs are the commands, in the order of the help.
func (a *app) verbs() []*cobra.Command {
	return []*cobra.Command{a.runVerb(), a.validateVerb(), a.tryVerb(), a.jobsVerb(), a.runsVerb(), a.setupVerb()}
}

// object prints a line of JSON.
func (a *app) object(kind string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types
	}
	if string(body) == "{}" {
		fmt.Fprintf(a.out, "{\"type\":%q}\n", kind)
		return
	}
	fmt.Fprintf(a.out, "{\"type\":%q,%s\n", kind, body[1:])
}

// did tells of something that is done: people on stderr, programs by an object.
func (a *app) did(kind string, v any, format string, args ...any) {
	if a.json {
		a.object(kind, v)
	}
	a.say(format, args...)
}

// say tells people something.
func (a *app) say(format string, args ...any) {
	a.endBar()
	fmt.Fprintf(a.talk, format+"\n", args...)
}

// client opens the library.
func (a *app) client(ctx context.Context) (*bedrockbatch.Client, error) {
	bucket := cmp.Or(a.bucket, os.Getenv(config.EnvOutputBucket))
	role := cmp.Or(a.role, os.Getenv(config.EnvJobRoleARN))
	if bucket == "" || a.stack != "" {
		out, err := deployed.Find(ctx, a.stack)
		if err != nil {
			return nil, fmt.Errorf("no bucket is named (--bucket, --role), and there is no stack to take them from: %w", err)
		}
		bucket, role = cmp.Or(a.bucket, out.OutputBucket), cmp.Or(a.role, out.JobRoleARN)
	}
	return bedrockbatch.New(ctx, bedrockbatch.Options{Bucket: bucket, Prefix: a.prefix, Role: role, Backoff: a.backoff()})
}

func (a *app) backoff() *bedrockbatch.Backoff {
	b := bedrockbatch.DefaultBackoff()
	if a.poll > 0 {
		b.Poll.First, b.Poll.Longest = a.poll, max(a.poll, min(10*a.poll, b.Poll.Longest))
	}
	return &b
}

// progress tells how a run gets on: a bar on a terminal, else a line when the
// run or one of its jobs comes into another state.
func (a *app) progress() func(bedrockbatch.Progress) {
	last := ""
	return func(p bedrockbatch.Progress) {
		if a.json {
			a.object("progress", map[string]any{"state": p.State, "current": p.Current, "total": p.Total, "parts": p.Parts})
			return
		}
		if a.tty {
			a.draw(p)
			return
		}
		state := string(p.State)
		counts := map[string]int{}
		for _, part := range p.Parts {
			if part.Job != "" {
				counts[string(part.Job)]++
			}
		}
		for _, s := range []batch.Status{batch.Submitted, batch.Validating, batch.Scheduled, batch.InProgress, batch.Stopping, batch.Completed, batch.PartiallyCompleted, batch.Failed, batch.Stopped, batch.Expired} {
			if n := counts[string(s)]; n > 0 {
				state += fmt.Sprintf(", %d jobs %s", n, s)
			}
		}
		if state != last {
			fmt.Fprintf(a.talk, "%s: %d of %d rows\n", state, p.Current, p.Total)
		}
		last = state
	}
}

const (
	barWidth = 30
	// usualWidth is that of a terminal that does not tell its own.
	usualWidth = 80
)

// draw rewrites the line of progress.
func (a *app) draw(p bedrockbatch.Progress) {
	share := 0.0
	if p.Total > 0 {
		share = float64(p.Current) / float64(p.Total)
	}
	full := int(share * barWidth)
	a.redraw(fmt.Sprintf("[%s%s] %3.0f%% %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*share, p))
}

// redraw shows text in place of the line that stands unfinished. It is cut to
// the terminal's width: what is wrapped cannot be rewritten.
func (a *app) redraw(text string) {
	if runes := []rune(text); len(runes) >= a.width() {
		text = string(runes[:max(a.width()-2, 1)]) + ">"
	}
	fmt.Fprintf(a.talk, "\r\x1b[K%s", text)
	a.bar = true
}

func (a *app) endBar() {
	if a.bar {
		fmt.Fprintln(a.talk)
		a.bar = false
	}
}
