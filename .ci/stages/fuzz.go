package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// target is one fuzz test.
type target struct{ dir, folder, name string }

func (t target) String() string { return filepath.Join(t.dir, t.folder) + " " + t.name }

var declared = regexp.MustCompile(`(?m)^func (Fuzz\w*)\(\w+ \*testing\.F\)`)

// targets are the fuzz tests of a module below the folders, in the order of
// their names.
func targets(dir string, folders ...string) ([]target, error) {
	var all []target
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(dir, folder), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, found := range declared.FindAllSubmatch(text, -1) {
				at, err := filepath.Rel(dir, filepath.Dir(path))
				if err != nil {
					return err
				}
				all = append(all, target{dir, "./" + filepath.ToSlash(at), string(found[1])})
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for fuzz tests: %w", err)
		}
	}
	slices.SortFunc(all, func(a, b target) int { return strings.Compare(a.String(), b.String()) })
	return all, nil
}

// fuzz runs the fuzz tests whose names fit the pattern in turn, each for so
// long, and prints a line for each and one for all. An input that fails is
// kept by the toolchain below testdata/fuzz, where every later test meets it.
func fuzz(ctx context.Context, each time.Duration, pattern string) bool {
	fits, err := regexp.Compile(pattern)
	if err != nil {
		fmt.Printf("fuzz: %v\n", err)
		return false
	}
	var all []target
	for dir, folders := range map[string][]string{".": existing("functions", "shared", "cmd", "infra"), "local": {"."}} {
		found, err := targets(dir, folders...)
		if err != nil {
			fmt.Printf("fuzz: %v\n", err)
			return false
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, func(a, b target) int { return strings.Compare(a.String(), b.String()) })
	all = slices.DeleteFunc(all, func(t target) bool { return !fits.MatchString(t.String()) })
	var sum int64
	ran, failed := 0, 0
	for _, t := range all {
		if ctx.Err() != nil {
			break
		}
		executions, output, err := t.run(ctx, each)
		ran++
		sum += executions
		result := "ok"
		if err != nil {
			failed++
			result = "FAILED"
			show(output)
		}
		fmt.Printf("fuzz: %s executions=%d %s\n", t, executions, result)
	}
	fmt.Printf("fuzz: targets=%d executions=%d failed=%d\n", ran, sum, failed)
	return ran > 0 && failed == 0 && ctx.Err() == nil
}

var progress = regexp.MustCompile(`^fuzz: elapsed: .* execs: (\d+) `)

// run runs one target. Its executions are those that the toolchain told last.
// Making an input smaller is given little time: code that works side by side
// covers now more, now less, so that the toolchain would try for a minute each.
func (t target) run(ctx context.Context, each time.Duration) (executions int64, output []string, err error) {
	cmd := start(ctx, t.dir, []string{"go", "test", "-run", "^$", "-fuzz", "^" + t.name + "$", "-fuzztime", each.String(), "-fuzzminimizetime", "1s", t.folder})
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, nil, err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return 0, nil, fmt.Errorf("go test: %w", err)
	}
	lines := bufio.NewReader(out)
	for {
		line, rerr := lines.ReadString('\n')
		if found := progress.FindStringSubmatch(line); found != nil {
			executions, err = strconv.ParseInt(found[1], 10, 64)
		} else if line != "" {
			output = append(output, line)
		}
		if rerr != nil || err != nil {
			_, _ = io.Copy(io.Discard, out)
			break
		}
	}
	if werr := cmd.Wait(); werr != nil {
		return executions, output, werr
	}
	return executions, output, err
}
