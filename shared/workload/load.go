package workload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// Getter reads an object of the input bucket whole. batch.ErrNotFound where
// there is none.
type Getter func(ctx context.Context, key string) ([]byte, error)

// Found is where the settings of an upload come from.
type Found struct {
	// Folder is the folder of the nearest workload.yaml, without a slash at
	// the end and "" for the root; the upload's own folder if there is none.
	Folder string
	// Own says that there is a workload.yaml at all.
	Own bool
}

// Load merges the workload.yaml files from the bucket's root down to the
// folder of key over def, and reads the template files that they name. It
// returns Problems for files that are wrong, those of all files at once, and
// the errors of get as they are.
func Load(ctx context.Context, get Getter, key string, def Workload) (Workload, Found, error) {
	merged := def
	var found Found
	var problems Problems
	for _, prefix := range prefixes(key) {
		found.Folder = folder(prefix, found)
		file := prefix + FileName
		data, err := get(ctx, file)
		if errors.Is(err, batch.ErrNotFound) {
			continue
		}
		if err != nil {
			return Workload{}, Found{}, fmt.Errorf("read %s: %w", file, err)
		}
		found = Found{Folder: trimSlash(prefix), Own: true}
		w, err := Parse(file, data)
		if err != nil {
			var wrong Problems
			if !errors.As(err, &wrong) {
				return Workload{}, Found{}, err
			}
			problems = append(problems, wrong...)
			continue
		}
		if w.TemplateFile != "" {
			wrong, err := readTemplate(ctx, get, prefix, file, &w)
			if err != nil {
				return Workload{}, Found{}, err
			}
			problems = append(problems, wrong...)
		}
		merged = Merge(merged, w)
	}
	if len(problems) > 0 {
		return Workload{}, found, problems
	}
	return merged, found, nil
}

// folder is the folder to report until a nearer workload.yaml is found.
func folder(prefix string, found Found) string {
	if found.Own {
		return found.Folder
	}
	return trimSlash(prefix)
}

// readTemplate reads the file that w names into its template.
func readTemplate(ctx context.Context, get Getter, prefix, file string, w *Workload) (Problems, error) {
	name := prefix + w.TemplateFile
	wrong := func(text string) (Problems, error) {
		return Problems{{File: file, Key: "prompt_template_file", Text: fmt.Sprintf("%s %s", name, text)}}, nil
	}
	data, err := get(ctx, name)
	switch {
	case errors.Is(err, batch.ErrNotFound):
		return wrong("is not there; upload it beside " + FileName + " first")
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", name, err)
	case len(data) > MaxFile:
		return wrong(fmt.Sprintf("has %d bytes, the limit is %d", len(data), MaxFile))
	case !utf8.Valid(data):
		return wrong("is not UTF-8")
	}
	text := string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	w.Template = &text
	return nil, nil
}

// prefixes are "" and all beginnings of key that end in a slash, the shortest
// first.
func prefixes(key string) []string {
	all := []string{""}
	for i := range len(key) {
		if key[i] == '/' {
			all = append(all, key[:i+1])
		}
	}
	return all
}

func trimSlash(prefix string) string {
	if prefix == "" {
		return ""
	}
	return prefix[:len(prefix)-1]
}
