package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every operation is called by some test, in Go or in JavaScript: the name
// stands there as the SDKs write it.
func TestEverySupportedOperationIsCalledByATest(t *testing.T) {
	var tests strings.Builder
	err := filepath.WalkDir(filepath.Join(source, "../.."), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, ".test.mjs") {
			return err
		}
		data, err := os.ReadFile(path)
		tests.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range apis() {
		for _, operation := range service.operations {
			called := false
			for _, call := range []string{"." + operation + "(", "new " + operation + "Command(", "paginate" + operation + "("} {
				called = called || strings.Contains(tests.String(), call)
			}
			if !called {
				t.Errorf("%s: no test calls %s", service.name, operation)
			}
		}
	}
}
