package dataset_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

// met is what is compared of a row.
type met struct {
	row, line, off, end int64
	raw, id, input      string
	media, bad          string
}

func meet(row *dataset.Row) met {
	m := met{row: row.Row, line: row.Line, off: row.Off, end: row.End, raw: string(row.Raw), id: string(row.ID), input: string(row.ModelInput), media: row.Media}
	if row.Bad != nil {
		m.bad = row.Bad.Code
	}
	return m
}

// FuzzEveryFormat: whatever the bytes, every format's rows are numbered without
// gaps, stand where they say, and come again the same from every position on.
func FuzzEveryFormat(f *testing.F) {
	for _, seed := range []string{
		`{"custom_id":"a","body":{"model":"m","messages":[]}}` + "\n" + `{"custom_id":7,"body":[]}`,
		`{"custom_id":"a","params":{"model":"m"}}` + "\r\n\r\n" + `{"params":{}}x`,
		`{"modelInput":{"a":1e400}}` + "\n{}", `[{"a":1},{"b":"]"},7]`, `{"prompt":"\ud800"}`,
		"a,b\n1,\"2\n3\"\n4", "a\tb\n\"x\ty\"\tz\n", "%PDF-1.7\x00\n", "\x89PNG\r\n\x1a\n", "PK\x03\x04word/document.xml", "\xef\xbb\xbftext",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range dataset.Formats {
			if format.Anywhere() {
				continue // its bytes say nothing of where a row stands
			}
			all, positions := walk(t, format, text, dataset.Position{})
			for i, m := range all {
				if m.row != int64(i+1) {
					t.Fatalf("%s: row %d is numbered %d", format, i+1, m.row)
				}
				if m.off < 0 || m.end < m.off || m.end > int64(len(text)) || text[m.off:m.end] != m.raw {
					t.Fatalf("%s: row %d says %d to %d and holds %q", format, m.row, m.off, m.end, m.raw)
				}
			}
			for i, at := range positions {
				rest, _ := walk(t, format, text[min(at.Off, int64(len(text))):], at)
				if len(rest) != len(all)-i {
					t.Fatalf("%s: %d rows from row %d on, want %d", format, len(rest), i+1, len(all)-i)
				}
				for k := range rest {
					if rest[k] != all[i+k] {
						t.Fatalf("%s: from row %d on: got %+v, want %+v", format, i+1, rest[k], all[i+k])
					}
				}
			}
		}
	})
}

// walk reads all rows and where each starts. A table without a usable header
// has none.
func walk(t *testing.T, format dataset.Format, text string, at dataset.Position) (all []met, positions []dataset.Position) {
	t.Helper()
	rows, err := dataset.New(format, strings.NewReader(text), at, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		start := rows.Position()
		row, err := rows.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, dataset.ErrHeader) || errors.Is(err, dataset.ErrBroken) {
			return all, positions
		}
		if err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		if len(all) == 0 {
			start = at
		}
		all, positions = append(all, meet(row)), append(positions, start)
	}
}
