package e2e

import "testing"

// TestAHugeUploadTakesManySlicesOfEachFunction is an upload that a function
// with little time cannot finish at once: the store is slow, so that on any
// machine the time goes with the parts, not with the processor.
func TestAHugeUploadTakesManySlicesOfEachFunction(t *testing.T) {
	t.Parallel()
	const rows, seconds, least = 16_800, 4, 5
	u := begin(t, hasty(seconds, "--slow-s3", "150ms", "--job-time", "1s",
		// Order is restored with little memory and space: in several passes.
		"--set", "memory_bytes=1000", "--set", "spill_bytes=7000"))
	u.settings("", nova)
	u.drop("huge.jsonl", prompts(rows))
	// A machine that is busy may let a slice run over its end: then the message
	// comes again when its visibility ends.
	u.within(4**patience, "the notice", func() string {
		if len(u.said()) == 0 {
			return u.brief("")
		}
		return ""
	})
	u.completed("huge.jsonl", rows)
	if jobs := len(u.jobs()); jobs != rows/240 {
		t.Errorf("%d jobs, want %d", jobs, rows/240)
	}
	for _, function := range []string{"submit", "collect"} {
		slices := 0
		for _, i := range u.invocations(t, function) {
			// Two thirds of the time are for work, a third for putting things
			// in order: who took so long had to leave something for the next.
			if i.Outcome != "crash" && i.DurationMS >= seconds*1000*2/3 {
				slices++
			}
		}
		t.Logf("%s: %d slices used up", function, slices)
		if slices < least {
			t.Errorf("%s used up %d slices of %d s, want at least %d", function, slices, seconds, least)
		}
	}
	u.ended()
}
