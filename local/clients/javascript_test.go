package clients_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/local/npm"
)

func TestTheAWSSDKForJavaScriptAgrees(t *testing.T) {
	modules, err := npm.Modules("javascript", "../../.build/clients", "javascript")
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
	ask(t, suite, 63)
}
