package sim_test

import (
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/pipeline/sim"
)

// Schedules make much short-lived garbage and keep little.
func TestMain(m *testing.M) {
	debug.SetGCPercent(1000)
	os.Exit(m.Run())
}

func TestSchedules(t *testing.T) {
	for seed := range uint64(300) {
		r := sim.Run(seed+1, nil)
		if len(r.Violations) > 0 {
			var b strings.Builder
			sim.Run(seed+1, &b)
			t.Errorf("seed %d: %s", r.Seed, strings.Join(r.Violations, "\n"))
		}
	}
}
