package dataset_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

// members reads all rows as their members; bad rows give their code.
func members(t testing.TB, f dataset.Format, text string, opt dataset.Options) []string {
	t.Helper()
	read(t, f, text, opt)
	r, err := dataset.New(f, strings.NewReader(text), dataset.Position{}, opt)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for {
		row, err := r.Next()
		if err == io.EOF {
			return all
		}
		switch {
		case err != nil:
			return append(all, err.Error())
		case row.Bad != nil:
			all = append(all, row.Bad.Code)
		default:
			all = append(all, string(row.AppendMembers(nil)))
		}
	}
}

func TestTables(t *testing.T) {
	for _, c := range []struct {
		name, text string
		format     dataset.Format
		opt        dataset.Options
		want       []string
	}{
		{name: "nothing has no rows", text: ""},
		{name: "a header alone has no rows", text: "a,b\n"},
		{name: "columns are named by the header", text: "a,b\n1,2\n,\n", want: []string{`"a":"1","b":"2"`, `"a":"","b":""`}},
		{name: "byte order mark, CRLF, blank lines, no final newline", text: "\xef\xbb\xbf\r\na, b \r\n\r\n1,2\r\n\n3,4", want: []string{`"a":"1","b":"2"`, `"a":"3","b":"4"`}},
		{name: "quotes hold separators, line ends and quotes", text: "a,b\n\"1,\n2\r\n\",\"say \"\"hi\"\"\"\r\n\"\",\"\"\"\"\n", want: []string{`"a":"1,\n2\r\n","b":"say \"hi\""`, `"a":"","b":"\""`}},
		{name: "a header may have quotes too", text: "\"a\nb\",\"c\"\"d\"\n1,2\n", want: []string{`"a\nb":"1","c\"d":"2"`}},
		{name: "quotes within plain text are text", text: "a,b\n5\" nail,x\"y\"\n", want: []string{`"a":"5\" nail","b":"x\"y\""`}},
		{name: "more or fewer fields are a bad row", text: "a,b\n1\n1,2,3\n1,2\n", want: []string{"wrong_columns", "wrong_columns", `"a":"1","b":"2"`}},
		{name: "text behind a closing quote is a bad row", text: "a,b\n\"x\"y,2\n3,4\n", want: []string{"bad_quotes", `"a":"3","b":"4"`}},
		{name: "a quote that is never closed costs its own line only", text: "a,b\n1,\"2\n3,4\n5,6\n", want: []string{"bad_quotes", `"a":"3","b":"4"`, `"a":"5","b":"6"`}},
		{name: "nor beyond the limit of a row", text: "a,b\n1,\"2\n" + strings.Repeat("3,4\n", 10) + "\"5\",6\n", opt: dataset.Options{MaxRow: 20}, want: append([]string{"bad_quotes"}, append(slicesRepeat(`"a":"3","b":"4"`, 10), `"a":"5","b":"6"`)...)},
		{name: "a row over the limit is skipped", text: "a,b\n1," + strings.Repeat("x", 100) + "\n3,4\n", opt: dataset.Options{MaxRow: 20}, want: []string{"row_too_large", `"a":"3","b":"4"`}},
		{name: "a single column", text: "a\nx\n\"\"\n\ny", want: []string{`"a":"x"`, `"a":""`, `"a":"y"`}},
		{name: "bytes that are not UTF-8 make a bad row", text: "a\n\xff\nx\n", want: []string{"not_utf8", `"a":"x"`}},
		{name: "and a header unusable", text: "\xff\nx\n", want: []string{"unusable header: it is not UTF-8"}},
		{name: "as do its quotes", text: "\"a\"b,c\nx\n", want: []string{"unusable header: its quotes do not match"}},
		{name: "TSV is separated by tabs", format: dataset.TSV, text: "a\tb\n1,2\t\"3\t4\"\n\t\n", want: []string{`"a":"1,2","b":"3\t4"`, `"a":"","b":""`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.format == "" {
				c.format = dataset.CSV
			}
			if got := members(t, c.format, c.text, c.opt); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
	got := read(t, dataset.CSV, "id,sku\n\"a\"\"b\",x\n,y\n", dataset.Options{})
	if got[0].id != `"a\"b"` || got[1].id != "" {
		t.Errorf("ids %v", got)
	}
	if _, err := dataset.New(dataset.CSV, strings.NewReader(""), dataset.Position{Off: 5}, dataset.Options{}); err == nil {
		t.Error("a position without a header is taken")
	}
}

func TestColumns(t *testing.T) {
	r, err := dataset.New(dataset.CSV, strings.NewReader("\xef\xbb\xbf a ,\"b,c\"\n1,2\n"), dataset.Position{}, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if names, err := dataset.Columns(r); err != nil || fmt.Sprintf("%q", names) != `["a" "b,c"]` {
			t.Errorf("got %q, %v", names, err)
		}
	}
	if row, err := r.Next(); err != nil || row.Line != 2 || string(row.AppendMembers(nil)) != `"a":"1","b,c":"2"` {
		t.Errorf("got %+v, %v", row, err)
	}
	r, _ = dataset.New(dataset.TSV, strings.NewReader("\n"), dataset.Position{}, dataset.Options{})
	if _, err := dataset.Columns(r); err != io.EOF {
		t.Errorf("without a header: got %v", err)
	}
	r, _ = dataset.New(dataset.CSV, strings.NewReader(strings.Repeat("x", dataset.MaxHeader+1)+"\n1\n"), dataset.Position{}, dataset.Options{})
	if _, err := dataset.Columns(r); !errors.Is(err, dataset.ErrHeader) {
		t.Errorf("a header over the limit: got %v", err)
	}
	r, _ = dataset.New(dataset.JSONL, strings.NewReader("{}"), dataset.Position{}, dataset.Options{})
	if names, err := dataset.Columns(r); names != nil || err != nil {
		t.Errorf("JSON lines: got %q, %v", names, err)
	}
}

func slicesRepeat(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

func TestArrays(t *testing.T) {
	for _, c := range []struct {
		name, text string
		opt        dataset.Options
		want       []string
	}{
		{name: "nothing has no rows", text: " \n"},
		{name: "an empty array has no rows", text: "[ ]\n"},
		{name: "elements are rows", text: "\xef\xbb\xbf[{\"a\":1},\n {\"b\":[\"}\\\"]\",{}]}\n]\n", want: []string{`"a":1`, `"b":["}\"]",{}]`}},
		{name: "an element may take many lines", text: "[\n{\n\"a\":[\r\n1\n]}\n]", want: []string{`"a":[  1 ]`}},
		{name: "elements that are no objects are bad rows", text: `[1,"a",{"a":1},[2],null]`, want: []string{"not_object", "not_object", `"a":1`, "not_object", "not_object"}},
		{name: "a broken element costs no other", text: "[{\"a\":},{\"a\":1} x,{\"a\":\"y\n},{\"a\":2}]", want: []string{"not_json", "not_json", "not_json", `"a":2`}},
		{name: "a missing element is a bad row", text: "[{},,{}]", want: []string{"", "not_json", ""}},
		{name: "a comma at the end is no row", text: "[{},]", want: []string{""}},
		{name: "an array that breaks off", text: `[{"a":1},{"a":`, want: []string{`"a":1`, "not_json"}},
		{name: "something behind the array", text: `[{}] [{}]`, want: []string{"", "not_json"}},
		{name: "an element over the limit is skipped", text: `[{"a":"` + strings.Repeat("x", 300000) + `"},{"a":1}]`, opt: dataset.Options{MaxRow: 100}, want: []string{"row_too_large", `"a":1`}},
		{name: "objects without an array", text: "{\n\"a\":1\n}{\"a\":2}\n\n{\"a\":3}\nx\n{\"a\":4}", want: []string{`"a":1`, `"a":2`, `"a":3`, "not_json", `"a":4`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := members(t, dataset.JSON, c.text, c.opt); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestDocuments(t *testing.T) {
	for _, c := range []struct {
		name, text string
		opt        dataset.Options
		want       []string
	}{
		{name: "a document is one row", text: "\xef\xbb\xbfone\n\ntwo\n", want: []string{`"content":"one\n\ntwo\n"`}},
		{name: "an empty document has nothing to ask", text: "", want: []string{"empty_prompt"}},
		{name: "nor a blank one", text: " \n", want: []string{"empty_prompt"}},
		{name: "bytes that are no text are a bad row", text: "\xff\x00", want: []string{"not_utf8"}},
		{name: "a document over the limit is a bad row", text: strings.Repeat("x", 101), opt: dataset.Options{MaxRow: 100}, want: []string{"row_too_large"}},
		{name: "one at the limit is fine", text: strings.Repeat("x", 100), opt: dataset.Options{MaxRow: 100}, want: []string{`"content":"` + strings.Repeat("x", 100) + `"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := members(t, dataset.Text, c.text, c.opt); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestAppendAside(t *testing.T) {
	bad := &dataset.Bad{Code: "not_json", Reason: `broken "here"`}
	long := strings.Repeat("é", dataset.MaxAsideRaw)
	for _, c := range []struct {
		name   string
		row    dataset.Row
		source string
		want   string
	}{
		{"text is shown as text", dataset.Row{Line: 7, Raw: []byte("{\"a\"\t\x01"), Bad: bad}, "", `{"line":7,"code":"not_json","reason":"broken \"here\"","raw":"{\"a\"\t\u0001"}`},
		{"bytes are shown in base 64", dataset.Row{Line: 1, Raw: []byte{0xff, 0}, Bad: bad}, "", `{"line":1,"code":"not_json","reason":"broken \"here\"","rawBase64":"/wA="}`},
		{"the source is named", dataset.Row{Line: 1, Bad: bad}, "a/\"é\".jsonl", `{"line":1,"source":"a/\"é\".jsonl","code":"not_json","reason":"broken \"here\"","raw":""}`},
		{"long rows are cut between characters", dataset.Row{Line: 1, Raw: []byte("x" + long), Bad: bad}, "", `{"line":1,"code":"not_json","reason":"broken \"here\"","raw":"x` + long[:dataset.MaxAsideRaw-2] + `","cut":true}`},
		{"as are rows of which only the beginning is there", dataset.Row{Line: 1, Raw: []byte("ab"), Cut: true, Bad: bad}, "", `{"line":1,"code":"not_json","reason":"broken \"here\"","raw":"ab","cut":true}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := string(dataset.AppendAside([]byte("kept\n"), &c.row, c.source))
			want := strings.ReplaceAll(c.want, "\t", `\t`)
			if got != "kept\n"+want+"\n" || !json.Valid([]byte(want)) {
				t.Errorf("got  %.200s\nwant %.200s", got, want)
			}
		})
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		value               dataset.Value
		text, escaped, json string
		null, str, blank    bool
	}{
		{dataset.Value{Raw: []byte(`"a\n\u00e9\/"`)}, "a\né/", `a\n\u00e9\/`, `"a\n\u00e9\/"`, false, true, false},
		{dataset.Value{Raw: []byte(`"\ud800x"`)}, "\ufffdx", `\ud800x`, `"\ud800x"`, false, true, false},
		{dataset.Value{Raw: []byte("{\"a\":\r\n1}")}, "{\"a\":\r\n1}", `{\"a\":\r\n1}`, `{"a":  1}`, false, false, false},
		{dataset.Value{Raw: []byte(`null`)}, "null", "null", "null", true, false, false},
		{dataset.Value{Raw: []byte(`" \t\u3000"`)}, " \t\u3000", ` \t\u3000`, `" \t\u3000"`, false, true, false},
		{dataset.Value{Raw: []byte(`" \n　"`)}, " \n　", ` \n　`, `" \n　"`, false, true, true},
		{dataset.Value{Raw: []byte("null\t\"\\\x01\x7f"), Text: true}, "null\t\"\\\x01\x7f", `null\t\"\\\u0001` + "\x7f", `"null\t\"\\\u0001` + "\x7f\"", false, true, false},
		{dataset.Value{Raw: []byte(" \n"), Text: true}, " \n", ` \n`, `" \n"`, false, true, true},
		{dataset.Value{Raw: []byte("a\xffb"), Text: true}, "a\xffb", "a\ufffdb", "\"a\ufffdb\"", false, true, false},
	} {
		v := c.value
		if got := string(v.AppendText(nil)); got != c.text {
			t.Errorf("%q as text: %q, want %q", v.Raw, got, c.text)
		}
		if got := string(v.AppendEscaped(nil)); got != c.escaped {
			t.Errorf("%q escaped: %q, want %q", v.Raw, got, c.escaped)
		}
		if got := string(v.AppendJSON(nil)); got != c.json {
			t.Errorf("%q as JSON: %q, want %q", v.Raw, got, c.json)
		}
		if v.Null() != c.null || v.IsString() != c.str || v.Blank() != c.blank {
			t.Errorf("%q: null %v, text %v, blank %v", v.Raw, v.Null(), v.IsString(), v.Blank())
		}
	}
}

// FuzzTable compares tables without broken quotes with encoding/csv.
func FuzzTable(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "a,b\r\n\"x\ny\",\"\"\"\"\r\n\r\n,", "\xef\xbb\xbfa\n\"", "a,a\n1,\"2\n3,4", "a\n\"x\"y\n", "\"a\"\n1", "a,b\n\"1\"\r,2\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all := read(t, dataset.CSV, text, dataset.Options{})
		read(t, dataset.TSV, text, dataset.Options{})
		read(t, dataset.CSV, text, dataset.Options{MaxRow: 16})
		for _, row := range all {
			if row.code == dataset.CodeQuotes || row.code == dataset.CodeNotUTF8 {
				return
			}
		}
		if !utf8.ValidString(text) || strings.Contains(text, "\r") {
			return // encoding/csv changes CRLF within quotes
		}
		body := strings.TrimPrefix(text, "\xef\xbb\xbf")
		for line, rest, ok := strings.Cut(body, "\n"); ok && strings.Trim(line, " \t") == ""; line, rest, ok = strings.Cut(body, "\n") {
			body = rest // before the header; encoding/csv takes a blank in it for a column
		}
		reference := csv.NewReader(strings.NewReader(body))
		reference.FieldsPerRecord = -1
		reference.LazyQuotes = true
		want, err := reference.ReadAll()
		if err != nil || len(want) == 0 {
			return
		}
		if len(all) != len(want)-1 && !headerBroken(text) {
			t.Fatalf("%d rows, encoding/csv has %d", len(all), len(want)-1)
		}
	})
}

func headerBroken(text string) bool {
	r, _ := dataset.New(dataset.CSV, strings.NewReader(text), dataset.Position{}, dataset.Options{})
	_, err := r.Next()
	return errors.Is(err, dataset.ErrHeader)
}

// FuzzArray: a valid array has its elements as rows.
func FuzzArray(f *testing.F) {
	for _, seed := range []string{`[{"a":1},{"b":"]"}]`, "[\n]", "[{},,]", `{"a":1}{"a":2}`, `["\"",{}]x`, "[{\"a\":\"\n\"}]", "]", "[}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all := read(t, dataset.JSON, text, dataset.Options{})
		read(t, dataset.JSON, text, dataset.Options{MaxRow: 8})
		var want []json.RawMessage
		if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "[") || json.Unmarshal([]byte(text), &want) != nil {
			return
		}
		if len(all) != len(want) {
			t.Fatalf("%d rows, want %d", len(all), len(want))
		}
		for i, row := range all {
			if row.raw != string(bytes.TrimSpace(want[i])) {
				t.Fatalf("row %d is %q, want %q", i+1, row.raw, want[i])
			}
			var object map[string]json.RawMessage
			if isObject := json.Unmarshal(want[i], &object) == nil && object != nil; !isObject && row.code == "" {
				t.Fatalf("row %d: %q is taken for an object", i+1, row.raw)
			}
		}
	})
}

func BenchmarkTable(b *testing.B) {
	line := "row-17,\"" + strings.Repeat("All work and no \"\"play\"\", says Jack. ", 50) + "\",4\n"
	r, err := dataset.New(dataset.CSV, io.MultiReader(strings.NewReader("id,text,stars\n"), &repeat{line: []byte(line)}), dataset.Position{}, dataset.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if row, err := r.Next(); err != nil || row.Bad != nil {
			b.Fatal(err, row.Bad)
		}
	}
}
