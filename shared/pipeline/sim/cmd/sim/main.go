// Command sim runs schedules of the simulation and tells what they showed.
//
//	sim -seeds 20000 -start 1     many, on all processors
//	sim -seed 4711                one, with its trace
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline/sim"
)

var first bool

func main() {
	seeds := flag.Uint64("seeds", 1000, "number of schedules")
	start := flag.Uint64("start", 1, "the first seed")
	seed := flag.Uint64("seed", 0, "replay this one with its trace")
	limit := flag.Duration("for", 0, "stop after this long (0: never)")
	shown := flag.Int("show", 10, "violations to show")
	flag.BoolVar(&first, "first", false, "stop at the first violation")
	flag.Parse()
	debug.SetGCPercent(1000) // schedules make much short-lived garbage and keep little
	if *seed > 0 {
		os.Exit(replay(*seed))
	}
	os.Exit(many(*start, *seeds, *limit, *shown))
}

func replay(seed uint64) int {
	r := sim.Run(seed, os.Stdout)
	return finish([]sim.Report{r}, seed)
}

// many runs schedules on all processors.
func many(start, seeds uint64, limit time.Duration, shown int) int {
	began := time.Now()
	var mu sync.Mutex
	var reports []sim.Report
	next, wrong := start, 0
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for {
				mu.Lock()
				seed := next
				next++
				over := first && wrong > 0 || seed >= start+seeds || limit > 0 && time.Since(began) > limit
				mu.Unlock()
				if over {
					return
				}
				r := sim.Run(seed, io.Writer(nil))
				mu.Lock()
				reports = append(reports, r)
				if len(r.Violations) > 0 {
					if wrong++; wrong <= shown {
						fmt.Printf("seed %d: %s\n", r.Seed, r.Violations[0])
					}
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	fmt.Printf("%d schedules in %v, %.0f a second\n", len(reports), time.Since(began).Round(time.Millisecond), float64(len(reports))/time.Since(began).Seconds())
	return finish(reports, start)
}

// finish prints what the schedules showed.
func finish(reports []sim.Report, start uint64) int {
	places := map[sim.Place]int{}
	statuses := map[string]int{}
	faults, violations, together, calls := 0, 0, 0, 0
	var known int64
	for _, r := range reports {
		for place, n := range r.Crashes {
			places[place] += n
		}
		for status, n := range r.Statuses {
			statuses[status] += n
		}
		faults += r.Faults
		violations += len(r.Violations)
		calls += r.Calls
		known += r.Known
		if r.Together {
			together++
		}
	}
	covered, all := 0, 0
	for _, call := range memory.Calls() {
		if call == "Bucket.Abort" {
			continue // giving up an upload has no effect that anybody sees
		}
		before, after := places[sim.Place{Call: call}], places[sim.Place{Call: call, After: true}]
		for _, n := range []int{before, after} {
			all++
			if n > 0 {
				covered++
			}
		}
		fmt.Printf("crashes %-15s before %6d  after %6d\n", call, before, after)
	}
	var names []string
	for status := range statuses {
		names = append(names, status)
	}
	sort.Strings(names)
	for _, status := range names {
		fmt.Printf("notices %-20s %6d\n", status, statuses[status])
	}
	fmt.Printf("rows that were known and not paid again %d\n", known)
	fmt.Printf("calls=%d together=%d%% coverage=%d%% (%d of %d places to crash)\n", calls, 100*together/max(1, len(reports)), 100*covered/all, covered, all)
	fmt.Printf("sim: schedules=%d faults=%d violations=%d start=%d\n", len(reports), faults, violations, start)
	if violations > 0 {
		return 1
	}
	return 0
}
