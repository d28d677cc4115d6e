package duckdb_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/local/duckdb"
)

const root = "../.."

func TestFilesBelowAFolderAreOneTableWithItsDays(t *testing.T) {
	dir := t.TempDir()
	for _, day := range []string{"dt=2026-11-24", "dt=2026-11-25"} {
		if err := os.Mkdir(filepath.Join(dir, day), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := duckdb.Upload(t.Context(), root, filepath.Join(dir, day, "a.parquet"), 20); err != nil {
			t.Fatal(err)
		}
	}
	query := filepath.Join(dir, "days.sql")
	if err := os.WriteFile(query, []byte("SELECT dt, count(*) AS n, avg(number) AS middle, min(note) FILTER (number > 20) AS nothing FROM results GROUP BY dt ORDER BY dt"), 0o600); err != nil {
		t.Fatal(err)
	}
	answers, err := duckdb.Query(t.Context(), root, dir, query)
	if err != nil {
		t.Fatal(err)
	}
	a := answers["days"]
	if len(answers) != 1 || !slices.Equal(a.Columns, []string{"dt", "n", "middle", "nothing"}) || len(a.Rows) != 2 || len(a.Objects()) != 2 {
		t.Fatalf("%v", answers)
	}
	for i, want := range []string{"2026-11-24", "2026-11-25"} {
		if o := a.Objects()[i]; o["dt"] != want || duckdb.Text(o["n"]) != "20" || duckdb.Text(o["middle"]) != "10.5" || o["nothing"] != nil {
			t.Errorf("row %d is %v", i, o)
		}
	}
}

func TestWhatDuckDBDoesNotUnderstandIsTold(t *testing.T) {
	dir := t.TempDir()
	if err := duckdb.Upload(t.Context(), root, filepath.Join(dir, "a.parquet"), 1); err != nil {
		t.Fatal(err)
	}
	query := filepath.Join(dir, "wrong.sql")
	if err := os.WriteFile(query, []byte("SELECT nobody FROM results"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := duckdb.Query(t.Context(), root, dir, query); err == nil || !strings.Contains(err.Error(), `"nobody" not found`) {
		t.Errorf("got %v", err)
	}
}
