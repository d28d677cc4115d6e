// Command stages runs the checks of this repository one after another and
// prints, for each, the seconds it took and the tests it ran. make check and
// make test are this program; .ci/run calls it through them.
//
//	go run ./.ci/stages check    functions, shared and cmd: for daily work
//	go run ./.ci/stages test     everything
//	go run ./.ci/stages test infra local    some stages of everything
//	go run ./.ci/stages fuzz 1m answer      fuzz tests in turn, each for so long; those that fit a pattern
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// quick are the packages that need neither CDK nor the local services.
var quick = existing("./functions/...", "./shared/...", "./cmd/...", "./bench/...", "./infra/stage/...", "./infra/assembly/...", "./infra/template/...", "./infra/spec/...")

// stage is a named list of commands; the first that fails ends it.
type stage struct {
	name  string
	about string
	steps []step
}

func plan(which string) []stage {
	format := stage{"format", "gofmt finds nothing to change", []step{gofmt{}}}
	unit := func(more ...string) stage {
		return stage{"unit", "functions, shared, cmd, events, settings, golden template", []step{
			command{args: append([]string{"go", "vet"}, quick...)},
			test{args: append(more, quick...)},
		}}
	}
	if which == "check" {
		return []stage{format, unit()}
	}
	return []stage{
		format,
		unit(),
		{"build", "both functions for Lambda and for this machine; the same bytes in any folder; what arm64 does by itself", []step{
			command{args: []string{"make", "--silent", "build"}},
			command{args: []string{"make", "--silent", "repro"}},
			onARM{test{args: []string{"./shared/scan"}}},
		}},
		{"infra", "the CDK app: golden template fresh, stages, security rules", []step{
			command{args: []string{"go", "vet", "./infra/..."}},
			test{args: []string{"./infra", "./infra/app/...", "./infra/stack/..."}},
		}},
		{"local", "the local services", []step{
			command{dir: "local", args: []string{"go", "vet", "./..."}},
			test{dir: "local", args: []string{"./..."}, without: []string{"/e2e", "/walkthrough"}},
		}},
		{"e2e", "the functions' binaries on the local services, wired by the golden template", []step{
			test{dir: "local", args: []string{"./..."}, only: "/e2e"},
		}},
		{"docs", "what the documents say to type, typed in a fresh copy", []step{
			test{dir: "local", args: []string{"./..."}, only: "/walkthrough"},
		}},
		{"demo", "what the README promises; DuckDB's answers over what the demo left", []step{
			command{args: []string{"make", "--silent", "demo"}, last: true},
			// never from the test cache, which does not see the demo's folder
			test{dir: "local", args: []string{"-tags=demo", "-count=1", "-run=DuckDB", "./demo"}},
		}},
	}
}

func main() {
	which := "test"
	if len(os.Args) > 1 {
		which = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if which == "fuzz" {
		each, pattern := 10*time.Second, ""
		if len(os.Args) > 2 {
			var err error
			if each, err = time.ParseDuration(os.Args[2]); err != nil || each <= 0 {
				fmt.Printf("fuzz: %q is no time such as 1m\n", os.Args[2])
				os.Exit(2)
			}
		}
		if len(os.Args) > 3 {
			pattern = os.Args[3]
		}
		if !fuzz(ctx, each, pattern) {
			stop()
			os.Exit(1)
		}
		return
	}
	stages := plan(which)
	if len(os.Args) > 2 {
		stages = slices.DeleteFunc(stages, func(s stage) bool { return !slices.Contains(os.Args[2:], s.name) })
	}
	start, sum, failed := time.Now(), counts{}, []string{}
	for _, s := range stages {
		fmt.Printf("== %-8s %s\n", s.name, s.about)
		began, c, result := time.Now(), counts{}, "ok"
		for _, step := range s.steps {
			done, err := step.run(ctx)
			c.add(done)
			if err == nil && done.skipped > 0 {
				err = fmt.Errorf("%d tests were skipped; a test that cannot run here must not be here", done.skipped)
			}
			if err != nil {
				fmt.Printf("   %v\n", err)
				result = "FAILED"
				failed = append(failed, s.name)
				break
			}
		}
		sum.add(c)
		fmt.Printf("   %-8s %-6s %6.1f s   %s\n", s.name, result, time.Since(began).Seconds(), c)
		if ctx.Err() != nil {
			break
		}
	}
	verdict := "ok"
	if len(failed) > 0 {
		verdict = "FAILED in " + strings.Join(failed, ", ")
	}
	if ctx.Err() != nil {
		verdict = "interrupted"
	}
	fmt.Printf("%s: stages=%d %s seconds=%.0f %s\n", which, len(stages), sum, time.Since(start).Seconds(), verdict)
	if verdict != "ok" {
		stop()
		os.Exit(1)
	}
}

// step is one thing to do.
type step interface {
	run(ctx context.Context) (counts, error)
}

// command must end with status 0; its output is shown if it does not.
type command struct {
	dir  string
	args []string
	last bool // show the last line of what it said
}

func (c command) run(ctx context.Context) (counts, error) {
	out, err := start(ctx, c.dir, c.args).CombinedOutput()
	if err != nil {
		os.Stdout.Write(out)
		return counts{}, fmt.Errorf("%s: %w", strings.Join(c.args, " "), err)
	}
	if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); c.last {
		fmt.Println("   " + lines[len(lines)-1])
	}
	return counts{}, nil
}

// existing are those of the folders that are there.
func existing(folders ...string) []string {
	return slices.DeleteFunc(folders, func(f string) bool {
		_, err := os.Stat(strings.TrimSuffix(f, "/..."))
		return err != nil
	})
}

// gofmt fails if a file of the repository is not formatted.
type gofmt struct{}

func (gofmt) run(ctx context.Context) (counts, error) {
	out, err := start(ctx, "", append([]string{"gofmt", "-l"}, existing(".ci", "bench", "cmd", "functions", "infra", "local", "shared")...)).CombinedOutput()
	if err != nil {
		return counts{}, fmt.Errorf("gofmt: %w\n%s", err, out)
	}
	if len(out) > 0 {
		return counts{}, fmt.Errorf("not formatted, run make fmt:\n%s", out)
	}
	return counts{}, nil
}

func start(ctx context.Context, dir string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	// A test's own children end with it when it is asked to stop.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}
