package clients_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestTheAWSSDKForJavaScriptAgrees(t *testing.T) {
	modules, err := modules("javascript", "../../.build/clients")
	if err != nil {
		t.Fatal(err)
	}
	// The tests find their packages beside themselves, and the source folder
	// stays free of them: Go and its tools would read them.
	dir := t.TempDir()
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("javascript/*.mjs")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in javascript: %v", err)
	}
	for _, file := range append(files, "javascript/package.json") {
		if err := copyFile(filepath.Join(dir, filepath.Base(file)), file, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	suite := exec.CommandContext(t.Context(), "node", "--test", "--test-concurrency=2", "--test-reporter=./report.mjs", "--test-reporter-destination=stdout")
	suite.Dir, suite.Env = dir, append(os.Environ(), serve(t)...)
	ask(t, suite, 58)
}

// modules is the absolute path of a node_modules folder with exactly what the
// package's lock file says. It is made once for each state of the lock file and
// kept in the folder cache.
func modules(source, cache string) (string, error) {
	if _, err := exec.LookPath("npm"); err != nil {
		return "", fmt.Errorf("the JavaScript suite needs Node.js 20 or newer with npm in PATH: %w", err)
	}
	cache, err := filepath.Abs(cache)
	if err != nil {
		return "", err
	}
	lock, err := os.ReadFile(filepath.Join(source, "package-lock.json"))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(lock)
	ready := filepath.Join(cache, "javascript-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(ready); err == nil {
		return filepath.Join(ready, "node_modules"), nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	making, err := os.MkdirTemp(cache, "making-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(making) // moved away when all went well
	for _, name := range []string{"package.json", "package-lock.json"} {
		if err := copyFile(filepath.Join(making, name), filepath.Join(source, name), 0o644); err != nil {
			return "", err
		}
	}
	npm := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	npm.Dir = making
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci of %s (it needs the npm registry once; later runs use %s): %w\n%s", source, cache, err, out)
	}
	// Go tools look into this folder no more than into a module of its own.
	if err := os.WriteFile(filepath.Join(making, "go.mod"), []byte("module javascript\n"), 0o644); err != nil {
		return "", err
	}
	if err := os.Rename(making, ready); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err // existing: another test was faster
	}
	return filepath.Join(ready, "node_modules"), nil
}
