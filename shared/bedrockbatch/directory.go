package bedrockbatch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// Directory says which files of a folder are asked about, and where the
// answers go.
type Directory struct {
	// In is the folder, Out where the answers go: a file for each input file,
	// in the same tree, with Suffix at the end of its name, and summary.json.
	In, Out string
	// Pattern chooses files by their path below In: *, ? and [...] within a
	// name, ** for any folders; without a slash it looks at the name alone.
	// Default: every file whose name begins neither with . nor with _.
	Pattern string
	// Suffix ends the names of answers. Default ".answer.txt".
	Suffix string
	// Again asks about files, too, that are answered in Out already.
	Again bool
}

// DefaultTemplate is the prompt of a directory whose Spec sets no Template.
const DefaultTemplate = "{content}"

// DirectorySummary is summary.json in a directory's output.
type DirectorySummary struct {
	Run    string `json:"run,omitempty"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
	// Files is the number of files that the pattern chose: Skipped are
	// answered already, the others are below.
	Files    int      `json:"files"`
	Skipped  int      `json:"skipped"`
	Answered int      `json:"answered"`
	Failed   int      `json:"failed"`
	Tokens   Tokens   `json:"tokens"`
	CostUSD  *float64 `json:"estimatedCostUSD"`
	// Errors are the files without an answer.
	Errors []FileError `json:"errors"`
}

// FileError says why a file has no answer.
type FileError struct {
	File    string `json:"file"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// ProcessDirectory asks about each file of a folder and writes the answers
// beside each other into another. The template's names are {content} and
// {name}, the path below the folder with slashes. Files whose answer stands in
// Out are skipped, so that a second call asks only about what is new or
// failed; a call that was killed is carried on by the next.
func (c *Client) ProcessDirectory(ctx context.Context, spec Spec, dir Directory, progress func(Progress)) (*DirectorySummary, error) {
	if dir.Suffix == "" {
		dir.Suffix = ".answer.txt"
	}
	if dir.Out == "" {
		return nil, invalid("process directory", "no output directory is named")
	}
	if spec.Template == "" && spec.Workload.Template == nil {
		spec.Template = DefaultTemplate
	}
	sum := &DirectorySummary{Status: pipeline.StatusCompleted, Errors: []FileError{}}
	// A call that was killed while it wrote answers is finished first.
	left, err := dir.left()
	if err != nil {
		return nil, err
	}
	if left != nil {
		r, err := c.Open(ctx, left.Run)
		if err != nil {
			return nil, err
		}
		if err := dir.finish(ctx, r, left.Files, sum, progress); err != nil {
			return sum, err
		}
	}
	files, skipped, err := dir.files(sum.Errors)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, invalid("process directory", "%v", err)
		}
		return nil, explain(err, "process directory %s", dir.In)
	}
	sum.Skipped = skipped - sum.Answered
	if sum.Files = len(files) + skipped + sum.Failed; sum.Files == 0 {
		return nil, invalid("process directory", "no file of %s fits the pattern %q", dir.In, dir.Pattern)
	}
	if len(files) > 0 {
		if spec.Name != "" {
			of := sha256.Sum256([]byte(strings.Join(files, "\x00")))
			spec.Name += "-" + hex.EncodeToString(of[:4])
		}
		r, err := c.Create(ctx, spec, dir.source(files))
		if err != nil {
			return nil, err
		}
		if err := dir.remember(leftover{Run: r.Name(), Files: files}); err != nil {
			return nil, err
		}
		if err := dir.finish(ctx, r, files, sum, progress); err != nil {
			return sum, err
		}
	}
	return sum, dir.write("summary.json", sum)
}

// finish waits for a run over files and writes its answers.
func (d Directory) finish(ctx context.Context, r *Run, files []string, sum *DirectorySummary, progress func(Progress)) error {
	o, err := r.Wait(ctx, progress)
	if err != nil {
		return err
	}
	sum.Run, sum.Status, sum.Reason = o.Name, o.Status, o.Reason
	sum.Tokens.Input += o.Tokens.Input
	sum.Tokens.Output += o.Tokens.Output
	sum.Tokens.Total += o.Tokens.Total
	if sum.CostUSD != nil && o.CostUSD != nil {
		both := *sum.CostUSD + *o.CostUSD
		sum.CostUSD = &both
	} else {
		sum.CostUSD = o.CostUSD
	}
	n := 0
	for a, err := range r.Answers(ctx) {
		if err != nil {
			return err
		}
		name := files[n]
		n++
		if a.Err != nil {
			sum.Failed++
			sum.Errors = append(sum.Errors, FileError{File: name, Code: a.Err.Code, Message: a.Err.Message})
			continue
		}
		sum.Answered++
		text := []byte(a.Text)
		if a.JSON != nil {
			text = a.JSON
		} else if a.Embedding != nil {
			text = a.Embedding
		}
		to := filepath.Join(d.Out, filepath.FromSlash(name)+d.Suffix)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return explain(err, "write answer of %s", name)
		}
		if err := writeFile(to, bytes.NewReader(text)); err != nil {
			return explain(err, "write answer of %s", name)
		}
	}
	return explain(os.Remove(filepath.Join(d.Out, leftoverName)), "process directory")
}

// leftover names a run whose answers are not all written yet. It stands in the
// output directory meanwhile.
type leftover struct {
	Run   string   `json:"run"`
	Files []string `json:"files"`
}

const leftoverName = ".bedrock-batch.json"

func (d Directory) left() (*leftover, error) {
	body, err := os.ReadFile(filepath.Join(d.Out, leftoverName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err, "process directory")
	}
	l := new(leftover)
	if err := json.Unmarshal(body, l); err != nil {
		return nil, explain(err, "read %s", filepath.Join(d.Out, leftoverName))
	}
	return l, nil
}

func (d Directory) remember(l leftover) error { return d.write(leftoverName, l) }

// write puts a file of ours into Out.
func (d Directory) write(name string, content any) error {
	body, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.Out, 0o755); err != nil {
		return explain(err, "write %s", name)
	}
	return explain(writeFile(filepath.Join(d.Out, name), bytes.NewReader(append(body, '\n'))), "write %s", name)
}

// files are the chosen files without an answer, by path below In, in order.
// Those that have failed a moment ago are not asked about again.
func (d Directory) files(failed []FileError) (files []string, skipped int, err error) {
	out, err := filepath.Abs(d.Out)
	if err != nil {
		return nil, 0, err
	}
	in, err := filepath.Abs(d.In)
	if err != nil {
		return nil, 0, err
	}
	if in == out {
		return nil, 0, fmt.Errorf("input and output are the same folder %s", in)
	}
	if _, err := path.Match(strings.ReplaceAll(d.Pattern, "**", "*"), ""); err != nil {
		return nil, 0, fmt.Errorf("pattern %q: %w", d.Pattern, err)
	}
	err = filepath.WalkDir(in, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name == out || name != in && strings.HasPrefix(entry.Name(), ".") {
				return filepath.SkipDir
			}
			return nil
		}
		below, err := filepath.Rel(in, name)
		if err != nil {
			return err
		}
		below = filepath.ToSlash(below)
		switch {
		case !entry.Type().IsRegular():
			return nil
		case d.Pattern == "" && pipeline.Ignored(below) != "":
			return nil
		case d.Pattern != "" && !workload.Match(d.Pattern, below):
			return nil
		}
		if slices.ContainsFunc(failed, func(e FileError) bool { return e.File == below }) {
			return nil
		}
		if !d.Again {
			if _, err := os.Stat(filepath.Join(out, filepath.FromSlash(below)+d.Suffix)); err == nil {
				skipped++
				return nil
			}
		}
		files = append(files, below)
		return nil
	})
	return files, skipped, err
}

// source reads the files one after the other. One that is too large for a
// request is cut where that shows, and set aside.
func (d Directory) source(files []string) Source {
	return Sequence(func(yield func(Input, error) bool) {
		for _, name := range files {
			content, err := os.ReadFile(filepath.Join(d.In, filepath.FromSlash(name)))
			if err != nil {
				yield(Input{}, err)
				return
			}
			if len(content) > dataset.MaxRow {
				content = content[:dataset.MaxRow]
			}
			in := Input{Members: map[string]string{"name": name, "content": string(content)}}
			if len(name) < dataset.MaxID/2 { // with room for what JSON escapes
				in.ID = name
			}
			if !yield(in, nil) {
				return
			}
		}
	})
}
