package stranger_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A stranger who does what the two pages say ends with a repository whose tests
// pass: one file and fixtures for a format, one file and fixtures for a family,
// and nothing else by hand. It is done in a copy.
func TestAStrangerWhoFollowsTheDocumentationNeedsNothingElse(t *testing.T) {
	root := filepath.Join("..", "..", "..", "..")
	copied := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "shared", "docs"} {
		copyTo(t, filepath.Join(root, name), filepath.Join(copied, name))
	}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(copied, filepath.FromSlash(name))
		if _, err := os.Stat(path); err == nil {
			t.Fatalf("%s is there already", name)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("shared/dataset/paragraphs.go", within(t, filepath.Join(copied, "docs", "adding-a-format.md"), "dataset"))
	write("shared/handler/testdata/formats/paragraphs/workload.yaml", "model: us.amazon.nova-lite-v1:0\nprompt_template: 'Rate: {text}'\n")
	write("shared/handler/testdata/formats/paragraphs/upload.para", "one\ntwo\n\n\nthree\n")
	write("shared/model/parrot.go", within(t, filepath.Join(copied, "docs", "adding-a-family.md"), "model"))
	write("shared/model/testdata/parrot/usual.json", `{"said":"polly","why":"stop","tokens":{"in":3,"out":1}}`)
	write("shared/model/testdata/parrot/cut.json", `{"said":"pol","why":"length"}`)
	write("shared/model/testdata/parrot/nothing.json", `{"why":"stop"}`)

	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("go", append([]string{"test", "-trimpath", "-vet=off"}, args...)...)
		cmd.Dir = copied
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go test %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	// Before the tables and what comes back are written, the tests ask for them.
	for _, stale := range [][]string{{"./shared", "-run", "Docs"}, {"./shared/model", "-run", "Fixtures"}} {
		cmd := exec.Command("go", append([]string{"test", "-trimpath", "-vet=off"}, stale...)...)
		cmd.Dir = copied
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("go test %s passes: %s", strings.Join(stale, " "), out)
		}
	}
	run("./shared/model", "-run", "Fixtures", "-update")
	run("./shared/handler", "-run", "Format", "-update")
	run("./shared/workload", "-update")
	run("./shared", "-run", "Docs", "-update")
	run("./shared", "-run", "Docs")
	run("./shared/dataset", "./shared/model", "./shared/workload")
	run("./shared/handler", "-run", "Format")

	for file, want := range map[string]string{
		"docs/formats.md":                                 "| `paragraphs` | a paragraph of a text |",
		"docs/families.md":                                "| `parrot` | Parrot | yes |",
		"docs/workload.schema.json":                       `"paragraphs"`,
		"shared/model/testdata/parrot/cut.want":           `"stopReason": "max_tokens"`,
		"shared/handler/testdata/formats/paragraphs/want": `{"messages":[{"role":"user","content":[{"text":"Rate: one\ntwo"}]}]}`,
	} {
		text, err := os.ReadFile(filepath.Join(copied, filepath.FromSlash(file)))
		if err != nil || !bytes.Contains(text, []byte(want)) {
			t.Errorf("%s lacks %s (%v)", file, want, err)
		}
	}
}

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// within is the page's file as it stands in the package itself, which is the
// one that the page's file imports.
func within(t *testing.T, page, name string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := goBlock.FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s has no Go code", page)
	}
	code := strings.Replace(string(found[1]), "package stranger_test", "package "+name, 1)
	code = regexp.MustCompile(`(?m)^\s*"github.com/[^"]*/shared/`+name+"\"\n").ReplaceAllString(code, "")
	return regexp.MustCompile(`\b`+name+`\.`).ReplaceAllString(code, "")
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if e.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o644)
	})
	if err != nil {
		t.Fatal(fmt.Errorf("copy %s: %w", from, err))
	}
}
