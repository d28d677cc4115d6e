package walkthrough_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/local/walkthrough"
)

const root = "../.."

// made are the folders that commands make in a checkout: no part of a fresh one.
var made = []string{".git", ".build", ".local", "cdk.out", "dist", "node_modules"}

// walk visits the files that a fresh checkout has, by their path in it.
func walk(visit func(path string, d fs.DirEntry) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if slices.Contains(made, rel) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil // in a linked worktree .git is a file
		}
		return visit(rel, d)
	})
}

// documents are all that the repository has, by their path in it.
func documents(t *testing.T) map[string]walkthrough.Document {
	t.Helper()
	all := map[string]walkthrough.Document{}
	err := walk(func(path string, d fs.DirEntry) error {
		if d.IsDir() || filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return err
		}
		if all[path], err = walkthrough.Read(string(text)); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", filepath.Join("docs", "deploy.md")} {
		if len(all[name].Blocks) == 0 {
			t.Fatalf("no block was found in %s", name)
		}
	}
	return all
}

func TestEveryBlockOfTheDocumentsIsRunOrSaysWhyNot(t *testing.T) {
	run, not := 0, map[string]int{}
	for name, d := range documents(t) {
		for _, b := range d.Blocks {
			if err := b.Check(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if b.Commands() && b.NotRun == "" {
				run++
			} else if b.Commands() {
				not[b.NotRun]++
			}
		}
	}
	for _, reason := range walkthrough.Reasons {
		if not[reason] == 0 {
			t.Errorf("no block is left out because it %q: take the reason out of the list", reason)
		}
	}
	t.Logf("blocks that are run: %d; that are not: %v", run, not)
}

// checkout lays a fresh copy of the repository. What was built in the folder
// before stays, for it would be built again to the same bytes.
func checkout(to string) error {
	entries, err := os.ReadDir(to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !slices.Contains([]string{".build", "dist"}, e.Name()) {
			if err := os.RemoveAll(filepath.Join(to, e.Name())); err != nil {
				return err
			}
		}
	}
	return walk(func(path string, d fs.DirEntry) error {
		target := filepath.Join(to, path)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no file", path)
		}
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, info.Mode().Perm())
	})
}

// script is a document's session. It ends at the first command that fails and
// says where it is.
func script(name string, d walkthrough.Document) (text string, local bool) {
	var b strings.Builder
	b.WriteString("set -e -o pipefail\n")
	if d.Local {
		b.WriteString(". .local/env\n")
	}
	local = d.Local
	for _, block := range d.Blocks {
		switch {
		case !block.Commands() || block.NotRun != "":
		case block.Terminal():
			local = true
		default:
			fmt.Fprintf(&b, "echo '== %s:%d'\n%s", name, block.Line, block.Text)
		}
	}
	return b.String(), local
}
