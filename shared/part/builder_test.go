package part_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
)

// kept is a sink that keeps everything.
type kept struct {
	parts   []part.Part
	streams []map[part.Stream]*bytes.Buffer // by part
	first   int
}

func (k *kept) Open(n int, s part.Stream) (io.Writer, error) {
	if n-k.first != len(k.parts) {
		return nil, fmt.Errorf("part %d opened while part %d is next", n, len(k.parts)+k.first)
	}
	for len(k.streams) <= n-k.first {
		k.streams = append(k.streams, map[part.Stream]*bytes.Buffer{})
	}
	if k.streams[n-k.first][s] != nil {
		return nil, fmt.Errorf("%s of part %d opened twice", s, n)
	}
	buffer := new(bytes.Buffer)
	k.streams[n-k.first][s] = buffer
	return buffer, nil
}

func (k *kept) Closed(p part.Part) error {
	for len(k.streams) <= p.N-k.first {
		k.streams = append(k.streams, map[part.Stream]*bytes.Buffer{})
	}
	k.parts = append(k.parts, p)
	return nil
}

func (k *kept) bytes(n int, s part.Stream) []byte {
	if b := k.streams[n][s]; b != nil {
		return b.Bytes()
	}
	return nil
}

// rowsOf makes items one behind the other: positive sizes are records,
// negative ones set-aside rows.
func rowsOf(sizes []int) []part.Item {
	items := make([]part.Item, len(sizes))
	off := int64(0)
	for i, size := range sizes {
		number := int64(i + 1)
		item := part.Item{Row: number}
		line := fmt.Appendf(nil, "%d:", number)
		for len(line) < max(size, -size)-1 {
			line = append(line, byte('a'+number%26))
		}
		line = append(line, '\n')
		if size > 0 {
			item.Record = line
			item.Line = part.AppendEntry(nil, part.Entry{Row: number, Off: off, Len: int64(size), Source: part.NoSource})
		} else {
			item.Aside = line
		}
		item.At = dataset.Position{Row: number, Line: number, Off: off}
		off += int64(len(line)) + number%3 // line ends and blank lines
		item.Next = dataset.Position{Row: number + 1, Line: number + 1, Off: off}
		items[i] = item
	}
	return items
}

func equal(n, size int) []int {
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = size
	}
	return sizes
}

func build(t testing.TB, q part.Quota, opt part.Options, items []part.Item) *kept {
	t.Helper()
	sink := &kept{first: opt.First}
	b, err := part.NewBuilder(q, sink, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, item := range items {
		if err := b.Add(item); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.End(); err != nil {
		t.Fatal(err)
	}
	for _, group := range []int{1, 13} {
		if err := same(sink, lend(t, q, opt, items, group), 0); err != nil {
			t.Fatalf("rows lent in groups of %d: %v", group, err)
		}
	}
	return sink
}

// lend is build with rows whose bytes are lent, and overwritten as soon as the
// builder owns what it needs.
func lend(t testing.TB, q part.Quota, opt part.Options, items []part.Item, group int) *kept {
	t.Helper()
	sink := &kept{first: opt.First}
	b, err := part.NewBuilder(q, sink, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for some := range slices.Chunk(items, group) {
		var lent [][]byte
		for _, item := range some {
			item.Record, item.Aside, item.Line = bytes.Clone(item.Record), bytes.Clone(item.Aside), bytes.Clone(item.Line)
			lent = append(lent, item.Record, item.Aside, item.Line)
			if err := b.Lend(item); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Own(); err != nil {
			t.Fatal(err)
		}
		for _, bytes := range lent {
			clear(bytes)
		}
	}
	if err := b.End(); err != nil {
		t.Fatal(err)
	}
	return sink
}

func counts(k *kept) []int {
	var all []int
	for _, p := range k.parts {
		all = append(all, p.Records)
	}
	return all
}

func TestPartsByCount(t *testing.T) {
	quota := part.Quota{MinRecords: 100, MaxRecords: 50_000, MaxBytes: 1 << 30}
	for _, c := range []struct {
		name  string
		rows  int
		want  []int
		small bool
	}{
		{"no row makes no part", 0, nil, false},
		{"one row is too few for a job", 1, []int{1}, true},
		{"99 rows are too few for a job", 99, []int{99}, true},
		{"100 rows are one job", 100, []int{100}, false},
		{"101 rows are one job", 101, []int{101}, false},
		{"49 999 rows are one job", 49_999, []int{49_999}, false},
		{"50 000 rows are one job", 50_000, []int{50_000}, false},
		{"50 001 rows share their rest", 50_001, []int{49_901, 100}, false},
		{"50 050 rows share their rest", 50_050, []int{49_950, 100}, false},
		{"50 099 rows share their rest", 50_099, []int{49_999, 100}, false},
		{"50 100 rows need no sharing", 50_100, []int{50_000, 100}, false},
		{"100 000 rows are two jobs", 100_000, []int{50_000, 50_000}, false},
		{"100 001 rows are three jobs", 100_001, []int{50_000, 49_901, 100}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := build(t, quota, part.Options{}, rowsOf(equal(c.rows, 12)))
			if !slices.Equal(counts(got), c.want) {
				t.Fatalf("parts of %v records, want %v", counts(got), c.want)
			}
			if len(got.parts) > 0 && got.parts[len(got.parts)-1].Small != c.small {
				t.Fatalf("last part small: %v, want %v", !c.small, c.small)
			}
		})
	}
}

func TestPartsByBytes(t *testing.T) {
	quota := part.Quota{MinRecords: 3, MaxRecords: 100, MaxBytes: 100}
	for _, c := range []struct {
		name  string
		sizes []int
		want  []int
		small []bool
	}{
		{"a part is full by its bytes", equal(20, 10), []int{10, 10}, []bool{false, false}},
		{"a rest is shared when both are legal by bytes", equal(11, 10), []int{8, 3}, []bool{false, false}},
		{"records too large to share leave a small part", []int{30, 30, 30, 30}, []int{3, 1}, []bool{false, true}},
		{"records of which few fill a part are small parts", []int{60, 60, 60}, []int{1, 1, 1}, []bool{true, true, true}},
		{"a record over the part's bytes is a part of its own", []int{10, 10, 10, 200, 10, 10, 10}, []int{3, 1, 3}, []bool{false, true, false}},
		{"moved rows that would be too many bytes stay", []int{10, 10, 10, 60, 10, 95}, []int{5, 1}, []bool{false, true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := build(t, quota, part.Options{}, rowsOf(c.sizes))
			if !slices.Equal(counts(got), c.want) {
				t.Fatalf("parts of %v records, want %v", counts(got), c.want)
			}
			for i, p := range got.parts {
				if p.Small != c.small[i] {
					t.Errorf("part %d small: %v, want %v", i, p.Small, c.small[i])
				}
			}
		})
	}
}

func TestSetAsideRows(t *testing.T) {
	quota := part.Quota{MinRecords: 2, MaxRecords: 4, MaxBytes: 1 << 20}
	for _, c := range []struct {
		name           string
		sizes          []int
		maxAside       int
		records, aside []int
	}{
		{"rows behind the last record belong to its part", []int{9, 9, -9, -9}, 0, []int{2}, []int{2}},
		{"an upload without a good row is one part without records", []int{-9, -9, -9}, 0, []int{0}, []int{3}},
		{"rows between two parts belong to the first", []int{9, 9, 9, 9, -9, 9, 9}, 0, []int{4, 2}, []int{1, 0}},
		{"rows behind a moved record move with it", []int{9, 9, 9, 9, -9, 9}, 0, []int{3, 2}, []int{0, 1}},
		{"so many rows close a part", []int{9, 9, -9, -9, -9, 9, 9}, 3, []int{2, 2}, []int{3, 0}},
		{"a part may hold nothing else", []int{-9, -9, -9, -9}, 3, []int{0, 0}, []int{3, 1}},
		{"rows behind a full part and the beginning of a rest share it", []int{9, 9, 9, 9, 9, -9, -9, -9, 9, 9}, 3, []int{3, 2, 2}, []int{0, 3, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := build(t, quota, part.Options{MaxAside: c.maxAside}, rowsOf(c.sizes))
			var aside []int
			for _, p := range got.parts {
				aside = append(aside, p.Aside)
			}
			if !slices.Equal(counts(got), c.records) || !slices.Equal(aside, c.aside) {
				t.Fatalf("records %v and set aside %v, want %v and %v", counts(got), aside, c.records, c.aside)
			}
			for i := range got.parts {
				if c.aside[i] == 0 && got.streams[i][part.Aside] != nil {
					t.Errorf("part %d has a stream without rows", i)
				}
			}
		})
	}
}

// TestAnyUpload builds random uploads in random quotas, as a whole and
// continued from any of the parts, and compares.
func TestAnyUpload(t *testing.T) {
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		quota := part.Quota{MinRecords: 1 + rnd.IntN(6)}
		quota.MaxRecords = 2*quota.MinRecords + rnd.IntN(12)
		quota.MaxBytes = int64(20 + rnd.IntN(400))
		opt := part.Options{
			MaxAside: 1 + rnd.IntN(12),
			Memory:   1 << 16,
			Held:     int64(1 + rnd.IntN(600)),
			TempDir:  t.TempDir(),
		}
		if rnd.IntN(3) > 0 {
			opt.Held = 0
		}
		if rnd.IntN(8) == 0 {
			opt.Memory = 1 + rnd.IntN(300) // most is held in files
		}
		bad := rnd.Float64() * rnd.Float64()
		largest := 10 + rnd.IntN(int(quota.MaxBytes))
		sizes := make([]int, rnd.IntN(120))
		for i := range sizes {
			sizes[i] = 8 + rnd.IntN(largest)
			if rnd.Float64() < bad {
				sizes[i] = -sizes[i]
			}
		}
		items := rowsOf(sizes)
		whole := build(t, quota, opt, items)
		if err := check(whole, quota, items); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for i, p := range whole.parts {
			from := len(items)
			for at, item := range items {
				if item.At.Off == p.Resume.Off {
					from = at
				}
			}
			again := opt
			again.First = i + 1
			rest := build(t, quota, again, items[from:])
			if err := same(whole, rest, i+1); err != nil {
				t.Fatalf("seed %d, continued after part %d: %v", seed, i, err)
			}
		}
	}
}

// check compares parts with the rows they were made of.
func check(k *kept, q part.Quota, items []part.Item) error {
	records, index, aside := make([]byte, 0), make([]byte, 0), make([]byte, 0)
	next, joined := int64(1), make([][]byte, 3)
	for i, p := range k.parts {
		if p.N != i || p.FirstRow != next || p.LastRow < p.FirstRow {
			return fmt.Errorf("part %d spans rows %d to %d, the next row is %d", i, p.FirstRow, p.LastRow, next)
		}
		next = p.LastRow + 1
		if p.Source.Start != items[p.FirstRow-1].At.Off || p.Source.End != items[p.LastRow-1].Next.Off {
			return fmt.Errorf("part %d spans the bytes %v", i, p.Source)
		}
		if p.Records+p.Aside != int(p.LastRow-p.FirstRow+1) {
			return fmt.Errorf("part %d: %d records and %d set aside of rows %d to %d", i, p.Records, p.Aside, p.FirstRow, p.LastRow)
		}
		if int64(len(k.bytes(i, part.Records))) != p.Bytes {
			return fmt.Errorf("part %d has %d bytes and says %d", i, len(k.bytes(i, part.Records)), p.Bytes)
		}
		legal := p.Records >= q.MinRecords && p.Records <= q.MaxRecords && p.Bytes <= q.MaxBytes
		if p.Records > 0 && legal == p.Small {
			return fmt.Errorf("part %d: %d records, %d bytes, small %v in %+v", i, p.Records, p.Bytes, p.Small, q)
		}
		for s := range joined {
			joined[s] = append(joined[s], k.bytes(i, part.Stream(s))...)
		}
	}
	if next != int64(len(items))+1 {
		return fmt.Errorf("the parts end before row %d of %d", next, len(items))
	}
	for _, item := range items {
		records = append(records, item.Record...)
		aside = append(aside, item.Aside...)
		if item.Record != nil {
			index = append(index, item.Line...)
		}
	}
	if !bytes.Equal(records, joined[0]) || !bytes.Equal(index, joined[1]) || !bytes.Equal(aside, joined[2]) {
		return errors.New("the parts hold other rows than the upload")
	}
	return nil
}

// same compares the parts of whole from number from on with rest.
func same(whole, rest *kept, from int) error {
	if len(rest.parts) != len(whole.parts)-from {
		return fmt.Errorf("%d parts follow, %d before", len(rest.parts), len(whole.parts)-from)
	}
	for i, p := range rest.parts {
		want := whole.parts[from+i]
		if fmt.Sprint(p) != fmt.Sprint(want) {
			return fmt.Errorf("part %+v, before %+v", p, want)
		}
		for s := part.Records; s <= part.KnownIndex; s++ {
			if !bytes.Equal(rest.bytes(i, s), whole.bytes(from+i, s)) {
				return fmt.Errorf("%s of part %d differ", s, p.N)
			}
		}
	}
	return nil
}

func TestTemporaryFilesGoAway(t *testing.T) {
	dir := t.TempDir()
	quota := part.Quota{MinRecords: 10, MaxRecords: 30, MaxBytes: 1 << 20}
	b, err := part.NewBuilder(quota, &kept{}, part.Options{Memory: 100, TempDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range rowsOf(equal(25, 50)) {
		if err := b.Add(item); err != nil {
			t.Fatal(err)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) == 0 {
		t.Fatal("nothing is held in files; the test shows nothing")
	}
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Fatalf("%v left behind", files)
	}
	if b.Add(rowsOf(equal(1, 9))[0]) == nil {
		t.Fatal("a closed builder takes rows")
	}
}

type full struct{ err error }

func (f full) Open(int, part.Stream) (io.Writer, error) { return nil, f.err }
func (f full) Closed(part.Part) error                   { return f.err }

func TestErrorsOfTheSinkEndTheBuilder(t *testing.T) {
	broken := errors.New("disk full")
	b, err := part.NewBuilder(part.Quota{MinRecords: 1, MaxRecords: 2, MaxBytes: 100}, full{broken}, part.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Add(rowsOf([]int{9})[0]); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	if err := b.End(); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
}

func TestQuotasThatCannotBeKeptAreRefused(t *testing.T) {
	for _, q := range []part.Quota{{}, {MinRecords: 5, MaxRecords: 9, MaxBytes: 1}, {MinRecords: 1, MaxRecords: 2}} {
		if _, err := part.NewBuilder(q, &kept{}, part.Options{}); err == nil {
			t.Errorf("%+v taken", q)
		}
	}
}

func TestIndexReadsBack(t *testing.T) {
	entries := []part.Entry{
		{Row: 1, Off: 0, Len: 10, Source: part.NoSource},
		{Row: 2, Off: 11, Len: 20, Source: 7, ID: []byte(`"a\tb"`)},
		{Row: 9_999_999_999, Off: 1 << 50, Len: 25_000_000, Source: 0, ID: bytes.Repeat([]byte("1"), 100_000)},
	}
	var text []byte
	for _, e := range entries {
		text = part.AppendEntry(text, e)
	}
	r := part.NewIndexReader(bytes.NewReader(text))
	for _, want := range entries {
		got, err := r.Next()
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Fatalf("got %v at the end", err)
	}
	for _, broken := range []string{"1\t2\t3\t4", "1\t2\t3\n", "x\t2\t3\t\t\n", "\n", "1\t2\t3333333333333333333\t\t\n"} {
		if _, err := part.NewIndexReader(bytes.NewReader([]byte(broken))).Next(); err == nil || err == io.EOF {
			t.Errorf("%q read: %v", broken, err)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	item := rowsOf([]int{2000})[0]
	quota := part.Quota{MinRecords: 100, MaxRecords: 50_000, MaxBytes: 1 << 30}
	builder, err := part.NewBuilder(quota, discard{}, part.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer builder.Close()
	b.SetBytes(2000)
	b.ReportAllocs()
	for b.Loop() {
		if err := builder.Add(item); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) Open(int, part.Stream) (io.Writer, error) { return io.Discard, nil }
func (discard) Closed(part.Part) error                   { return nil }

func TestALineOfTheIndexBelongsToARecordOrAKnownResult(t *testing.T) {
	line := part.AppendEntry(nil, part.Entry{Row: 1, Source: part.NoSource})
	for name, item := range map[string]part.Item{
		"neither record nor line":    {Row: 1},
		"both":                       {Row: 1, Record: []byte("a\n"), Aside: []byte("a\n"), Line: line},
		"a record without":           {Row: 1, Record: []byte("a\n")},
		"a known result without":     {Row: 1, Aside: []byte("a\n"), Known: true},
		"a set-aside line, with one": {Row: 1, Aside: []byte("a\n"), Line: line},
	} {
		b, err := part.NewBuilder(part.Quota{MinRecords: 1, MaxRecords: 2, MaxBytes: 100}, &kept{}, part.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Add(item); err == nil || !strings.Contains(err.Error(), "row 1") {
			t.Errorf("%s: error %v", name, err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
