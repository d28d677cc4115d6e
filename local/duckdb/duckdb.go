// Package duckdb asks DuckDB, which npm brings: a program of others that reads
// and writes Parquet and knows nothing of the product.
package duckdb

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/local/npm"
)

//go:embed ask.mjs
var script []byte

// Answer is what a query gave. Whole numbers that JavaScript has no room for
// are text.
type Answer struct {
	Columns []string
	Rows    [][]any
}

// Objects are the rows by the names of their columns.
func (a Answer) Objects() []map[string]any {
	var all []map[string]any
	for _, row := range a.Rows {
		object := map[string]any{}
		for i, name := range a.Columns {
			object[name] = row[i]
		}
		all = append(all, object)
	}
	return all
}

// Text is a value as people write it.
func Text(value any) string {
	if x, ok := value.(float64); ok {
		return strconv.FormatFloat(math.Round(x*1e6)/1e6, 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

// Query puts each file of SQL to the table results, which is made of all
// Parquet files below the folder. The answers are told by the files' names
// without .sql. root is the folder of the repository.
func Query(ctx context.Context, root, folder string, files ...string) (map[string]Answer, error) {
	out, err := run(ctx, root, append([]string{"query", folder}, files...)...)
	if err != nil {
		return nil, err
	}
	var answers map[string]Answer
	if err := json.Unmarshal(out, &answers); err != nil {
		return nil, fmt.Errorf("read DuckDB's answers: %w", err)
	}
	return answers, nil
}

// Upload writes a Parquet file of so many questions.
func Upload(ctx context.Context, root, file string, rows int) error {
	_, err := run(ctx, root, "upload", file, strconv.Itoa(rows))
	return err
}

func run(ctx context.Context, root string, args ...string) (out []byte, err error) {
	modules, err := npm.Modules(filepath.Join(root, "local", "duckdb"), filepath.Join(root, ".build", "clients"), "duckdb")
	if err != nil {
		return nil, err
	}
	// The script finds its package beside itself; the source folder stays free.
	dir, err := os.MkdirTemp("", "duckdb-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program := filepath.Join(dir, "ask.mjs")
	if err := errors.Join(os.Symlink(modules, filepath.Join(dir, "node_modules")), os.WriteFile(program, script, 0o644)); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "node", append([]string{program}, args...)...)
	var wrong strings.Builder
	cmd.Stderr = &wrong
	if out, err = cmd.Output(); err != nil {
		return nil, fmt.Errorf("DuckDB: %w\n%s", err, wrong.String())
	}
	return out, nil
}
