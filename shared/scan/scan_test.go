package scan_test

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/bench/data"
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
	scan.BothWays(t, func(t *testing.T) {
		for _, text := range all {
			if got, want := accepts([]byte(text)), strict([]byte(text)); got != want {
				t.Errorf("%.40q: accepted %v, jsontext %v", text, got, want)
			}
		}
	})
}

// What is passed in blocks: each thing at each place within several of them,
// among others, and texts that end there.
func TestLongStringsAreWhatJsontextAccepts(t *testing.T) {
	things := []string{
		`"`, `\`, `\\`, `\\\`, `\"`, `\\"`, `\\\"`, `\/\b\f\n\r\t`, `\u`, `\u0`, `\u00e`, `\u00e9`, `\uD83D\ude00`, `\u00g9`, `\x`, `\'`, `\é`, `\0`, "\\\n",
		"\x00", "\x1f", "\n", "\x7f", "\x80", "é", "は", "😀", "\xc3", "\xe3\x81", "\xed\xa0\x80", "\xf4\x90\x80\x80",
	}
	for _, n := range []int{5, 62, 63, 64, 65, 130} {
		things = append(things, strings.Repeat(`\`, n), strings.Repeat(`\`, n)+`"`, strings.Repeat(`\u00e9`, n), strings.Repeat(`は`, n))
	}
	for _, filling := range []string{"x", `\n`, `\u00e9`, "é"} {
		for _, thing := range things {
			for n := range 2*64 + 40 {
				before := strings.Repeat(filling, n)
				for _, text := range []string{
					`"` + before + thing + strings.Repeat("y", 150) + `"`,
					`"` + before + thing + `"` + strings.Repeat("\n ", 75),
					`"` + before + thing,
				} {
					if got, want := accepts([]byte(text)), strict([]byte(text)); got != want {
						t.Fatalf("%d of %q, then %q: accepted %v, jsontext %v", n, filling, thing, got, want)
					}
				}
			}
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
		f.Add([]byte(`"Größe, \"これは\" and \u00e9\\\\` + strings.Repeat("more than a block ", 5) + s + `"`))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, want := accepts(text), strict(text); got != want {
			t.Fatalf("accepted %v, jsontext %v", got, want)
		}
		long := slices.Concat([]byte(`"`), bytes.Repeat(text, 1+200/(1+len(text))), []byte(`"`))
		got := accepts(long)
		if want := strict(long); got != want {
			t.Fatalf("repeated as a string: accepted %v, jsontext %v", got, want)
		}
		back := scan.Without()
		defer back()
		if accepts(long) != got {
			t.Fatalf("accepted %v with vectors alone", got)
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

// BenchmarkRows scans rows as make bench drops them, most of them for the first
// time since they were last in the processor's cache.
func BenchmarkRows(b *testing.B) {
	var text []byte
	for row := range int64(20_000) {
		if data.Prompt.Good(row) {
			text = data.Prompt.AppendRow(text, row)
		}
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		for line := range bytes.Lines(text) {
			if !accepts(line) {
				b.Fatal("refused")
			}
		}
	}
}
