package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/local/duckdb"
)

func TestAnswersAreTables(t *testing.T) {
	dir := t.TempDir()
	day := filepath.Join(dir, "warehouse", "dt=2026-11-24")
	if err := os.MkdirAll(day, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := duckdb.Upload(t.Context(), "../../..", filepath.Join(day, "a.parquet"), 3); err != nil {
		t.Fatal(err)
	}
	var files []string
	for name, text := range map[string]string{
		"each.sql": "-- Each of them.\nSELECT dt, id, number FROM results ORDER BY number",
		"none.sql": "SELECT id FROM results WHERE number > 3",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	var out, wrong bytes.Buffer
	if code := run(t.Context(), append([]string{"--root", "../../..", "--results", dir}, files...), &out, &wrong); code != 0 {
		t.Fatalf("ended with %d: %s", code, &wrong)
	}
	for _, want := range []string{
		"each  Each of them.\n    dt          id  number\n    2026-11-24  u1  1\n    2026-11-24  u2  2\n    2026-11-24  u3  3\n\n",
		"none\n    id\n    (no rows)\n\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not print\n%s\nbut\n%s", want, &out)
		}
	}
}

func TestWhoHasNoResultsIsToldHowToGetSome(t *testing.T) {
	var out, wrong bytes.Buffer
	if code := run(t.Context(), []string{"--results", t.TempDir()}, &out, &wrong); code != 1 || !strings.Contains(wrong.String(), "make demo leaves its results in .local/demo") {
		t.Errorf("ended with %d: %s", code, &wrong)
	}
}
