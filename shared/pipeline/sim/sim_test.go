package sim_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline/sim"
)

// Schedules make much short-lived garbage and keep little.
func TestMain(m *testing.M) {
	debug.SetGCPercent(1000)
	os.Exit(m.Run())
}

// schedules is how many the test runs; make sim runs more.
const schedules = 2000

func TestWhatMustAlwaysBeTrueIsTrueUnderFaults(t *testing.T) {
	n := uint64(schedules)
	if testing.Short() {
		n = 200
	}
	places := map[sim.Place]int{}
	together, faults, shown := 0, 0, 0
	var mu sync.Mutex
	next := uint64(0)
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for {
				mu.Lock()
				next++
				seed := next
				mu.Unlock()
				if seed > n {
					return
				}
				r := sim.Run(seed, nil)
				mu.Lock()
				for place, times := range r.Crashes {
					places[place] += times
				}
				faults += r.Faults
				if r.Together {
					together++
				}
				if len(r.Violations) > 0 && shown < 5 {
					shown++
					t.Errorf("seed %d (make sim SEED=%d tells all): %s", seed, seed, strings.Join(r.Violations, "\n"))
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	t.Logf("%d schedules, %d faults, %d with several invocations at once", n, faults, together)
	if 3*together < int(n) {
		t.Errorf("in %d of %d schedules several invocations were alive at once, want a third", together, n)
	}
	if testing.Short() {
		return
	}
	for _, call := range memory.Calls() {
		for _, after := range []bool{false, true} {
			if call != "Bucket.Abort" && places[sim.Place{Call: call, After: after}] == 0 {
				t.Errorf("no invocation died at %s (behind its effect: %v)", call, after)
			}
		}
	}
}

func TestASeedRepeatsItsSchedule(t *testing.T) {
	for seed := range uint64(40) {
		var one, two strings.Builder
		first, again := sim.Run(seed+1, &one), sim.Run(seed+1, &two)
		if first.Digest != again.Digest || one.String() != two.String() || fmt.Sprint(first.Violations) != fmt.Sprint(again.Violations) {
			t.Errorf("seed %d: two runs differ", seed+1)
		}
	}
}
