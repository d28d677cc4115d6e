package answer

import "testing"

// ReadInSteps sets for the time of a test how much of an output is read at
// once, the longest line, and the number of workers; 0 leaves what is.
func ReadInSteps(t testing.TB, block, line, workers int) {
	t.Helper()
	before := sizes
	t.Cleanup(func() { sizes = before })
	for _, s := range []struct {
		to *int
		n  int
	}{{&sizes.block, block}, {&sizes.line, line}, {&sizes.workers, workers}} {
		if s.n > 0 {
			*s.to = s.n
		}
	}
}
