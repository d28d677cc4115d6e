package handler_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
)

var update = flag.Bool("update", false, "write what comes back anew")

// Every format of the documentation's table has a fixture, and what is asked of
// the model and what comes back is what stands beside it.
func TestEachFormatsFixtureComesBackAsItShould(t *testing.T) {
	for _, f := range dataset.Formats {
		t.Run(string(f), func(t *testing.T) {
			dir := filepath.Join("testdata", "formats", string(f))
			settings, err := os.ReadFile(filepath.Join(dir, "workload.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			uploads, err := filepath.Glob(filepath.Join(dir, "upload.*"))
			if err != nil || len(uploads) != 1 {
				t.Fatalf("uploads %q, %v", uploads, err)
			}
			body, err := os.ReadFile(uploads[0])
			if err != nil {
				t.Fatal(err)
			}
			// All on demand, so that the questions can be seen.
			w := handlertest.New(t, nil)
			w.Settings.OnDemandConcurrency = 1
			w.Input.Set("f/workload.yaml", settings)
			w.Input.Set("f/"+filepath.Base(uploads[0]), body)
			w.Run()
			n := one(t, w)
			var got bytes.Buffer
			for _, q := range w.Bedrock.Asked() {
				got.WriteString("asked " + string(q.Invocation) + " " + string(q.Input) + "\n")
			}
			prefix := "results/" + strings.TrimSuffix(n.Upload.Key, "/") + "/" + n.Submission + "/"
			for _, key := range w.Output.Keys(prefix) {
				name := strings.TrimPrefix(key, prefix)
				if name == "summary.json" || name == "progress.json" {
					continue
				}
				got.WriteString("--- " + name + "\n")
				got.Write(bytes.ReplaceAll(w.Output.Bytes(key), []byte(n.Submission), []byte("SUBMISSION")))
			}
			file := filepath.Join(dir, "want")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%v, got\n%s\nwant\n%s", err, got.Bytes(), want)
			}
			clean(t, w)
		})
	}
}
