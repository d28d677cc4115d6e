package answer

import (
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/model/schema"
)

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

// ForgetIndexes has indexes be too large to be kept for the time of a test.
func ForgetIndexes(t testing.TB) {
	before := sizes
	t.Cleanup(func() { sizes = before })
	sizes.index = 8 // bytes
}

// Structured reads an answer's text, as it stands between quotes, as JSON.
func Structured(quoted []byte, s *schema.Schema) (value []byte, wrong string) {
	r := lineReader{schema: s}
	r.answer.AddText(quoted)
	return r.structured()
}

// Position finds a row among those of an index.
func Position(rows []int64, row int64) (int, bool) { return (&ordering{rows: rows}).position(row) }
