package bedrockbatch_test

import (
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func rows(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"prompt":"Question %d?"}`+"\n", i+1)
	}
	return b.String()
}

func TestValidateForetellsWhatWouldHappen(t *testing.T) {
	for _, c := range []struct {
		name   string
		file   string
		text   string
		spec   bedrockbatch.Spec
		ok     bool
		reason string
		rows   int64
		bad    string
		parts  string
	}{
		{name: "few rows are answered on demand", file: "a.jsonl", text: rows(3), spec: bedrockbatch.Spec{Model: haiku}, ok: true, rows: 3, parts: "3 on demand"},
		{name: "many rows make legal parts", file: "a.jsonl", text: rows(50_001), spec: bedrockbatch.Spec{Model: haiku}, ok: true, rows: 50_001, parts: "49901 100"},
		{name: "bad rows are told with their lines", file: "a.jsonl", text: rows(2) + "nonsense\n" + rows(1), spec: bedrockbatch.Spec{Model: haiku}, ok: true, rows: 4, bad: "3 not_json", parts: "3 on demand"},
		{name: "a table without a template is rejected", file: "a.csv", text: "a,b\n1,2\n", spec: bedrockbatch.Spec{Model: haiku}, reason: "prompt"},
		{name: "a column that is not there is rejected", file: "a.csv", text: "a,b\n1,2\n", spec: bedrockbatch.Spec{Model: haiku, Template: "{c}"}, reason: "c"},
		{name: "no model", file: "a.jsonl", text: rows(1), reason: "no model"},
		{name: "nothing in it", file: "a.jsonl", text: "", spec: bedrockbatch.Spec{Model: haiku}, reason: "empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := bedrockbatch.Validate(t.Context(), c.spec, bedrockbatch.File(write(t, c.file, c.text)), nil)
			if err != nil {
				t.Fatal(err)
			}
			var bad, parts []string
			for _, b := range f.Bad {
				bad = append(bad, fmt.Sprint(b.Line, " ", b.Code))
			}
			for _, p := range f.Parts {
				text := fmt.Sprint(p.Records)
				if p.OnDemand {
					text += " on demand"
				}
				parts = append(parts, text)
			}
			if f.Accepted != c.ok || !strings.Contains(f.Reason, c.reason) || c.ok && f.Rows != c.rows || strings.Join(bad, ",") != c.bad || c.ok && strings.Join(parts, " ") != c.parts {
				t.Errorf("%+v", f)
			}
			if c.ok && (f.MostUSD == nil || *f.LeastUSD <= 0 || *f.MostUSD <= *f.LeastUSD) {
				t.Errorf("cost %v to %v", f.LeastUSD, f.MostUSD)
			}
		})
	}
}

func TestHeadIsTheFirstRowsInTheirOwnFormat(t *testing.T) {
	packed := filepath.Join(t.TempDir(), "a.csv.gz")
	out, err := os.Create(packed)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(out)
	fmt.Fprint(z, "q\n\"a\nb\"\nc\nd\n")
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	out.Close()
	for name, file := range map[string]string{
		"lines":        write(t, "a.jsonl", rows(9)),
		"an array":     write(t, "a.json", `[{"q":"a"}, {"q":"b"}, {"q":"c"}]`),
		"packed table": packed,
	} {
		f, err := bedrockbatch.Validate(t.Context(), bedrockbatch.Spec{Model: haiku, Template: map[bool]string{true: "{q}"}[name != "lines"]}, bedrockbatch.Head(file, "", 2), nil)
		if err != nil || !f.Accepted || f.Rows != 2 || f.SetAside != 0 {
			t.Errorf("%s: %+v %v", name, f, err)
		}
	}
}
