// Package demo shows the product on one machine: it starts the local services
// with what would be deployed, drops the example folders into the input bucket,
// follows the work, prints the notices that its own subscription receives and a
// few results, and checks that every row is accounted for. What came back is
// left in a folder, as JSON lines and, where a workload asks for it, as Parquet.
//
// It uses the services as any user would: by SDK, with the variables that they
// write for a shell.
package demo

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Options say what to run.
type Options struct {
	// Services is the local services' program, Args are passed to it
	// (--template, --functions and others).
	Services string
	Args     []string
	// Examples is the folder whose folders are dropped.
	Examples string
	// Timeout bounds the whole run; default 5 minutes.
	Timeout time.Duration
	// Results is the folder that what came back is copied to; it must be empty
	// or not be there. Without a name nothing is copied.
	Results string
	// Keep leaves the data folder for a look.
	Keep bool
}

// Sums are the figures of the last line.
type Sums struct {
	Submissions, Notices                      int
	Rows, Answered, Failed, SetAside, Missing int64
}

// Line is the line that ends the demo.
func (s Sums) Line(ok bool) string {
	verdict := "ok"
	if !ok {
		verdict = "FAILED"
	}
	return fmt.Sprintf("demo: submissions=%d notices=%d rows=%d answered=%d failed=%d set_aside=%d missing=%d %s",
		s.Submissions, s.Notices, s.Rows, s.Answered, s.Failed, s.SetAside, s.Missing, verdict)
}

// Run shows all of it on out. The last line is written in any case; the error
// says what was not as it should be.
func Run(ctx context.Context, opt Options, out io.Writer) (err error) {
	if opt.Timeout == 0 {
		opt.Timeout = 5 * time.Minute
	}
	var sums Sums
	defer func() { fmt.Fprintln(out, sums.Line(err == nil)) }()
	uploads, err := findUploads(opt.Examples)
	if err != nil {
		return err
	}
	sums.Submissions = len(uploads)
	for _, u := range uploads {
		sums.Rows += u.rows
	}
	if opt.Results != "" {
		if err := free(opt.Results); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "bedrock-batch-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the services' data: %w", err)
	}
	defer func() {
		if opt.Keep {
			fmt.Fprintf(out, "The services' data, logs and mails are in %s\n", dir)
		} else if removeErr := os.RemoveAll(dir); removeErr != nil {
			err = errors.Join(err, fmt.Errorf("remove the services' data: %w", removeErr))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, opt.Timeout)
	defer cancel()
	began := time.Now()
	services, err := startServices(ctx, opt.Services, dir, opt.Args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, services.stop()) }()
	fmt.Fprintf(out, "The local services answer at %s\n", services.env["AWS_ENDPOINT_URL"])
	v := &visitor{client: newClient(services.env), out: out, uploads: uploads, results: opt.Results, began: began, sums: &sums}
	if err := v.visit(ctx); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("not finished after %s, waiting for the notices of %s: %w", opt.Timeout, strings.Join(v.waiting(), ", "), err)
		}
		return fmt.Errorf("%w\n%s", err, services.lastWords())
	}
	return nil
}

// upload is what becomes one submission: a file, or a folder of documents.
type upload struct {
	// key is the file's key, or the folder that is gathered.
	key string
	// files are what is dropped for it, by key.
	files  []file
	rows   int64
	notice *notice
	shown  string // the progress printed last
}

type file struct{ key, path string }

// settingsFile goes up first, and so do the files beside it whose names begin
// with an underscore.
const settingsFile = "workload.yaml"

// findUploads finds what is to be dropped below the examples and counts its
// rows: data files each by itself, the documents of a folder together.
func findUploads(root string) ([]*upload, error) {
	folders, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("read the examples: %w", err)
	}
	var uploads []*upload
	for _, folder := range folders {
		if !folder.IsDir() {
			continue
		}
		documents := &upload{key: folder.Name()}
		err := filepath.WalkDir(filepath.Join(root, folder.Name()), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || d.Name() == settingsFile || strings.HasPrefix(d.Name(), "_") {
				return err
			}
			relative, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			f := file{filepath.ToSlash(relative), path}
			switch filepath.Ext(path) {
			case ".txt", ".md":
				documents.files = append(documents.files, f)
				documents.rows++
				return nil
			}
			u := &upload{key: f.key, files: []file{f}}
			if u.rows, err = countRows(path); err != nil {
				return err
			}
			uploads = append(uploads, u)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read the examples: %w", err)
		}
		if len(documents.files) > 0 {
			uploads = append(uploads, documents)
		}
	}
	if len(uploads) == 0 {
		return nil, fmt.Errorf("there are no uploads in the folders of %s", root)
	}
	return uploads, nil
}

// countRows counts the rows of a data file: lines that are not blank, or the
// lines of a table below its header.
func countRows(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("count the rows: %w", err)
	}
	defer f.Close()
	var in io.Reader = f
	name := path
	if rest, ok := strings.CutSuffix(path, ".gz"); ok {
		if in, err = gzip.NewReader(f); err != nil {
			return 0, fmt.Errorf("count the rows of %s: %w", path, err)
		}
		name = rest
	}
	var n int64
	switch filepath.Ext(name) {
	case ".csv":
		table, err := csv.NewReader(in).ReadAll()
		if err != nil || len(table) == 0 {
			return 0, fmt.Errorf("count the rows of %s: %w", path, err)
		}
		n = int64(len(table) - 1)
	case ".jsonl":
		data, err := io.ReadAll(in)
		if err != nil {
			return 0, fmt.Errorf("count the rows of %s: %w", path, err)
		}
		for line := range strings.Lines(string(data)) {
			if strings.TrimSpace(line) != "" {
				n++
			}
		}
	default:
		return 0, fmt.Errorf("count the rows of %s: no format that the demo knows", path)
	}
	return n, nil
}
