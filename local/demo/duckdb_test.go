//go:build demo

package demo_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/demo"
	"github.com/bedrock-batch/bedrock-batch/local/duckdb"
)

// make test runs these behind make demo, over the results that it left.

const root = "../.."

// What examples/help-desk/workload.yaml says.
const (
	folder  = "help-desk"
	modelID = "us.amazon.nova-lite-v1:0"
)

// once is a workload beside it whose failed rows get no second chance.
const once = "once"

func TestDuckDBAnswersTheExampleQueriesOverTheDemosResults(t *testing.T) {
	t.Run("as make demo left them", func(t *testing.T) {
		left := filepath.Join(root, ".local", "demo")
		if _, err := os.Stat(left); err != nil {
			t.Fatalf("make demo comes first: %v", err)
		}
		compare(t, left, filepath.Join(root, "examples"), []string{folder}, "rows-by-workload", "stop-reasons", "submissions", "tokens-by-day", "documented")
	})
	t.Run("with failures, retries and cut answers", func(t *testing.T) {
		examples, results := t.TempDir(), filepath.Join(t.TempDir(), "results")
		for _, name := range []string{folder, once} {
			if err := os.CopyFS(filepath.Join(examples, name), os.DirFS(filepath.Join(root, "examples", folder))); err != nil {
				t.Fatal(err)
			}
		}
		settings := filepath.Join(examples, once, "workload.yaml")
		read(t, settings, func(text []byte) error {
			changed := bytes.Replace(text, []byte("\nname: "+folder+"\n"), []byte("\nname: "+once+"\nretries: 0\n"), 1)
			return os.WriteFile(settings, changed, 0o600)
		})
		var out bytes.Buffer
		err := demo.Run(t.Context(), demo.Options{
			Services: filepath.Join(root, ".build", "local"), Examples: examples, Results: results,
			Args: []string{"--template", filepath.Join(root, "infra", "template", "bedrock-batch.template.json"),
				"--functions", filepath.Join(root, "dist", "local"), "--fail-records", "0.3", "--truncate", "0.2", "--refuse", "0.1"},
		}, &out)
		if err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
		compare(t, results, examples, []string{folder, once}, "common-errors", "retried", "rows-by-workload", "stop-reasons", "submissions", "tokens-by-day", "documented")
	})
}

// compare puts the queries to DuckDB over the Parquet files of a demo, and
// works the answers out from the JSON lines of the same submissions. Those that
// are named must have rows.
func compare(t *testing.T, results, examples string, folders []string, full ...string) {
	t.Helper()
	var all []record
	for _, name := range folders {
		all = append(all, records(t, results, examples, name)...)
	}
	keys(t, results, all)
	files, err := filepath.Glob(filepath.Join(root, "infra", "stack", "queries", "*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	answers, err := duckdb.Query(t.Context(), root, filepath.Join(results, "warehouse"), append(files, documented(t))...)
	if err != nil {
		t.Fatal(err)
	}
	if len(answers) != len(figures) {
		t.Errorf("DuckDB was asked %q, here are figures for %q", slices.Sorted(maps.Keys(answers)), slices.Sorted(maps.Keys(figures)))
	}
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		got, want := answers[name].Rows, figures[name](all)
		if name == "documented" { // it names no order
			byText := func(a, b []any) int { return cmp.Compare(line(a), line(b)) }
			slices.SortFunc(got, byText)
			slices.SortFunc(want, byText)
		}
		if !slices.EqualFunc(got, want, func(a, b []any) bool { return line(a) == line(b) }) {
			t.Errorf("%s: DuckDB says\n%s\nthe JSON lines\n%s", name, lines(got), lines(want))
		}
		if len(got) == 0 && slices.Contains(full, name) {
			t.Errorf("%s: there is nothing to compare", name)
		}
		t.Logf("%s\n%s", name, lines(got))
	}
}

// documented is the query that docs/warehouse.md types for Athena, as a file.
func documented(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "warehouse.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`--query-string "([^"]+)"`).FindSubmatch(text)
	if found == nil {
		t.Fatal("docs/warehouse.md has no query any more")
	}
	path := filepath.Join(t.TempDir(), "documented.sql")
	if err := os.WriteFile(path, found[1], 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// record is what the JSON lines say of one.
type record struct {
	workload                string
	day, submission, upload string
	status, stop            string
	input, output           int64
	attempt                 int64
	code, message           string
}

// records reads results.jsonl and errors.jsonl of the submissions of a folder,
// whose workload has its name and wants Parquet.
func records(t *testing.T, results, examples, name string) []record {
	t.Helper()
	top := filepath.Join(results, "results", name)
	var all []record
	submissions := 0
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "summary.json" {
			return err
		}
		submissions++
		at := filepath.Dir(path)
		var summary struct{ StartedAt time.Time }
		read(t, path, func(text []byte) error { return json.Unmarshal(text, &summary) })
		upload, err := filepath.Rel(filepath.Join(results, "results"), filepath.Dir(at))
		if err != nil {
			return err
		}
		of := record{workload: name, day: summary.StartedAt.UTC().Format(time.DateOnly), submission: filepath.Base(at), upload: filepath.ToSlash(upload)}
		read(t, filepath.Join(at, "results.jsonl"), eachLine(func(text []byte) error {
			var l struct {
				StopReason string
				Usage      struct{ InputTokens, OutputTokens int64 }
				Attempt    int64
			}
			err := json.Unmarshal(text, &l)
			r := of
			r.status, r.stop, r.input, r.output, r.attempt = "answered", l.StopReason, l.Usage.InputTokens, l.Usage.OutputTokens, l.Attempt
			all = append(all, r)
			return err
		}))
		if _, err := os.Stat(filepath.Join(at, "errors.jsonl")); err != nil {
			return nil // nothing failed
		}
		read(t, filepath.Join(at, "errors.jsonl"), eachLine(func(text []byte) error {
			var l struct {
				Error struct{ Code, Message string } `json:"_error"`
			}
			err := json.Unmarshal(text, &l)
			r := of
			r.status, r.code, r.message = "failed", l.Error.Code, l.Error.Message
			if r.code == "missing" {
				r.status = "missing"
			}
			all = append(all, r)
			return err
		}))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	uploads, err := filepath.Glob(filepath.Join(examples, name, "*.jsonl"))
	if err != nil || len(uploads) == 0 || submissions != len(uploads) {
		t.Fatalf("%d submissions of the uploads %q (%v)", submissions, uploads, err)
	}
	return all
}

func read(t *testing.T, path string, with func([]byte) error) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := with(text); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func eachLine(do func([]byte) error) func([]byte) error {
	return func(text []byte) error {
		for l := range bytes.Lines(text) {
			if err := do(l); err != nil {
				return err
			}
		}
		return nil
	}
}

// keys checks that the Parquet files lie below the days of their submissions,
// those of each and of no others.
func keys(t *testing.T, results string, all []record) {
	t.Helper()
	prefixes := map[string]bool{} // whether a file has it
	for _, r := range all {
		prefixes["dt="+r.day+"/"+r.submission+"-"] = false
	}
	top := filepath.Join(results, "warehouse")
	shape := regexp.MustCompile(`^(dt=\d{4}-\d{2}-\d{2}/[0-9a-z]+-)\d{5}\.parquet$`)
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		key, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		m := shape.FindStringSubmatch(filepath.ToSlash(key))
		if m == nil {
			return fmt.Errorf("%s is no key of the table", key)
		}
		if _, known := prefixes[m[1]]; !known {
			return fmt.Errorf("%s belongs to no submission whose workload wants Parquet", key)
		}
		prefixes[m[1]] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for prefix, there := range prefixes {
		if !there {
			t.Errorf("there is no Parquet at %s", prefix)
		}
	}
}

// figures work out what each query should answer.
var figures = map[string]func([]record) [][]any{
	"rows-by-workload": byStatus,
	"documented":       byStatus,
	"tokens-by-day": func(all []record) [][]any {
		return grouped(all, answered, func(r record) string { return r.day + " " + r.workload }, func(first record, of []record) []any {
			return []any{first.day, first.workload, modelID, len(of), sum(of, input), sum(of, output)}
		})
	},
	"submissions": func(all []record) [][]any {
		return grouped(all, nil, func(r record) string { return r.day + " " + r.upload + " " + r.submission }, func(first record, of []record) []any {
			status := func(s string) int {
				return len(kept(of, func(r record) bool { return r.status == s }))
			}
			return []any{first.day, first.submission, first.upload, first.workload, len(of), status("answered"), status("failed"), status("missing"), sum(of, input), sum(of, output)}
		})
	},
	"common-errors": func(all []record) [][]any {
		rows := grouped(all, func(r record) bool { return !answered(r) }, func(r record) string { return r.workload + " " + r.code + " " + r.message }, func(first record, of []record) []any {
			return []any{first.workload, first.code, first.message, len(of)}
		})
		slices.SortStableFunc(rows, func(a, b []any) int { return cmp.Compare(b[3].(int), a[3].(int)) })
		return rows[:min(len(rows), 20)]
	},
	"stop-reasons": func(all []record) [][]any {
		rows := grouped(all, answered, func(r record) string { return r.workload + " " + r.stop }, func(first record, of []record) []any {
			return []any{first.workload, first.stop, len(of), float64(sum(of, output)) / float64(len(of))}
		})
		slices.SortStableFunc(rows, func(a, b []any) int {
			return cmp.Or(cmp.Compare(a[0].(string), b[0].(string)), cmp.Compare(b[2].(int), a[2].(int)))
		})
		return rows
	},
	"retried": func(all []record) [][]any {
		return grouped(all, func(r record) bool { return answered(r) && r.attempt > 1 }, func(r record) string { return fmt.Sprint(r.workload, " ", r.attempt) }, func(first record, of []record) []any {
			return []any{first.workload, first.attempt, len(of)}
		})
	},
}

func byStatus(all []record) [][]any {
	return grouped(all, nil, func(r record) string { return r.workload + " " + r.status }, func(first record, of []record) []any {
		return []any{first.workload, first.status, len(of)}
	})
}

func answered(r record) bool { return r.status == "answered" }
func input(r record) int64   { return r.input }
func output(r record) int64  { return r.output }

func kept(all []record, keep func(record) bool) []record {
	if keep == nil {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(r record) bool { return !keep(r) })
}

func sum(of []record, what func(record) int64) (n int64) {
	for _, r := range of {
		n += what(r)
	}
	return n
}

// grouped makes a row of each group and its first record, in the order of the
// groups' names.
func grouped(all []record, keep func(record) bool, by func(record) string, row func(record, []record) []any) (rows [][]any) {
	groups := map[string][]record{}
	for _, r := range kept(all, keep) {
		groups[by(r)] = append(groups[by(r)], r)
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		rows = append(rows, row(groups[name][0], groups[name]))
	}
	return rows
}

// line is a row as text, in which numbers are alike however they came.
func line(row []any) string {
	var cells []string
	for _, cell := range row {
		cells = append(cells, duckdb.Text(cell))
	}
	return strings.Join(cells, " | ")
}

func lines(rows [][]any) string {
	var b strings.Builder
	for _, row := range rows {
		b.WriteString("\t" + line(row) + "\n")
	}
	return b.String()
}
