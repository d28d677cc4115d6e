// Command queries puts SQL to DuckDB over results as Parquet and prints the
// answers as tables: the example queries of the warehouse, or files of one's
// own. The table's name is results.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/bedrock-batch/bedrock-batch/local/duckdb"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, out, wrong io.Writer) int {
	flags := flag.NewFlagSet("queries", flag.ContinueOnError)
	flags.SetOutput(wrong)
	flags.Usage = func() {
		fmt.Fprintln(wrong, "usage: queries [flags] [FILE.sql...]   without a file the example queries")
		flags.PrintDefaults()
	}
	root := flags.String("root", ".", "folder of the repository")
	results := flags.String("results", ".local/demo", "folder of results, as the demo leaves them; what is asked lies below its warehouse/")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if err := ask(ctx, *root, filepath.Join(*results, "warehouse"), flags.Args(), out); err != nil {
		fmt.Fprintln(wrong, "queries:", err)
		return 1
	}
	return 0
}

func ask(ctx context.Context, root, folder string, files []string, out io.Writer) error {
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s: make demo leaves its results in .local/demo", folder)
	}
	if len(files) == 0 {
		var err error
		if files, err = filepath.Glob(filepath.Join(root, "infra", "stack", "queries", "*.sql")); err != nil || len(files) == 0 {
			return fmt.Errorf("there are no example queries below %s (%v)", root, err)
		}
	}
	answers, err := duckdb.Query(ctx, root, folder, files...)
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(filepath.Base(file), ".sql")
		// The first line of an example says what it tells.
		first, _, _ := strings.Cut(string(text), "\n")
		about, _ := strings.CutPrefix(first, "-- ")
		if about == first {
			about = ""
		}
		fmt.Fprintf(out, "%s\n", strings.TrimSpace(name+"  "+about))
		if err := table(out, answers[name]); err != nil {
			return err
		}
	}
	return nil
}

// table prints an answer in columns.
func table(out io.Writer, a duckdb.Answer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "    %s\n", strings.Join(a.Columns, "\t"))
	for _, row := range a.Rows {
		var cells []string
		for _, cell := range row {
			cells = append(cells, duckdb.Text(cell))
		}
		fmt.Fprintf(w, "    %s\n", strings.Join(cells, "\t"))
	}
	if len(a.Rows) == 0 {
		fmt.Fprintln(w, "    (no rows)")
	}
	fmt.Fprintln(w)
	return w.Flush()
}
