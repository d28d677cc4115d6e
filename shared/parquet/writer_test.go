package parquet_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	library "github.com/parquet-go/parquet-go"

	"github.com/bedrock-batch/bedrock-batch/shared/parquet"
)

var writtenColumns = []parquet.Column{{Name: "text"}, {Name: "number", Kind: parquet.Int}, {Name: "reals", Kind: parquet.Reals}, {Name: "constant"}}

// writtenRow is what a reader of the library sees of a row.
type writtenRow struct {
	Text     *string   `parquet:"text,optional"`
	Number   *int64    `parquet:"number,optional"`
	Reals    []float64 `parquet:"reals,optional,list"`
	Constant string    `parquet:"constant,optional"`
}

func fieldsOf(i int) ([]parquet.Field, writtenRow) {
	text, number := fmt.Sprintf("text %d %s", i, strings.Repeat("x", i%50)), int64(i)*1_000_000_007-5
	fields := []parquet.Field{{Text: []byte(text)}, {Int: number}, {}, {Text: []byte("same")}}
	row := writtenRow{Text: &text, Number: &number, Constant: "same"}
	for k := range i % 4 {
		fields[2].Reals = append(fields[2].Reals, float64(i)/float64(k+1))
	}
	row.Reals = fields[2].Reals
	if i%5 == 0 {
		fields[0], row.Text = parquet.Field{Null: true}, nil
		fields[1], row.Number = parquet.Field{Null: true}, nil
	}
	if i%7 == 0 {
		fields[2], row.Reals = parquet.Field{Null: true}, nil
	}
	return fields, row
}

func written(t *testing.T, rows int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewWriter(&b, writtenColumns)
	for i := range rows {
		fields, _ := fieldsOf(i)
		if err := w.Write(fields); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTheLibraryReadsWhatIsWritten(t *testing.T) {
	for _, rows := range []int{0, 1, 19_999, 20_000, 20_001, 45_000} {
		t.Run(fmt.Sprint(rows, " rows"), func(t *testing.T) {
			body := written(t, rows)
			f, err := library.OpenFile(bytes.NewReader(body), int64(len(body)))
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range f.RowGroups() {
				if g.NumRows() > parquet.GroupRows {
					t.Errorf("a row group has %d rows", g.NumRows())
				}
			}
			r := library.NewGenericReader[writtenRow](bytes.NewReader(body))
			all := make([]writtenRow, rows+1)
			n, err := r.Read(all)
			if n != rows || err != io.EOF {
				t.Fatalf("%d rows, %v", n, err)
			}
			for i := range rows {
				if _, want := fieldsOf(i); asJSON(t, plain(all[i])) != asJSON(t, plain(want)) {
					t.Fatalf("row %d: got %s, want %s", i, asJSON(t, all[i]), asJSON(t, want))
				}
			}
		})
	}
}

// plain makes no difference between an empty list and none: the library's
// structs make none.
func plain(row writtenRow) writtenRow {
	if len(row.Reals) == 0 {
		row.Reals = nil
	}
	return row
}

func TestWhatIsWrittenIsReadHereToo(t *testing.T) {
	const rows = 21_000
	body := written(t, rows)
	f, err := parquet.Open(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	r := f.Rows(0, 1<<20)
	for i := range rows {
		cells, _, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		fields, _ := fieldsOf(i)
		want := map[string]any{"constant": "same"}
		if !fields[0].Null {
			want["text"], want["number"] = string(fields[0].Text), fields[1].Int
		}
		if !fields[2].Null {
			want["reals"] = append([]float64{}, fields[2].Reals...)
		}
		if got := asJSON(t, object(t, cells)); got != asJSON(t, want) {
			t.Fatalf("row %d: got %s, want %s", i, got, asJSON(t, want))
		}
	}
	if _, _, err := r.Next(); err != io.EOF {
		t.Errorf("behind the last row: %v", err)
	}
}

// Readers leave row groups out by the least and greatest values of columns.
func TestStatisticsTellTheLeastAndGreatestOfShortTextsAndNumbers(t *testing.T) {
	var b bytes.Buffer
	w := parquet.NewWriter(&b, []parquet.Column{{Name: "short"}, {Name: "long"}, {Name: "number", Kind: parquet.Int}})
	for i := range 100 {
		if err := w.Write([]parquet.Field{{Text: fmt.Appendf(nil, "%02d", (i+37)%100)}, {Text: bytes.Repeat([]byte("x"), i)}, {Int: int64(50 - i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := library.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range f.RowGroups()[0].ColumnChunks() {
		least, most, ok := c.(*library.FileColumnChunk).Bounds()
		got = append(got, fmt.Sprint(least, " to ", most, " ", ok))
	}
	if want := []string{"00 to 99 true", "<null> to <null> false", "-49 to 50 true"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestALargeAnswerClosesItsRowGroup(t *testing.T) {
	var b bytes.Buffer
	w := parquet.NewWriter(&b, []parquet.Column{{Name: "text"}})
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // a MiB
	for range 100 {
		if err := w.Write([]parquet.Field{{Text: large}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := library.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(f.RowGroups()); n != 4 {
		t.Errorf("100 MiB are in %d row groups", n)
	}
}
