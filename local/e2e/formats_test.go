package e2e

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// fixtures are the uploads of the table of formats, each with what comes back
// where the model is made up.
const fixtures = "../../shared/handler/testdata/formats"

// sections are the files in a fixture's want, by name.
func sections(want []byte) map[string][]byte {
	all := map[string][]byte{}
	for n, part := range bytes.Split(append([]byte("\n"), want...), []byte("\n--- ")) {
		if n == 0 {
			continue // what the model was asked
		}
		name, body, _ := bytes.Cut(part, []byte("\n"))
		all[string(name)] = body
	}
	return all
}

// shapeOf is a file without what the model decides: answers, tokens, times.
func shapeOf(t *testing.T, name string, body []byte) (rows []any) {
	t.Helper()
	if strings.HasSuffix(name, ".csv") {
		in := csv.NewReader(bytes.NewReader(body))
		if head, _, _ := bytes.Cut(body, []byte("\n")); bytes.ContainsRune(head, '\t') {
			in.Comma, in.LazyQuotes = '\t', true
		}
		table, err := in.ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, row := range table {
			kept := []any{}
			for j, field := range row {
				switch table[0][j] {
				case "output", "stop_reason", "input_tokens", "output_tokens":
					field = map[bool]string{true: field}[i == 0]
				}
				kept = append(kept, field)
			}
			rows = append(rows, kept)
		}
		return rows
	}
	for line := range bytes.Lines(body) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var v any
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%s: %v: %s", name, err, line)
		}
		rows = append(rows, without(v))
	}
	return rows
}

func without(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			switch name {
			case "output", "usage", "content", "created", "stopReason", "modelStopReason", "finish_reason", "stop_reason":
				v[name] = "as the model decides"
				if name == "modelStopReason" {
					delete(v, name)
				}
			default:
				v[name] = without(value)
			}
		}
	case []any:
		for i := range v {
			v[i] = without(v[i])
		}
	}
	return v
}

// cameBack compares what came back of a fixture with what its want says, but
// for what the model decides.
func (u *user) cameBack(n notice, folder string, want []byte) {
	u.t.Helper()
	prefix := strings.TrimSuffix(strings.TrimPrefix(n.Results.Summary, "s3://"+u.output+"/"), "summary.json")
	for name, body := range sections(want) {
		if !strings.HasSuffix(name, ".jsonl") && !strings.HasSuffix(name, ".csv") && !strings.HasSuffix(name, ".json") {
			if !u.exists(prefix + name) {
				u.t.Errorf("%s: there is no %s", folder, name)
			}
			continue
		}
		body = bytes.ReplaceAll(body, []byte(`"f/`), []byte(`"`+folder+`/`))
		got := bytes.ReplaceAll(u.read("s3://"+u.output+"/"+prefix+name), []byte(n.Submission), []byte("SUBMISSION"))
		if wanted, have := shapeOf(u.t, name, body), shapeOf(u.t, name, got); !reflect.DeepEqual(wanted, have) {
			u.t.Errorf("%s: %s:\ngot  %s\nwant %s", folder, name, inJSON(have), inJSON(wanted))
		}
	}
}

func count(lines []byte) int64 {
	return int64(len(bytes.FieldsFunc(lines, func(r rune) bool { return r == '\n' })))
}

func TestEachFormatsFixtureIsAnsweredByTheServices(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob(filepath.Join(fixtures, "*", "workload.yaml"))
	if err != nil || len(folders) == 0 {
		t.Fatal(folders, err)
	}
	u := begin(t, setup{})
	keys := map[string][]byte{}
	for _, file := range folders {
		dir := filepath.Dir(file)
		settings, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		uploads, err := filepath.Glob(filepath.Join(dir, "upload.*"))
		if err != nil || len(uploads) != 1 {
			t.Fatal(uploads, err)
		}
		body, err := os.ReadFile(uploads[0])
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(dir, "want"))
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Base(dir)
		// A document is gathered, so that its folder is what is answered.
		text := string(settings)
		key := folder + "/" + filepath.Base(uploads[0])
		if folder == "text" || folder == "media" {
			text += "gather: {quiet: 2s}\n"
			keys[folder] = want
		} else {
			keys[key] = want
		}
		u.settings(folder+"/", text)
		u.drop(key, body)
	}
	for key, want := range keys {
		n := u.notice(key)
		folder, _, _ := strings.Cut(key, "/")
		lines := sections(want)
		answered, failed, aside := count(lines["results.jsonl"]), int64(0), count(lines["set-aside.jsonl"])
		if folder == "native" {
			// One row is no request at all, which only a real model says.
			answered, failed = answered-1, 1
			want = []byte("--- set-aside.jsonl\n" + string(lines["set-aside.jsonl"]))
		}
		if n.Rows.Answered != answered || n.Rows.Failed != failed || n.Rows.SetAside != aside {
			t.Errorf("%s: want %d answered, %d failed and %d set aside, notice %s", key, answered, failed, aside, n.Raw)
			continue
		}
		u.cameBack(n, folder, want)
	}
	u.ended()
}

func TestEmbeddingsAreAnsweredByTheServices(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{})
	const titan = "model: amazon.titan-embed-text-v2:0\n"
	folders := map[string]string{"plain": titan, "short": titan + "additional_model_request_fields: {dimensions: 256, normalize: false}\n"}
	for folder, settings := range folders {
		u.settings(folder+"/", settings)
		var rows strings.Builder
		for i := range 120 { // by a job
			fmt.Fprintf(&rows, `{"custom_id":"c%d","method":"POST","url":"/v1/embeddings","body":{"model":"e","input":"text %d"}}`+"\n", i, i)
		}
		u.drop(folder+"/a.jsonl", []byte(rows.String()))
		u.drop(folder+"/b.jsonl", []byte(`{"prompt":"one"}`+"\n"))
	}
	for folder := range folders {
		n := u.notice(folder + "/a.jsonl")
		if n.Status != "Completed" || n.Rows.Answered != 120 {
			t.Errorf("%s: notice %s", folder, n.Raw)
			continue
		}
		if got := bytes.Count(u.read(n.Results.Results[:strings.LastIndex(n.Results.Results, "/")+1]+"results.openai.jsonl"), []byte(`"object":"embedding","index":0,"embedding":[`)); got != 120 {
			t.Errorf("%s: %d lines in OpenAI's shape", folder, got)
		}
		if n := u.notice(folder + "/b.jsonl"); n.Status != "Completed" {
			t.Errorf("%s: notice %s", folder, n.Raw)
		}
	}
	u.ended()
}
