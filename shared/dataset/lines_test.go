package dataset_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

// seen is what a test compares of a row.
type seen struct {
	row, line int64
	raw       string
	id        string
	code      string
}

// read reads all rows, and checks what holds for every format: the numbers
// follow each other, the ranges are those of the rows, and a reader made at
// any position reads the same rest.
func read(t testing.TB, f dataset.Format, text string, opt dataset.Options) []seen {
	t.Helper()
	all, positions := readFrom(t, f, text, dataset.Position{}, opt)
	for i, at := range positions[:min(len(positions), 20)] {
		rest, _ := readFrom(t, f, text, at, opt)
		if fmt.Sprint(rest) != fmt.Sprint(all[i:]) {
			t.Fatalf("read on at %+v: got %v, want %v", at, rest, all[i:])
		}
	}
	return all
}

func readFrom(t testing.TB, f dataset.Format, text string, at dataset.Position, opt dataset.Options) ([]seen, []dataset.Position) {
	t.Helper()
	saved, err := json.Marshal(at)
	if err != nil {
		t.Fatal(err)
	}
	at = dataset.Position{}
	if err := json.Unmarshal(saved, &at); err != nil {
		t.Fatal(err)
	}
	r, err := dataset.New(f, iotest.HalfReader(strings.NewReader(text[at.Off:])), at, opt)
	if err != nil {
		t.Fatal(err)
	}
	var all []seen
	positions := []dataset.Position{r.Position()}
	number := max(at.Row, 1)
	for {
		row, err := r.Next()
		if err == io.EOF {
			return all, positions
		}
		if err != nil {
			if errors.Is(err, dataset.ErrHeader) {
				return all, positions
			}
			t.Fatal(err)
		}
		if row.Row != number {
			t.Fatalf("row %d follows row %d", row.Row, number-1)
		}
		number++
		if !row.Cut && text[row.Off:row.End] != string(row.Raw) {
			t.Fatalf("row %d lies at %d to %d, where %q is, not %q", row.Row, row.Off, row.End, text[row.Off:row.End], row.Raw)
		}
		if want := int64(strings.Count(text[:row.Off], "\n") + 1); f != dataset.Text && row.Line != want {
			t.Fatalf("row %d is said to be in line %d, but is in %d", row.Row, row.Line, want)
		}
		s := seen{row: row.Row, line: row.Line, raw: string(row.Raw), id: string(row.ID)}
		if row.Bad != nil {
			s.code = row.Bad.Code
			if row.Bad.Reason == "" {
				t.Fatalf("row %d is bad without a reason", row.Row)
			}
		} else if err := whole(row, f); err != nil {
			t.Fatalf("row %d: %v", row.Row, err)
		}
		all = append(all, s)
		positions = append(positions, r.Position())
		if p := r.Position(); p.Row != number || p.Off < row.End {
			t.Fatalf("after row %d at %d the position is %+v", row.Row, row.End, p)
		}
	}
}

// whole checks a good row against other readers of JSON.
func whole(row *dataset.Row, f dataset.Format) error {
	members := append(row.AppendMembers([]byte("{")), '}')
	if !utf8.Valid(members) || !json.Valid(members) || bytes.ContainsAny(members, "\n\r") {
		return fmt.Errorf("its members are %q", members)
	}
	if f.Lines() || f == dataset.JSON {
		if !json.Valid(row.Raw) {
			return fmt.Errorf("a good row is not valid JSON: %q", row.Raw)
		}
	}
	if f == dataset.Native && !json.Valid(row.ModelInput) {
		return fmt.Errorf("modelInput %q", row.ModelInput)
	}
	if len(row.ID) > 0 && !json.Valid(row.ID) {
		return fmt.Errorf("id %q", row.ID)
	}
	return nil
}

func TestLines(t *testing.T) {
	large := `{"prompt":"` + strings.Repeat("x", 200) + `"}`
	for _, c := range []struct {
		name, text string
		format     dataset.Format
		opt        dataset.Options
		want       []seen
	}{
		{name: "nothing has no rows", text: ""},
		{name: "blank lines are no rows but count as lines", text: "\n \t\r\n{}\n\n{}", want: []seen{{1, 3, "{}", "", ""}, {2, 5, "{}", "", ""}}},
		{name: "CRLF, a byte order mark and no final newline are fine", text: "\xef\xbb\xbf{\"a\":1}\r\n{\"a\":2}\r", want: []seen{{1, 1, `{"a":1}`, "", ""}, {2, 2, `{"a":2}`, "", ""}}},
		{name: "a broken row costs no other", text: "{\n{\"a\":}\n{} {}\n{}\n", want: []seen{{1, 1, "{", "", "not_json"}, {2, 2, `{"a":}`, "", "not_json"}, {3, 3, "{} {}", "", "not_json"}, {4, 4, "{}", "", ""}}},
		{name: "JSON that is no object is a bad row", text: "1\n[]\n\"x\"\nnull\n[1\n", want: []seen{{1, 1, "1", "", "not_object"}, {2, 2, "[]", "", "not_object"}, {3, 3, `"x"`, "", "not_object"}, {4, 4, "null", "", "not_object"}, {5, 5, "[1", "", "not_json"}}},
		{name: "bytes that are not UTF-8 make a bad row", text: "{\"a\":\"\xff\"}\n{}\n", want: []seen{{1, 1, "{\"a\":\"\xff\"}", "", "not_utf8"}, {2, 2, "{}", "", ""}}},
		{name: "half a surrogate pair, repeated names and large numbers pass", text: `{"a":"\uD800","a":1e400,"a":123456789012345678901234567890}`, want: []seen{{1, 1, `{"a":"\uD800","a":1e400,"a":123456789012345678901234567890}`, "", ""}}},
		{name: "too deep is a bad row", text: strings.Repeat("[", 1001) + strings.Repeat("]", 1001) + "\n" + `{"a":` + strings.Repeat("[", 999) + strings.Repeat("]", 999) + "}", want: []seen{
			{1, 1, strings.Repeat("[", 1001) + strings.Repeat("]", 1001), "", "too_deep"}, {2, 2, `{"a":` + strings.Repeat("[", 999) + strings.Repeat("]", 999) + "}", "", ""}}},
		{name: "a row over the limit is skipped", text: large + "\n{}\n", opt: dataset.Options{MaxRow: 100}, want: []seen{{1, 1, large[:100], "", "row_too_large"}, {2, 2, "{}", "", ""}}},
		{name: "a row at the limit is fine", text: large + "\r\n{}\n", opt: dataset.Options{MaxRow: len(large)}, want: []seen{{1, 1, large, "", ""}, {2, 2, "{}", "", ""}}},
		{name: "ids are found in their order", text: `{"id":1,"custom_id":"c","recordId":"r"}` + "\n" + `{"id":-1.5,"custom_id":"c"}` + "\n" + `{"id":7,"custom_id":null}`, want: []seen{
			{1, 1, `{"id":1,"custom_id":"c","recordId":"r"}`, `"r"`, ""}, {2, 2, `{"id":-1.5,"custom_id":"c"}`, `"c"`, ""}, {3, 3, `{"id":7,"custom_id":null}`, `7`, ""}}},
		{name: "the workload may name the id", text: `{"id":1,"sku":"a"}`, opt: dataset.Options{IDColumn: "sku"}, want: []seen{{1, 1, `{"id":1,"sku":"a"}`, `"a"`, ""}}},
		{name: "an id is text or a number", text: `{"id":{}}` + "\n" + `{"id":true}`, want: []seen{{1, 1, `{"id":{}}`, "", "bad_id"}, {2, 2, `{"id":true}`, "", "bad_id"}}},
		{name: "an id has its limit", text: `{"id":"` + strings.Repeat("i", 1022) + `"}` + "\n" + `{"id":"` + strings.Repeat("i", 1023) + `"}`, want: []seen{
			{1, 1, `{"id":"` + strings.Repeat("i", 1022) + `"}`, `"` + strings.Repeat("i", 1022) + `"`, ""}, {2, 2, `{"id":"` + strings.Repeat("i", 1023) + `"}`, "", "id_too_long"}}},
		{name: "a native row needs a modelInput", format: dataset.Native, text: `{"modelInput":{}}` + "\n" + `{}` + "\n" + `{"modelInput":"x"}`, want: []seen{
			{1, 1, `{"modelInput":{}}`, "", ""}, {2, 2, `{}`, "", "no_model_input"}, {3, 3, `{"modelInput":"x"}`, "", "no_model_input"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.format == "" {
				c.format = dataset.JSONL
			}
			got := read(t, c.format, c.text, c.opt)
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
		})
	}
}

func TestModelInputKeepsItsBytes(t *testing.T) {
	for _, input := range []string{`{}`, `{ "b" : 1.0 ,"a":[ 1E5 , "\u00e9\/\ud800" ], "a":2}`, `{"x":12345678901234567890123}`} {
		text := `{ "modelInput":"first" , "model\u0049nput" : ` + input + ` , "_error":{"code":1}}`
		r, err := dataset.New(dataset.Native, strings.NewReader(text), dataset.Position{}, dataset.Options{})
		if err != nil {
			t.Fatal(err)
		}
		row, err := r.Next()
		if err != nil || row.Bad != nil {
			t.Fatal(err, row.Bad)
		}
		if string(row.ModelInput) != input {
			t.Errorf("got %s, want %s", row.ModelInput, input)
		}
	}
}

func TestErrorsOfAnEarlierRunAreNoMembers(t *testing.T) {
	r, _ := dataset.New(dataset.JSONL, strings.NewReader(`{"a": 1,"_error":{"code":"x"},"b":[1]}`), dataset.Position{}, dataset.Options{})
	row, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if got := string(row.AppendMembers(nil)); got != `"a":1,"b":[1]` {
		t.Errorf("got %s", got)
	}
	if _, ok := row.Lookup("_error"); ok || len(row.Names()) != 2 {
		t.Errorf("_error is found")
	}
}

func TestErrorsOfTheStreamComeAsTheyAre(t *testing.T) {
	broken := errors.New("connection lost")
	for _, f := range []dataset.Format{dataset.Native, dataset.Prompt, dataset.JSONL, dataset.JSON, dataset.CSV, dataset.TSV, dataset.Text} {
		for _, text := range []string{"", "a", "a,b\nc", `{"prompt":"x"}` + "\n" + `{"pro`, "[{", `"`} {
			r, err := dataset.New(f, io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), dataset.Position{}, dataset.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, err = r.Next()
			}
			if err != broken {
				t.Errorf("%s %q: got %v", f, text, err)
			}
		}
	}
}

func TestSkippedRowsAreNotKept(t *testing.T) {
	const size = 80 << 20
	text := io.MultiReader(strings.NewReader(`{"prompt":"`), io.LimitReader(endless{}, size), strings.NewReader("\"}\n{}\n"))
	r, err := dataset.New(dataset.Prompt, text, dataset.Position{}, dataset.Options{MaxRow: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	row, err := r.Next()
	if err != nil || row.Bad == nil || row.Bad.Code != dataset.CodeRowTooLarge || row.End-row.Off != size+13 || cap(row.Raw) > 1<<17 {
		t.Fatalf("got %+v, %v", row, err)
	}
	if row, err = r.Next(); err != nil || row.Bad != nil || row.Row != 2 || row.Line != 2 {
		t.Fatalf("got %+v, %v", row, err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestUnknownFormatsAreRefused(t *testing.T) {
	for _, f := range []dataset.Format{"", "xml"} {
		if _, err := dataset.New(f, strings.NewReader(""), dataset.Position{}, dataset.Options{}); !errors.Is(err, dataset.ErrFormat) {
			t.Errorf("%q: got %v", f, err)
		}
	}
}

// FuzzLines compares what is a good row with jsontext itself.
func FuzzLines(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, "{}\r\n\n{\"id\":\"\\ud800\"}", "\xef\xbb\xbf{\"id\":1}", `{"modelInput":{"a":[1,2,{"b":null}]},"a":"\n"}`, "{\"a\":\"\xff\"}", "[[[[", `{"a":1,"a":2}`, `{"\u0069d":"x"}`, "{\"a\":\r1}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := read(t, dataset.JSONL, text, dataset.Options{})
		var want []seen
		for i, line := range strings.Split(strings.TrimPrefix(text, "\xef\xbb\xbf"), "\n") {
			line = strings.TrimSuffix(line, "\r")
			if strings.Trim(line, " \t\r") == "" {
				continue
			}
			want = append(want, seen{row: int64(len(want) + 1), line: int64(i + 1), raw: line})
		}
		if len(got) != len(want) {
			t.Fatalf("%d rows, want %d", len(got), len(want))
		}
		for i, g := range got {
			if g.row != want[i].row || g.line != want[i].line || g.raw != want[i].raw {
				t.Fatalf("got %v, want %v", g, want[i])
			}
			valid := utf8.ValidString(g.raw) && jsontext.Value(g.raw).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
			object := valid && jsontext.Value(g.raw).Kind() == '{'
			refused := g.code == dataset.CodeBadID || g.code == dataset.CodeIDTooLong || g.code == dataset.CodeTooDeep
			if object != (g.code == "" || refused) && !refused {
				t.Fatalf("%q: object %v, verdict %q", g.raw, object, g.code)
			}
		}
	})
}

func BenchmarkLines(b *testing.B) {
	text := strings.Repeat("All work and no play makes Jack a dull boy. ", 45)
	for _, c := range []struct {
		format dataset.Format
		line   string
	}{
		{dataset.Prompt, `{"id":"row-17","prompt":"` + text + `"}` + "\n"},
		{dataset.Native, `{"recordId":"row-17","modelInput":{"anthropic_version":"bedrock-2023-05-31","max_tokens":100,"messages":[{"role":"user","content":"` + text + `"}]}}` + "\n"},
	} {
		b.Run(string(c.format), func(b *testing.B) {
			r, err := dataset.New(c.format, &repeat{line: []byte(c.line)}, dataset.Position{}, dataset.Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(c.line)))
			b.ReportAllocs()
			for b.Loop() {
				if row, err := r.Next(); err != nil || row.Bad != nil {
					b.Fatal(err, row.Bad)
				}
			}
		})
	}
}

// repeat is a stream of one line over and over.
type repeat struct {
	line []byte
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m := copy(p[n:], r.line[r.at:])
		n += m
		r.at = (r.at + m) % len(r.line)
	}
	return n, nil
}
