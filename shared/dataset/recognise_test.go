package dataset_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstded(t testing.TB, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return string(w.EncodeAll([]byte(text), nil))
}

func TestRecognise(t *testing.T) {
	native := `{"recordId":"1","modelInput":{"a":1}}` + "\n"
	long := `{"modelInput":{"a":"` + strings.Repeat("x", dataset.HeadSize)
	for _, c := range []struct {
		name, key, head string
		declared, want  dataset.Format
		packed          dataset.Compression
	}{
		{"rows with modelInput are native", "a/b.jsonl", native, "", dataset.Native, ""},
		{"rows with prompt are prompts", "x.jsonl", "\xef\xbb\xbf\n" + `{"id":1,"prompt":"a"}`, "", dataset.Prompt, ""},
		{"rows with body are OpenAI's", "x.jsonl", `{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{}}`, "", dataset.OpenAI, ""},
		{"rows with params are Anthropic's", "x.jsonl", `{"custom_id":"1","params":{}}`, "", dataset.Anthropic, ""},
		{"other rows need a template", "x.ndjson", `{"text":"a"}`, "", dataset.JSONL, ""},
		{"a bad first row does not matter", "x.jsonl", "oops\n[1]\n" + native, "", dataset.Native, ""},
		{"a first row longer than what is seen", "x.jsonl", long[:dataset.HeadSize], "", dataset.Native, ""},
		{"no name is needed for JSON lines", "x", native, "", dataset.Native, ""},
		{"nor for arrays", "x", " [", "", dataset.JSON, ""},
		{"JSON lines may be called .json", "x.json", native + native, "", dataset.Native, ""},
		{"objects over several lines", "x.json", "{\n\"a\": 1\n}", "", dataset.JSON, ""},
		{"an array may be called .jsonl", "x.jsonl", "[{}]", "", dataset.JSON, ""},
		{"tables are told by their names", "x.CSV", "{a},b", "", dataset.CSV, ""},
		{"and by tabs", "x.tsv", "a\tb", "", dataset.TSV, ""},
		{"documents too", "x.md", "# a", "", dataset.Text, ""},
		{"what is declared holds", "x.jsonl", native, dataset.Text, dataset.Text, ""},
		{"gzip is told by its bytes", "x.jsonl.gz", gzipped(t, native), "", dataset.Native, dataset.Gzip},
		{"zstd too", "x.csv.zst", zstded(t, "a,b\n"), "", dataset.CSV, dataset.Zstd},
		{"whatever the name says", "x.jsonl", gzipped(t, native), "", dataset.Native, dataset.Gzip},
		{"a name alone packs nothing", "x.jsonl.gz", native, "", dataset.Native, ""},
		{"an errors file is JSON lines whatever is declared", "x.jsonl", `{"a":"b","_error":{}}`, dataset.CSV, dataset.JSONL, ""},
		{"of the declared kind if that is JSON lines", "x.jsonl", `{"prompt":"b","_error":{}}`, dataset.Native, dataset.Native, ""},
		{"or of its own", "x.csv", `{"prompt":"b","_error":{}}`, "", dataset.Prompt, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			head := c.head[:min(len(c.head), dataset.HeadSize)]
			f, packed, err := dataset.Recognise(c.key, []byte(head), c.declared)
			if err != nil || f != c.want || packed != c.packed {
				t.Errorf("got %q, %q, %v", f, packed, err)
			}
		})
	}
	for _, c := range []struct {
		name, key, head string
		want            error
		text            string
	}{
		{"nothing", "x.jsonl", "", dataset.ErrEmpty, ""},
		{"nothing but white space", "x.csv", "\xef\xbb\xbf \r\n", dataset.ErrEmpty, ""},
		{"nothing, packed", "x.csv.gz", gzipped(t, ""), dataset.ErrEmpty, ""},
		{"a broken gzip", "x.csv.gz", "\x1f\x8b\x08\x00oops", dataset.ErrCorrupt, ""},
		{"a zstd file cut short", "x.csv.zst", zstded(t, "a,b\n")[:6], dataset.ErrCorrupt, ""},
		{"no telling", "x.dat", "hello", dataset.ErrUnrecognised, "name the format"},
		{"an Excel file", "x.csv", "PK\x03\x04...", dataset.ErrUnrecognised, "CSV"},
		{"UTF-16", "x.csv", "\xff\xfea\x00", dataset.ErrUnrecognised, "UTF-8"},
	} {
		t.Run(c.name+" is refused", func(t *testing.T) {
			if f, _, err := dataset.Recognise(c.key, []byte(c.head), ""); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %q, %v", f, err)
			}
		})
	}
}

func TestRecogniseUnpacksWhatHardlyShrinks(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(0x23 + rnd.IntN(0x39))
	}
	text := `{"prompt":"` + string(noise) + `"}`
	for _, bytes := range []string{gzipped(t, text), zstded(t, text)} {
		if f, _, err := dataset.Recognise("x", []byte(bytes[:dataset.HeadSize]), ""); err != nil || f != dataset.Prompt {
			t.Errorf("got %q, %v", f, err)
		}
	}
}

func TestDecompress(t *testing.T) {
	text := strings.Repeat("All work and no play. ", 100_000)
	broken := errors.New("connection lost")
	for _, c := range []struct {
		name   string
		packed dataset.Compression
		bytes  string
	}{
		{"plain", dataset.Plain, text},
		{"gzip", dataset.Gzip, gzipped(t, text)},
		{"gzip in several members", dataset.Gzip, gzipped(t, text[:1000]) + gzipped(t, text[1000:])},
		{"zstd", dataset.Zstd, zstded(t, text)},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := func(r io.Reader, limit int64) (string, error) {
				unpacked, err := dataset.Decompress(r, c.packed, limit)
				if err != nil {
					return "", err
				}
				defer unpacked.Close()
				got, err := io.ReadAll(unpacked)
				return string(got), err
			}
			for _, limit := range []int64{0, int64(len(text))} {
				if got, err := all(strings.NewReader(c.bytes), limit); err != nil || got != text {
					t.Errorf("limit %d: got %d bytes, %v", limit, len(got), err)
				}
			}
			if _, err := all(strings.NewReader(c.bytes), int64(len(text))-1); !errors.Is(err, dataset.ErrTooLarge) {
				t.Errorf("over the limit: got %v", err)
			}
			for _, n := range []int{0, 3, len(c.bytes) / 2} {
				if _, err := all(io.MultiReader(strings.NewReader(c.bytes[:n]), iotest.ErrReader(broken)), 0); !errors.Is(err, broken) || errors.Is(err, dataset.ErrCorrupt) {
					t.Errorf("stream broken at %d: got %v", n, err)
				}
				if _, err := all(strings.NewReader(c.bytes[:n]), 0); c.packed != dataset.Plain && n > 0 && !errors.Is(err, dataset.ErrCorrupt) {
					t.Errorf("cut at %d: got %v", n, err)
				}
			}
		})
	}
	if _, err := dataset.Decompress(strings.NewReader(""), "lzma", 0); err == nil {
		t.Error("an unknown compression is taken")
	}
}

func FuzzRecognise(f *testing.F) {
	f.Add("a.jsonl", []byte(`{"prompt":1}`), "")
	f.Add("a.csv.gz", []byte("\x1f\x8b\x08\x00"), "csv")
	f.Add("a", []byte("\x28\xb5\x2f\xfd\x00"), "x")
	f.Fuzz(func(t *testing.T, name string, head []byte, declared string) {
		format, _, err := dataset.Recognise(name, head, dataset.Format(declared))
		if err == nil && !format.Known() {
			t.Fatalf("got %q", format)
		}
	})
}

func TestARowWithNothingButAnIDDoesNotDecideTheFormat(t *testing.T) {
	for head, want := range map[string]dataset.Format{
		"{}\n{\"prompt\": \"a\"}\n":                             dataset.Prompt,
		"{\"recordId\": \"a\"}\n{\"modelInput\": {\"a\": 1}}\n": dataset.Native,
		"{\"id\": 1}\n{\"id\": 2}\n":                            dataset.JSONL,
		"{\"question\": 1}\n{\"prompt\": \"a\"}\n":              dataset.JSONL,
	} {
		got, _, err := dataset.Recognise("rows.jsonl", []byte(head), "")
		if err != nil || got != want {
			t.Errorf("%q is taken for %q (%v), want %q", head, got, err, want)
		}
	}
}
