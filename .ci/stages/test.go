package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// counts are tests, subtests among them.
type counts struct{ passed, failed, skipped int }

func (c *counts) add(o counts) {
	c.passed += o.passed
	c.failed += o.failed
	c.skipped += o.skipped
}

func (c counts) String() string {
	return fmt.Sprintf("tests=%d failed=%d skipped=%d", c.passed+c.failed+c.skipped, c.failed, c.skipped)
}

// test runs go test over packages and counts what it ran.
type test struct {
	dir  string
	args []string
	// only and without narrow the packages by a part of their path.
	only    string
	without []string
	env     []string // beside this process's
}

// event is a line of go test -json.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
}

func (t test) run(ctx context.Context) (counts, error) {
	packages, err := t.packages(ctx)
	if err != nil {
		return counts{}, err
	}
	if len(packages) == 0 {
		return counts{}, fmt.Errorf("no package matches %s", strings.Join(t.args, " "))
	}
	cmd := start(ctx, t.dir, append([]string{"go", "test", "-json", "-timeout=40m"}, packages...))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return counts{}, err
	}
	cmd.Stderr = os.Stdout
	cmd.Env = append(cmd.Environ(), t.env...)
	if err := cmd.Start(); err != nil {
		return counts{}, fmt.Errorf("go test: %w", err)
	}
	c := read(out)
	if err := cmd.Wait(); err != nil {
		return c, fmt.Errorf("go test: %w", err)
	}
	return c, nil
}

// onARM runs a test as Lambda's arm64 processors do, which have instructions of
// their own in it: under an emulator of these processors, which .ci/run
// installs. On such a processor it has been run already.
type onARM struct{ test test }

func (t onARM) run(ctx context.Context) (counts, error) {
	if runtime.GOARCH == "arm64" {
		return counts{}, nil
	}
	for _, name := range []string{"qemu-aarch64-static", "qemu-aarch64"} {
		if _, err := exec.LookPath(name); err == nil {
			t.test.env = append(t.test.env, "GOARCH=arm64", "CGO_ENABLED=0")
			t.test.args = append([]string{"-exec=" + name}, t.test.args...)
			return t.test.run(ctx)
		}
	}
	fmt.Printf("   %s was not run for arm64: qemu-user is not installed\n", strings.Join(t.test.args, " "))
	return counts{}, nil
}

func (t test) packages(ctx context.Context) ([]string, error) {
	if t.only == "" && t.without == nil {
		return t.args, nil
	}
	out, err := start(ctx, t.dir, append([]string{"go", "list"}, t.args...)).Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var packages []string
	for p := range strings.FieldsSeq(string(out)) {
		left := func(part string) bool { return strings.Contains(p, part) }
		if strings.Contains(p, t.only) && !slices.ContainsFunc(t.without, left) {
			packages = append(packages, p)
		}
	}
	return packages, nil
}

// read counts the tests and shows the output of what failed.
func read(r io.Reader) counts {
	var c counts
	output := map[string][]string{}
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		if json.Unmarshal(line, &e) == nil {
			at := e.Package + e.ImportPath + " " + e.Test
			switch e.Action {
			case "output", "build-output":
				output[at] = append(output[at], e.Output)
			case "pass":
				if e.Test != "" {
					c.passed++
				}
				delete(output, at)
			case "skip":
				if e.Test != "" {
					c.skipped++
					show(output[at])
				}
				delete(output, at)
			case "fail", "build-fail":
				if e.Test != "" {
					c.failed++
				} else {
					// A process that dies ends no test: what it said stands
					// under the tests that were running.
					for _, k := range slices.Sorted(maps.Keys(output)) {
						if strings.HasPrefix(k, e.Package+" ") && k != at {
							show(output[k])
							delete(output, k)
						}
					}
				}
				show(output[at])
				delete(output, at)
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				fmt.Printf("   read the tests' output: %v\n", err)
			}
			return c
		}
	}
}

func show(lines []string) {
	for _, l := range lines {
		fmt.Print("   ", l)
	}
}
