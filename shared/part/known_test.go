package part_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/part"
)

// mixed is rowsOf with every row known that is not among the records wanted.
func mixed(sizes []int, known func(i int) bool) []part.Item {
	items := rowsOf(sizes)
	for i := range items {
		if item := &items[i]; item.Record != nil && known(i) {
			item.Record, item.Aside, item.Known = nil, item.Record, true
		}
	}
	return items
}

func TestKnownRowsTravelInOrderAndCountTowardsNoQuota(t *testing.T) {
	quota := part.Quota{MinRecords: 3, MaxRecords: 8, MaxBytes: 1000}
	sizes := equal(100, 20)
	sizes[50] = -20
	sink := build(t, quota, part.Options{}, mixed(sizes, func(i int) bool { return i%10 != 0 })) // records: rows 1, 11, ... but 51
	if len(sink.parts) != 2 {
		t.Fatalf("parts: %+v", sink.parts)
	}
	first, second := sink.parts[0], sink.parts[1]
	if first.Records+second.Records != 9 || first.Known+second.Known != 90 || first.Aside+second.Aside != 1 || first.Small || second.Small {
		t.Errorf("parts: %+v", sink.parts)
	}
	if first.FirstRow != 1 || first.LastRow+1 != second.FirstRow || second.LastRow != 100 {
		t.Errorf("rows: %+v", sink.parts)
	}
	last := 0
	for n := range sink.parts {
		lines, index := bytes.Lines(sink.bytes(n, part.Known)), part.NewIndexReader(bytes.NewReader(sink.bytes(n, part.KnownIndex)))
		for line := range lines {
			entry, err := index.Next()
			if err != nil || !bytes.HasPrefix(line, fmt.Appendf(nil, "%d:", entry.Row)) || int(entry.Row) <= last {
				t.Fatalf("part %d: %q stands with row %d behind row %d: %v", n, line, entry.Row, last, err)
			}
			last = int(entry.Row)
		}
	}
}

func TestKnownRowsAloneMakePartsWithoutRecords(t *testing.T) {
	sink := build(t, part.Quota{MinRecords: 3, MaxRecords: 8, MaxBytes: 1000}, part.Options{MaxKnown: 40}, mixed(equal(100, 20), func(int) bool { return true }))
	if len(sink.parts) != 3 {
		t.Fatalf("parts: %+v", sink.parts)
	}
	for n, want := range []int{40, 40, 20} {
		if p := sink.parts[n]; p.Known != want || p.Records != 0 || p.Small || sink.bytes(n, part.Records) != nil || sink.bytes(n, part.Index) != nil {
			t.Errorf("part %d: %+v", n, p)
		}
	}
}

// Whatever rows are known between the records: parts cover all rows in order,
// are legal, and a builder that goes on behind any of them makes the same.
func TestPartsWithKnownRowsAreLegalAndCanBeResumed(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		quota := part.Quota{MinRecords: 1 + r.IntN(4), MaxRecords: 8, MaxBytes: 400}
		opt := part.Options{MaxKnown: 5 + r.IntN(40), MaxAside: 5 + r.IntN(20), Memory: 64 << r.IntN(8), TempDir: t.TempDir()}
		sizes := make([]int, r.IntN(120))
		for i := range sizes {
			sizes[i] = 10 + r.IntN(60)
			if r.IntN(10) == 0 {
				sizes[i] = -sizes[i]
			}
		}
		share := r.Float64()
		items := mixed(sizes, func(int) bool { return r.Float64() < share })
		whole := build(t, quota, opt, items)
		row, known := int64(1), 0
		for n, p := range whole.parts {
			if p.FirstRow != row || p.Records > quota.MaxRecords || p.Known > opt.MaxKnown || p.Bytes > quota.MaxBytes && !p.Small {
				t.Fatalf("seed %d, part %d: %+v", seed, n, p)
			}
			if p.Small != (p.Records > 0 && p.Records < quota.MinRecords || p.Bytes > quota.MaxBytes) {
				t.Fatalf("seed %d, part %d: %+v", seed, n, p)
			}
			row, known = p.LastRow+1, known+p.Known
			rest := opt
			rest.First = n + 1
			if int(p.LastRow) < len(items) {
				if err := same(whole, build(t, quota, rest, items[p.LastRow:]), n+1); err != nil {
					t.Fatalf("seed %d: gone on behind part %d: %v", seed, n, err)
				}
			}
		}
		want := 0
		for _, item := range items {
			if item.Known {
				want++
			}
		}
		if int(row)-1 != len(items) || known != want {
			t.Fatalf("seed %d: %d of %d rows, %d of %d known", seed, row-1, len(items), known, want)
		}
	}
}
