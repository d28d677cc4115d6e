package scan_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/shared/scan"
)

// strict is what jsontext says of a text: one value and nothing else.
func strict(text []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err := d.SkipValue(); err != nil {
		return false
	}
	_, err := d.ReadToken()
	return err == io.EOF && utf8.Valid(text)
}

func accepts(text []byte) bool {
	end, ok := scan.Value(text, scan.Space(text, 0), scan.MaxDepth)
	return ok && scan.Space(text, end) == len(text)
}

var texts = []string{
	`{}`, `[]`, `""`, `0`, `-0`, `-0.0e-0`, `1E+9`, `01`, `1.`, `.5`, `-`, `1e`, `+1`, `true`, `tru`, `truex`, `null`, `NaN`,
	` {"a" : [1, {"b": null}, "\ud800"] } `, `{"a":1,}`, `[1,]`, `[1 2]`, `{"a" 1}`, `{1:2}`, `{"a":1]`, `{"a"}`, `{`, `[`, `"`, `"\`, `"\u12`, `"\u12g4"`, `"\x"`,
	"\"\x01\"", "\"12345678\x1f\"", "\"\x7f\"", "\"\xff\"", "\"1234567\xc3\"", "\"größe und mehr\"", "\"1234567\xed\xa0\x80\"", "\ufeff{}", "{} {}", "", " ", "\v1",
	`{"a":1,"a":2}`, `"\\"`, `"\\\"`, `"aaaaaaa\"bbbbbbbb\\cccccccc\/"`, "\"\xc0\x80\"", `[[[[[[1]]]]]]`, `{"a":{"b":{"c":[{}]}}}`,
}

func TestItAcceptsWhatJsontextAccepts(t *testing.T) {
	all := texts
	for _, deep := range []int{scan.MaxDepth, scan.MaxDepth + 1} {
		all = append(all, strings.Repeat("[", deep)+strings.Repeat("]", deep), strings.Repeat(`{"a":`, deep)+"1"+strings.Repeat("}", deep))
	}
	for n := range 20 { // each byte at each place within a word
		for _, c := range []string{`"`, `\`, "\x1f", " ", "\x7f", "\x80", "é", `\"`} {
			all = append(all, `"`+strings.Repeat("x", n)+c+`yyyyyyyy"`, `"`+strings.Repeat("x", n)+c)
		}
	}
	for _, text := range all {
		if got, want := accepts([]byte(text)), strict([]byte(text)); got != want {
			t.Errorf("%.40q: accepted %v, jsontext %v", text, got, want)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	text := []byte(`{"a":[1,2.5,{"b":"größe \u00e9 \n and more than eight bytes"}],"c":true}`)
	if n := testing.AllocsPerRun(100, func() {
		if !accepts(text) {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzItAcceptsWhatJsontextAccepts(f *testing.F) {
	for _, s := range texts {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, want := accepts(text), strict(text); got != want {
			t.Fatalf("accepted %v, jsontext %v", got, want)
		}
	})
}

// BenchmarkValue scans a record of about 2 KB.
func BenchmarkValue(b *testing.B) {
	for name, piece := range map[string]string{
		"ascii":   `She said: \"it works\", and closed the lid. Nothing else was in the parcel.\n`,
		"foreign": `Größe und Übermut führen zu später Erkenntnis. これはとても良い製品です。`,
		"escaped": `\u3053\u308c\u306f\u826f\u3044\u88fd\u54c1\u3067\u3059 and so on`,
	} {
		text := []byte(`{"id":"u1","prompt":"` + strings.Repeat(piece, 2000/len(piece)) + `"}`)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if !accepts(text) {
					b.Fatal("refused")
				}
			}
		})
		b.Run(name+"/jsontext", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			var d jsontext.Decoder
			r := bytes.NewReader(text)
			for b.Loop() {
				r.Reset(text)
				d.Reset(r, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
				if err := d.SkipValue(); err != nil || !utf8.Valid(text) {
					b.Fatal(err)
				}
			}
		})
	}
}
