package workload_test

import (
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

func TestGlobs(t *testing.T) {
	for _, c := range []struct {
		glob, name string
		want       bool
	}{
		{"*.txt", "a.txt", true},
		{"*.txt", "deep/er/a.txt", true},
		{"*.txt", "a.md", false},
		{"sub/*.txt", "sub/a.txt", true},
		{"sub/*.txt", "other/a.txt", false},
		{"**/*.md", "a.md", true},
		{"**/*.md", "x/y/a.md", true},
		{"drafts/**", "drafts/x/y.md", true},
		{"drafts/**", "final/x.md", false},
		{"**", "anything/at/all", true},
		{"[", "[", false},
	} {
		if got := workload.Match(c.glob, c.name); got != c.want {
			t.Errorf("%s on %s: %v", c.glob, c.name, got)
		}
	}
}
