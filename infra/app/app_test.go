package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/infra/app"
)

func TestContextHoldsTheFlagsThatShapeTheTemplate(t *testing.T) {
	c, err := app.Context("../..")
	if err != nil {
		t.Fatal(err)
	}
	if c["stage"] != app.GoldenStage {
		t.Errorf("stage is %v", c["stage"])
	}
	flags := 0
	for k := range c {
		if strings.HasPrefix(k, "@aws-cdk/") {
			flags++
		}
	}
	if flags < 80 {
		t.Errorf("%d feature flags are set; without all of them a later version of CDK may replace resources", flags)
	}
}

func TestBinariesMustBeThereAndExecutable(t *testing.T) {
	dist := t.TempDir()
	put := func(name string, mode os.FileMode) {
		if err := os.MkdirAll(filepath.Join(dist, name), 0o755); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dist, name, "bootstrap")
		if err := os.WriteFile(file, []byte(name), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	put("submit", 0o644)
	err := app.Binaries(dist)
	for _, part := range []string{"submit/bootstrap may not be executed", "collect/bootstrap is not there", "make build"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in %v", part, err)
		}
	}
	put("submit", 0o755)
	put("collect", 0o755)
	if err := app.Binaries(dist); err != nil {
		t.Error(err)
	}
}
