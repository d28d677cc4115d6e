// Command mutants puts deliberate faults into the product, one at a time, and
// shows that each is caught: by the test that is named for it, or by the
// simulation. What catches none proves none.
//
//	mutants            all
//	mutants -run wake  those whose name holds the text
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

func main() {
	run := flag.String("run", "", "only those whose name holds this text")
	seeds := flag.Int("seeds", 6000, "schedules to try at most")
	dir := flag.String("shared", "shared", "the folder of the product's packages")
	parallel := flag.Int("parallel", 2, "mutants at once")
	flag.Parse()
	if err := all(*dir, *run, *seeds, *parallel); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// all runs the mutants and prints what caught each.
func all(dir, run string, seeds, parallel int) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	var chosen []mutant
	for _, m := range list {
		if strings.Contains(m.Name, run) {
			chosen = append(chosen, m)
		}
	}
	work := make(chan int)
	var mu sync.Mutex
	var group sync.WaitGroup
	caught := 0
	for range parallel {
		group.Go(func() {
			for n := range work {
				m := chosen[n]
				began := time.Now()
				by, err := m.catch(dir, filepath.Join(temp, fmt.Sprint(n)), seeds)
				mu.Lock()
				if err != nil {
					fmt.Printf("NOT CAUGHT  %s: %v\n", m.Name, err)
				} else {
					caught++
					fmt.Printf("caught  %s\n        by %s (%v)\n", m.Name, by, time.Since(began).Round(time.Second))
				}
				mu.Unlock()
			}
		})
	}
	for n := range chosen {
		work <- n
	}
	close(work)
	group.Wait()
	fmt.Printf("mutants: caught=%d of %d\n", caught, len(chosen))
	if caught < len(chosen) {
		return errors.New("some faults were not noticed")
	}
	return nil
}

// catch builds the product with the fault and returns what caught it.
func (m mutant) catch(dir, temp string, seeds int) (by string, err error) {
	if err := os.MkdirAll(temp, 0o755); err != nil {
		return "", err
	}
	overlay, err := m.overlay(dir, temp)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(temp, "binary")
	if m.Test != "" {
		if out, err := goRun(dir, "test", "-c", "-overlay", overlay, "-o", binary, "./"+m.Package); err != nil {
			return "", fmt.Errorf("it does not compile: %w\n%s", err, out)
		}
		cmd := exec.Command(binary, "-test.run", "^"+m.Test+"$", "-test.timeout", "120s")
		cmd.Dir = filepath.Join(dir, m.Package)
		out, err := cmd.CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("--- FAIL")) {
			return "", fmt.Errorf("%s passes: %.300s", m.Test, out)
		}
		return m.Test + ": " + failure(out), nil
	}
	if out, err := goRun(dir, "build", "-overlay", overlay, "-o", binary, "./pipeline/sim/cmd/sim"); err != nil {
		return "", fmt.Errorf("it does not compile: %w\n%s", err, out)
	}
	out, err := exec.Command(binary, "-first", "-show", "1", "-for", "4m", "-seeds", fmt.Sprint(seeds)).CombinedOutput()
	if err == nil {
		return "", fmt.Errorf("no violation in %d schedules", seeds)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "seed ") {
			return "the simulation: " + cut(strings.TrimSpace(line)), nil
		}
	}
	return "", fmt.Errorf("the simulation broke: %w: %.500s", err, out)
}

func cut(s string) string {
	if len(s) > 180 {
		return s[:180] + "..."
	}
	return s
}

// failure is what a failing test said first.
func failure(out []byte) string {
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "_test.go:") {
			return cut(strings.TrimSpace(line))
		}
	}
	return "it fails"
}

// overlay writes the file with the fault and the list that puts it in the
// place of the right one.
func (m mutant) overlay(dir, temp string) (string, error) {
	path := filepath.Join(dir, filepath.FromSlash(m.File))
	source, err := m.apply(path)
	if err != nil {
		return "", err
	}
	wrong := filepath.Join(temp, "wrong.go")
	if err := os.WriteFile(wrong, source, 0o644); err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: wrong}})
	if err != nil {
		return "", err
	}
	file := filepath.Join(temp, "overlay.json")
	return file, os.WriteFile(file, replace, 0o644)
}

// apply is the file at path with the fault in it.
func (m mutant) apply(path string) ([]byte, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(source, []byte(m.Old)); n != 1 {
		return nil, fmt.Errorf("%s holds the text %d times that stands for %q; it must stand there once", m.File, n, m.Name)
	}
	return bytes.Replace(source, []byte(m.Old), []byte(m.New), 1), nil
}

func goRun(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	return cmd.CombinedOutput()
}
