package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fixtures are the uploads of the table of formats, each with what comes back
// where the model is made up.
const fixtures = "../../shared/handler/testdata/formats"

// section counts the lines of a file in a fixture's want.
func section(want []byte, name string) int64 {
	_, rest, ok := bytes.Cut(want, []byte("--- "+name+"\n"))
	if !ok {
		return 0
	}
	if end := bytes.Index(rest, []byte("\n--- ")); end >= 0 {
		rest = rest[:end+1]
	}
	return int64(bytes.Count(rest, []byte("\n")))
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
		answered, aside := section(want, "results.jsonl"), section(want, "set-aside.jsonl")
		// One native row is no request at all, which only a real model says.
		if strings.HasPrefix(key, "native") {
			if n.Rows.Answered != 1 || n.Rows.Failed != 1 || n.Rows.SetAside != aside {
				t.Errorf("%s: notice %s", key, n.Raw)
			}
			continue
		}
		if n.Rows.Answered != answered || n.Rows.Failed != 0 || n.Rows.SetAside != aside {
			t.Errorf("%s: want %d answered and %d set aside, notice %s", key, answered, aside, n.Raw)
		}
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
