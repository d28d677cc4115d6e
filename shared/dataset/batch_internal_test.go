package dataset

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// seen is all that is to be known of a row.
type seen struct {
	row           Row
	raw, id, body string
	bad           Bad
	next          Position
}

func look(row *Row, next Position) seen {
	s := seen{row: *row, raw: string(row.Raw), id: string(row.ID), body: string(row.ModelInput), next: next}
	if row.Bad != nil {
		s.bad = *row.Bad
	}
	s.row.Raw, s.row.ID, s.row.ModelInput, s.row.Bad, s.row.members = nil, nil, nil, nil, nil
	return s
}

func oneByOne(t *testing.T, f Format, r io.Reader, at Position, opt Options) (all []seen, err error) {
	t.Helper()
	reader, err := New(f, r, at, opt)
	if err != nil {
		t.Fatal(err)
	}
	for {
		row, err := reader.Next()
		if err != nil {
			return all, err
		}
		all = append(all, look(row, reader.Position()))
	}
}

func inBatches(t *testing.T, f Format, r io.Reader, at Position, opt Options, size int) (all []seen, err error) {
	t.Helper()
	batches, ok := NewBatches(f, r, at, opt)
	if !ok {
		t.Fatalf("%s has no batches", f)
	}
	batches.size = size
	looker := batches.Looker()
	var b Batch
	for {
		if err := batches.Next(&b); err != nil {
			return all, err
		}
		for i := range b.Len() {
			all = append(all, look(looker.Row(&b, i), b.Next(i)))
		}
	}
}

func same(t *testing.T, f Format, text string, at Position, opt Options) {
	t.Helper()
	want, wantErr := oneByOne(t, f, strings.NewReader(text), at, opt)
	for _, size := range []int{16, 64, 1000, batchSize} {
		for i, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
			got, err := inBatches(t, f, r, at, opt, size)
			if !errors.Is(err, wantErr) || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s, batches of %d, reader %d: %v\n%+v\nwant %v\n%+v", f, size, i, err, got, wantErr, want)
			}
		}
	}
}

var uploads = []string{
	"", "\n", " \r\n\t\n", "\xef\xbb\xbf", "\xef\xbb\xbf{\"prompt\":\"a\"}\n", "\xef\xbb", "{}", "{}\n{}", "{}\r\n\r\n{\"id\":1,\"prompt\":\"x\"}\r",
	`{"prompt":"` + strings.Repeat("long ", 40) + `"}` + "\n{\"prompt\":\"b\"}\n",
	strings.Repeat("x", 60) + "\n" + strings.Repeat("y", 61) + "\n" + strings.Repeat("z", 62) + "\r\n" + strings.Repeat("w", 300),
	strings.Repeat("{\"modelInput\":{},\"id\":\"ü\"}\n\n", 30) + "{\"id\":[]}\n{\"modelInput\":7}\n\xff\n",
	strings.Repeat("x", 61) + "\r\n", strings.Repeat("x", 60) + "\r", "{}\n" + strings.Repeat(" ", 100) + "\n{}",
}

func TestBatchesHoldTheRowsOfTheReader(t *testing.T) {
	for _, text := range uploads {
		for _, f := range []Format{Prompt, Native, OpenAI} {
			same(t, f, text, Position{}, Options{MaxRow: 60})
			same(t, f, text, Position{Row: 7, Line: 9, Off: 1000}, Options{IDColumn: "prompt"})
		}
	}
}

func TestWhatWasReadComesBeforeTheErrorOfTheStream(t *testing.T) {
	text := "{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n{\"pro"
	broken := errors.New("broken")
	got, err := inBatches(t, Prompt, io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), Position{}, Options{}, batchSize)
	if len(got) != 2 || !errors.Is(err, broken) {
		t.Errorf("%d rows, %v", len(got), err)
	}
	if _, ok := NewBatches(CSV, nil, Position{}, Options{}); ok {
		t.Error("a table has batches")
	}
}

func TestAMegabyteRowStandsInABatchOfItsOwn(t *testing.T) {
	row := `{"prompt":"` + strings.Repeat("long ", 200_000) + `"}` + "\n"
	same(t, Prompt, "{}\n"+row+"{}\n"+row+row, Position{}, Options{})
}

func TestShortRowsStandInSmallBatches(t *testing.T) {
	text := strings.Repeat("{\"prompt\":\"a\"}\n\n", 30_000)
	same(t, Prompt, text, Position{}, Options{})
	batches, _ := NewBatches(Prompt, strings.NewReader(text), Position{}, Options{})
	rows := 0
	for b := new(Batch); batches.Next(b) == nil; rows += b.Len() {
		if b.Len() > batchRows || b.Size() > 2*batchSize {
			t.Fatalf("%d rows in %d bytes", b.Len(), b.Size())
		}
	}
	if rows != 30_000 {
		t.Errorf("%d rows", rows)
	}
}

func FuzzBatches(f *testing.F) {
	for _, text := range uploads {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		same(t, Prompt, text, Position{}, Options{MaxRow: 20})
		same(t, Native, text, Position{Off: 5}, Options{})
	})
}

// TestNoRowAllocates counts what reading and looking at rows allocates.
func TestNoRowAllocates(t *testing.T) {
	var b strings.Builder
	const rows = 2000
	for i := range rows {
		fmt.Fprintf(&b, `{"id":"u%d","modelInput":{"messages":[{"role":"user","content":[{"text":"%s"}]}]}}`+"\n", i, strings.Repeat(`größe and \"so\" on. `, 50))
	}
	text := b.String()
	total := testing.AllocsPerRun(3, func() {
		batches, _ := NewBatches(Native, strings.NewReader(text), Position{}, Options{})
		looker, n := batches.Looker(), 0
		for batch := new(Batch); batches.Next(batch) == nil; {
			for i := range batch.Len() {
				if looker.Row(batch, i).Bad == nil {
					n++
				}
			}
		}
		if n != rows {
			t.Fatalf("%d rows", n)
		}
	})
	if each := total / rows; each > 0.02 {
		t.Errorf("%.3f allocations a row", each)
	}
}
