package template_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// guides are the documents that tell people what to type.
func guides(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(all) == 0 {
		t.Fatalf("no docs: %v", err)
	}
	for i, name := range all {
		all[i] = filepath.Join("docs", filepath.Base(name))
	}
	return append(all, "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
}

func TestTheDocsNameTargetsThatExist(t *testing.T) {
	makefile := read(t, "Makefile")
	command := regexp.MustCompile("(?m)(?:^|`|&& )make ([a-z-]+)")
	found := 0
	for _, name := range guides(t) {
		for _, m := range command.FindAllStringSubmatch(read(t, name), -1) {
			found++
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s says make %s, which the Makefile does not know", name, m[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d commands found: the pattern does not fit any more", found)
	}
}

func TestTheDocsPointToFilesThatExist(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	example := regexp.MustCompile(`\bexamples/[a-z0-9./-]+`)
	for _, name := range guides(t) {
		text := read(t, name)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s: link to %s: %v", name, m[1], err)
			}
		}
		for _, path := range example.FindAllString(text, -1) {
			if _, err := os.Stat(filepath.Join(root, strings.TrimRight(path, "."))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Alarms and queries of others rely on the names that the runbook lists.
func TestWhatTheRunbookSaysIsLoggedIsLogged(t *testing.T) {
	var code strings.Builder
	for _, folder := range []string{"shared/pipeline", "shared/handler"} {
		files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f, "_test.go") {
				code.WriteString(read(t, strings.TrimPrefix(f, root+"/")))
			}
		}
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	rows := 0
	for line := range strings.Lines(read(t, "docs/operations.md")) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !regexp.MustCompile(`^ (INFO|WARN|ERROR) $`).MatchString(cells[1]) {
			continue
		}
		rows++
		for _, m := range quoted.FindAllStringSubmatch(cells[2]+cells[3], -1) {
			if !strings.Contains(code.String(), `"`+m[1]+`"`) {
				t.Errorf("docs/operations.md lists %q, which nothing logs", m[1])
			}
		}
	}
	if rows < 10 {
		t.Errorf("only %d lines of the table found", rows)
	}
	// And the other way round: what is told is listed.
	told := regexp.MustCompile(`(?:\.note\(ctx, |\.(?:WarnContext|ErrorContext)\(ctx, )"([^"]+)"`).FindAllStringSubmatch(code.String(), -1)
	for _, m := range told {
		if !strings.Contains(read(t, "docs/operations.md"), "`"+m[1]+"`") {
			t.Errorf("%q is logged, but docs/operations.md does not list it", m[1])
		}
	}
	if len(told) < 20 {
		t.Errorf("only %d messages found in the code: the pattern does not fit any more", len(told))
	}
}

func TestTheRunbookListsEveryMetric(t *testing.T) {
	names := regexp.MustCompile(`(?m)^\s+Metric\w+\s*= "(\w+)"|^const Metric\w+ = "(\w+)"`).FindAllStringSubmatch(read(t, "shared/config/metrics.go"), -1)
	runbook := read(t, "docs/operations.md")
	for _, m := range names {
		if name := m[1] + m[2]; !strings.Contains(runbook, "`"+name+"`") {
			t.Errorf("docs/operations.md does not list the metric %s", name)
		}
	}
	if len(names) < 19 {
		t.Errorf("only %d metrics found: the pattern does not fit any more", len(names))
	}
}
