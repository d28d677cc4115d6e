package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var (
	keep = flag.Bool("keep", false, "keep the services' folders (data, logs, e-mail) after the tests")
	// many times what it takes on an idle machine
	patience = flag.Duration("patience", 2*time.Minute, "how long a test waits for one thing to come")
)

// programs is a private copy of what make builds, so that a build beside the
// tests does not change them half way.
var programs struct{ root, dir, services, functions, template string }

func TestMain(m *testing.M) {
	if os.Getenv(misbehaving) != "" {
		misbehave()
	}
	flag.Parse()
	os.Exit(all(m))
}

func all(m *testing.M) (code int) {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		return fail(err)
	}
	defer func() {
		if *keep {
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			code = fail(err)
		}
	}()
	if err := build(dir); err != nil {
		return fail(err)
	}
	// The tests wait more than they work: several share the processors.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("6"); err != nil {
			return fail(err)
		}
	}
	if code = m.Run(); code != 0 {
		return code
	}
	if flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" {
		if err := rights.check(); err != nil {
			return fail(err)
		}
	}
	return 0
}

// build makes the programs and copies them to dir.
func build(dir string) error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	if out, err := exec.Command("make", "--silent", "-C", root, "build-local").CombinedOutput(); err != nil {
		return fmt.Errorf("make build-local: %w\n%s", err, out)
	}
	programs.root, programs.dir = root, dir
	programs.services, programs.functions = filepath.Join(dir, "local"), filepath.Join(dir, "functions")
	programs.template = filepath.Join(dir, "template.json")
	for from, to := range map[string]string{
		".build/local":                               programs.services,
		"dist/local/submit/bootstrap":                filepath.Join(programs.functions, "submit/bootstrap"),
		"dist/local/collect/bootstrap":               filepath.Join(programs.functions, "collect/bootstrap"),
		"infra/template/bedrock-batch.template.json": programs.template,
	} {
		data, err := os.ReadFile(filepath.Join(root, from))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o755); err != nil {
			return err
		}
	}
	return nil
}
