package sim_test

import (
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/pipeline/sim"
)

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
