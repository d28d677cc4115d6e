package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// question are the flags that say what to ask.
type question struct {
	name, model, system, template, format, settings string
	maxTokens, maxJobs                              int
	temperature, topP                               float64
}

func (q *question) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&q.model, "model", "", "model id, inference profile id or ARN")
	f.StringVar(&q.template, "prompt-template", "", "prompt with {name} for columns, members or content; @FILE reads it from a file")
	f.StringVar(&q.system, "system", "", "system prompt; @FILE reads it from a file")
	f.IntVar(&q.maxTokens, "max-tokens", 0, "most tokens of an answer")
	f.Float64Var(&q.temperature, "temperature", 0, "temperature, 0 to 2")
	f.Float64Var(&q.topP, "top-p", 0, "top_p, 0 to 1")
	f.StringVar(&q.format, "format", "", "format of the file, if it is not recognised: "+dataset.FormatNames())
	f.StringVar(&q.settings, "settings", "", "a workload.yaml (default: the one beside the file or in the folder)")
}

// spec puts flags over the settings file.
func (q *question) spec(ctx context.Context, a *app, c *cobra.Command, input string) (bedrockbatch.Spec, error) {
	s := bedrockbatch.Spec{Name: q.name, Model: q.model, MaxTokens: q.maxTokens, MaxJobs: q.maxJobs}
	var err error
	if s.System, err = text(q.system); err != nil {
		return s, err
	}
	if s.Template, err = text(q.template); err != nil {
		return s, err
	}
	if c.Flags().Changed("temperature") {
		s.Temperature = &q.temperature
	}
	if c.Flags().Changed("top-p") {
		s.TopP = &q.topP
	}
	file := q.settings
	if file == "" {
		file = filepath.Join(folderOf(input), workload.FileName)
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			file = ""
		}
	}
	if file != "" {
		a.say("settings: %s", file)
		if s.Workload, err = settings(ctx, file); err != nil {
			return s, err
		}
	}
	if q.format != "" {
		s.Workload.Format = dataset.Format(q.format)
		if !s.Workload.Format.Known() {
			return s, usage("--format %s: want one of %s", q.format, dataset.FormatNames())
		}
	}
	if s.Model == "" && s.Workload.Model == "" {
		return s, usage("no model is named: give --model, or put one into %s", filepath.Join(folderOf(input), workload.FileName))
	}
	return s, nil
}

func folderOf(input string) string {
	if info, err := os.Stat(input); err == nil && info.IsDir() {
		return input
	}
	return filepath.Dir(input)
}

// settings reads one settings file as the pipeline does, with the template
// that it names.
func settings(ctx context.Context, file string) (workload.Workload, error) {
	dir := filepath.Dir(file)
	w, _, err := workload.Load(ctx, func(_ context.Context, key string) ([]byte, error) {
		name := filepath.Join(dir, filepath.FromSlash(key))
		if key == workload.FileName {
			name = file
		}
		body, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) && name != file {
			return nil, fmt.Errorf("%s: %w", name, batch.ErrNotFound)
		}
		return body, err
	}, "input", workload.Workload{})
	if err != nil {
		return w, fmt.Errorf("%s: %w: %w", file, err, batch.ErrInvalid)
	}
	return w, nil
}

// text is a flag's value, or the content of the file that it names.
func text(value string) (string, error) {
	file, named := strings.CutPrefix(value, "@")
	if !named {
		return value, nil
	}
	body, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read prompt: %w", err)
	}
	return string(body), nil
}
