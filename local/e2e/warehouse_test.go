package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/local/duckdb"
)

// figure is a number of a query's row; DuckDB writes large ones as text.
func figure(t *testing.T, row map[string]any, name string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(strings.TrimSuffix(fmt.Sprint(row[name]), ".0"), 10, 64)
	if err != nil {
		t.Fatalf("%s of %v: %v", name, row, err)
	}
	return n
}

// DuckDB, which knows nothing of this product, writes an upload and reads what
// came of it; the queries are those that the template offers in Athena.
func TestDuckDBsAnswersToTheExampleQueriesAreThoseOfTheNotices(t *testing.T) {
	t.Parallel()
	queries, err := filepath.Glob("../../infra/stack/queries/*.sql")
	if err != nil || len(queries) == 0 {
		t.Fatal(queries, err)
	}
	upload := filepath.Join(t.TempDir(), "questions.parquet")
	if err := duckdb.Upload(t.Context(), "../..", upload, 500); err != nil {
		t.Fatal(err)
	}
	questions, err := os.ReadFile(upload)
	if err != nil {
		t.Fatal(err)
	}
	u := begin(t, setup{flags: []string{"--fail-records", "0.2", "--truncate", "0.2", "--set", quotas}})
	u.settings("", "model: us.amazon.nova-lite-v1:0\noutput: {parquet: true, echo: true}\nretries: 1\n")
	// No retries, so that some rows stay without an answer.
	u.settings("p/", "name: questions\nretries: 0\nprompt_template: '{question} Say so, {note}: {price} {asked} {pair}'\n")
	u.settings("e/", "model: amazon.titan-embed-text-v2:0\n")
	u.drop("p/questions.parquet", questions)
	u.drop("j/a.jsonl", prompts(130))
	u.drop("e/few.jsonl", prompts(5))
	var all []notice
	for _, key := range []string{"p/questions.parquet", "j/a.jsonl", "e/few.jsonl"} {
		all = append(all, u.notice(key))
	}
	if n := all[0]; n.Rows.Total != 500 || n.Rows.SetAside != 10 || len(n.Jobs) < 3 {
		t.Errorf("of the Parquet file: %s", n.Raw)
	}
	u.ended()

	folder := t.TempDir()
	for _, key := range u.keys("warehouse/") {
		file := filepath.Join(folder, filepath.FromSlash(key))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		body := u.read("s3://" + u.output + "/" + key)
		if err := os.WriteFile(file, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	told, err := duckdb.Query(t.Context(), "../..", filepath.Join(folder, "warehouse"), queries...)
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string][]map[string]any{}
	for name, answer := range told {
		answers[name] = answer.Objects()
	}

	var answered, unanswered, cut int64
	for _, n := range all {
		answered, unanswered, cut = answered+n.Rows.Answered, unanswered+n.Rows.Failed+n.Rows.Missing, cut+n.Answers.Truncated
	}
	if answered == 0 || unanswered == 0 || cut == 0 {
		t.Fatalf("%d answered, %d not, %d cut: the run shows too little", answered, unanswered, cut)
	}
	t.Run("submissions", func(t *testing.T) {
		if len(answers["submissions"]) != len(all) {
			t.Errorf("%d submissions of %d", len(answers["submissions"]), len(all))
		}
		for _, row := range answers["submissions"] {
			i := slices.IndexFunc(all, func(n notice) bool { return n.Submission == row["submission"] })
			if i < 0 {
				t.Fatalf("nobody was told of %v", row)
			}
			n := all[i]
			if row["upload"] != n.Upload.Key || row["workload"] != n.Workload || figure(t, row, "records") != n.Rows.Total-n.Rows.SetAside ||
				figure(t, row, "answered") != n.Rows.Answered || figure(t, row, "failed") != n.Rows.Failed || figure(t, row, "missing") != n.Rows.Missing ||
				figure(t, row, "input_tokens") != n.Tokens.Input || figure(t, row, "output_tokens") != n.Tokens.Output {
				t.Errorf("%v is not what was told: %s", row, n.Raw)
			}
		}
	})
	total := func(query, column string, of func(row map[string]any) bool) (sum int64) {
		for _, row := range answers[query] {
			if of == nil || of(row) {
				sum += figure(t, row, column)
			}
		}
		return sum
	}
	isAnswered := func(row map[string]any) bool { return row["status"] == "answered" }
	for _, c := range []struct {
		what      string
		got, want int64
	}{
		{"answered records by workload", total("rows-by-workload", "records", isAnswered), answered},
		{"records without an answer by workload", total("rows-by-workload", "records", func(row map[string]any) bool { return !isAnswered(row) }), unanswered},
		{"answers by day", total("tokens-by-day", "answered", nil), answered},
		{"tokens in by day", total("tokens-by-day", "input_tokens", nil), all[0].Tokens.Input + all[1].Tokens.Input + all[2].Tokens.Input},
		{"errors", total("common-errors", "records", nil), unanswered},
		{"answers by why they ended", total("stop-reasons", "answers", nil), answered},
		{"cut answers", total("stop-reasons", "answers", func(row map[string]any) bool { return row["stop_reason"] == "max_tokens" }), cut},
	} {
		if c.got != c.want {
			t.Errorf("%s: DuckDB says %d, the notices %d", c.what, c.got, c.want)
		}
	}
	if n := total("retried", "answers", nil); n == 0 || n > answered {
		t.Errorf("%d answers of a retry", n)
	}

	t.Run("what failed of the Parquet file can be dropped again", func(t *testing.T) {
		u := u.in(t)
		lost := lines[map[string]any](u, all[0].Results.Errors)
		if int64(len(lost)) != all[0].Rows.Failed+all[0].Rows.Missing || lost[0]["question"] == nil || lost[0]["_error"] == nil {
			t.Fatalf("errors.jsonl: %d lines, %v", len(lost), lost[0])
		}
		u.drop("p/again.jsonl", u.read(all[0].Results.Errors))
		if n := u.notice("p/again.jsonl"); n.Rows.Total != int64(len(lost)) || n.Rows.SetAside != 0 {
			t.Errorf("dropped again: %s", n.Raw)
		}
	})
}
