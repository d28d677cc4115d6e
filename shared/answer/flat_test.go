package answer_test

import (
	"context"
	"fmt"
	"io"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// generated is an output that is never in memory as a whole: the rows from
// last down to first.
type generated struct {
	next   int64
	answer string
	rest   string
	peak   *uint64
}

func (g *generated) Read(p []byte) (int, error) {
	if g.rest == "" {
		if g.next == 0 {
			return 0, io.EOF
		}
		g.rest = converse(g.next, g.answer)
		g.next--
		if g.next%500 == 0 {
			sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
			metrics.Read(sample)
			*g.peak = max(*g.peak, sample[0].Value.Uint64())
		}
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

func TestMemoryIsFlatInTheSizeOfTheOutput(t *testing.T) {
	const small, large = 5_000, 30_000 // 20 and 120 MB
	peaks := map[int64]uint64{}
	for _, records := range []int64{small, large} {
		var rows []int64
		for row := int64(1); row <= records; row++ {
			rows = append(rows, row)
		}
		idx := index(rows...)
		rows = nil
		var peak uint64
		says := strings.Repeat("flat as a pancake ", 220)
		tally, err := answer.Order(t.Context(), answer.Job{
			Index: text(idx),
			Outputs: []answer.Output{{Open: func(context.Context) (io.ReadCloser, error) {
				return io.NopCloser(&generated{next: records, answer: says, peak: &peak}), nil
			}}},
			Invocation: batch.Converse, Dir: t.TempDir(), Memory: 4 << 20, Spill: 1 << 30,
			Results: io.Discard, Failed: io.Discard,
		})
		if err != nil || tally.Answered != records || tally.Passes != 1 {
			t.Fatal(tally, err)
		}
		peaks[records] = peak
	}
	// What may grow is some 40 bytes a row, and its index, which the test
	// keeps in memory.
	if room := peaks[small] + 16<<20; peaks[large] > room {
		t.Errorf("heap at %s", fmt.Sprint(peaks))
	}
}
