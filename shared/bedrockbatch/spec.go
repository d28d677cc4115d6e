package bedrockbatch

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// Spec says what to run. Model must be set, by itself or in Workload.
type Spec struct {
	// Name is the run's. Whoever starts a run again under the same name, with
	// the same inputs and settings, carries it on: its jobs are found again
	// and nothing is paid for twice. Empty: a name made of inputs and
	// settings, so that the same question is never paid for twice at all.
	// Letters, digits, dots, hyphens and underscores, 63 at most.
	Name string
	// Model is a model id, inference profile id or ARN.
	Model string
	// System is the system prompt, Template the prompt template: {name} is
	// replaced by the member or column of that name.
	System, Template string
	// MaxTokens limits an answer, 0 leaves it to the model. So do Temperature
	// and TopP if nil.
	MaxTokens         int
	Temperature, TopP *float64
	StopSequences     []string
	// MaxJobs is the most jobs that are live at once; 0: as many as the
	// account has slots.
	MaxJobs int
	// Workload holds every other setting, as in workload.yaml.
	Workload workload.Workload
}

var runName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// settings are the workload that the run is accepted with.
func (s Spec) settings() workload.Workload {
	over := workload.Workload{Model: s.Model}
	if s.System != "" {
		over.System = &s.System
	}
	if s.Template != "" {
		over.Template = &s.Template
	}
	if s.MaxTokens != 0 || s.Temperature != nil || s.TopP != nil || len(s.StopSequences) > 0 {
		over.Inference = &workload.Inference{Temperature: s.Temperature, TopP: s.TopP, StopSequences: s.StopSequences}
		if s.MaxTokens != 0 {
			over.Inference.MaxTokens = &s.MaxTokens
		}
	}
	w := workload.Merge(s.Workload, over)
	// A run is one upload: nothing is waited for.
	w.Gather = &workload.Gather{Quiet: new(workload.Duration)}
	return w
}

func (s Spec) check() error {
	var problems []string
	say := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Sprintf(format, args...))
		}
	}
	say(s.Name == "" || runName.MatchString(s.Name), "name %q: letters, digits, dots, hyphens and underscores only, 63 at most", s.Name)
	say(s.Model != "" || s.Workload.Model != "", "no model is named")
	say(s.MaxTokens >= 0, "max tokens is %d, must not be negative", s.MaxTokens)
	say(s.MaxJobs >= 0, "max jobs is %d, must not be negative", s.MaxJobs)
	say(s.Temperature == nil || *s.Temperature >= 0 && *s.Temperature <= 2, "temperature must be between 0 and 2")
	say(s.TopP == nil || *s.TopP >= 0 && *s.TopP <= 1, "top_p must be between 0 and 1")
	if len(problems) > 0 {
		return invalid("check the run", "%s", strings.Join(problems, "; "))
	}
	return nil
}

// Input is one question. It is made of exactly one of Prompt, Members and
// ModelInput; all inputs of a run are made the same way.
type Input struct {
	// ID comes back with the answer. Optional.
	ID string
	// Prompt is the whole question, or fills {prompt} in the template.
	Prompt string
	// Members fill the names of the template.
	Members map[string]string
	// ModelInput is the request's body in the model's own form.
	ModelInput json.RawMessage
}

// Source gives the inputs of a run: Prompts, Inputs, Sequence or File.
type Source struct {
	// ext is the end of the upload's name, by which its format is recognised.
	ext string
	// format is set for inputs of ours, whose rows are lines.
	format func() dataset.Format
	write  func(io.Writer) error
}

// Prompts are inputs without ids.
func Prompts(prompts ...string) Source {
	return Sequence(func(yield func(Input, error) bool) {
		for _, p := range prompts {
			if !yield(Input{Prompt: p}, nil) {
				return
			}
		}
	})
}

// Inputs are the inputs of a slice.
func Inputs(inputs []Input) Source {
	return Sequence(func(yield func(Input, error) bool) {
		for _, in := range inputs {
			if !yield(in, nil) {
				return
			}
		}
	})
}

// Sequence are the inputs of an iterator, which is walked once. An error that
// it yields ends the call that reads it, before anything is paid.
func Sequence(inputs iter.Seq2[Input, error]) Source {
	var kind dataset.Format
	return Source{ext: ".jsonl", format: func() dataset.Format { return kind }, write: func(w io.Writer) error {
		kind = ""
		var line []byte
		n := 0
		for in, err := range inputs {
			if err != nil {
				return err
			}
			n++
			this := in.format()
			if kind == "" {
				kind = this
			}
			if this != kind {
				return invalid("read inputs", "input %d is made of another kind than those before it (%s, not %s)", n, this, kind)
			}
			line = in.append(line[:0], this)
			if _, err := w.Write(line); err != nil {
				return fmt.Errorf("write inputs: %w", err)
			}
		}
		if n == 0 {
			return invalid("read inputs", "there is no input")
		}
		return nil
	}}
}

// File is a file as it could be dropped into a deployed pipeline: JSON lines,
// JSON, CSV, TSV or text, also .gz and .zst.
func File(name string) Source {
	ext := strings.ToLower(filepath.Ext(name))
	if ext == ".gz" || ext == ".zst" {
		ext = strings.ToLower(filepath.Ext(strings.TrimSuffix(filepath.Base(name), filepath.Ext(name)))) + ext
	}
	return Source{ext: ext, write: func(w io.Writer) error {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	}}
}

func (in Input) format() dataset.Format {
	switch {
	case in.ModelInput != nil:
		return dataset.Native
	case in.Members != nil:
		return dataset.JSONL
	}
	return dataset.Prompt
}

// append writes the input as a row. Bytes that are not UTF-8 stay as they
// are, so that the row is set aside instead of asking something else.
func (in Input) append(dst []byte, f dataset.Format) []byte {
	dst = append(dst, '{')
	if in.ID != "" {
		dst = append(dst, `"recordId":`...)
		dst = appendText(dst, in.ID)
		dst = append(dst, ',')
	}
	switch f {
	case dataset.Native:
		dst = append(dst, `"modelInput":`...)
		dst = append(dst, oneLine(in.ModelInput)...)
	case dataset.JSONL:
		names := make([]string, 0, len(in.Members))
		for name := range in.Members {
			names = append(names, name)
		}
		slices.Sort(names)
		for i, name := range names {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendText(dst, name)
			dst = append(dst, ':')
			dst = appendText(dst, in.Members[name])
		}
	default:
		dst = append(dst, `"prompt":`...)
		dst = appendText(dst, in.Prompt)
	}
	return append(dst, '}', '\n')
}

// oneLine takes line ends out of JSON; they cannot stand in its strings.
func oneLine(body []byte) []byte {
	return slices.DeleteFunc(slices.Clone(body), func(b byte) bool { return b == '\n' || b == '\r' })
}

func appendText(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// spooled are a run's inputs in a temporary file.
type spooled struct {
	*os.File
	size int64
	sum  string
}

func (s *spooled) remove() {
	s.Close()
	os.Remove(s.Name())
}

// spool writes the inputs down, so that their sum is known before anything is
// uploaded. Memory stays flat.
func spool(dir string, src Source) (*spooled, error) {
	f, err := os.CreateTemp(dir, "bedrock-batch-inputs-*")
	if err != nil {
		return nil, err
	}
	s := &spooled{File: f}
	sum := sha256.New()
	buffered := bufio.NewWriterSize(f, 256<<10)
	err = src.write(io.MultiWriter(buffered, sum))
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		s.size, err = f.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		s.remove()
		return nil, err
	}
	s.sum = hex.EncodeToString(sum.Sum(nil))
	return s, nil
}
