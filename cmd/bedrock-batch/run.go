package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

func (a *app) runVerb() *cobra.Command {
	var q question
	var dir bedrockbatch.Directory
	c := &cobra.Command{
		Use:   "run FILE|DIR",
		Short: "answer a file or a folder of documents, without a deployed pipeline",
		Long: `Answers a file (JSON lines, JSON, CSV, TSV, text, also .gz and .zst) or each file of
a folder. Killed or interrupted, the same command carries the work on and pays
for nothing twice.

A file's results are copied into --out DIR, or printed as JSON lines. A folder's
answers are written into --out DIR in the same tree, with summary.json; files
answered there already are skipped.`,
		Example: `  bedrock-batch run reviews.csv --model us.amazon.nova-lite-v1:0 --prompt-template 'Positive or negative? {text}' --out answers
  bedrock-batch run reports --pattern '**/*.md' --model us.amazon.nova-lite-v1:0 --prompt-template 'Summarise: {content}' --out summaries`,
		Args: cobra.ExactArgs(1),
	}
	q.flags(c)
	f := c.Flags()
	f.StringVar(&q.name, "name", "", "name of the run (default: made of inputs and settings)")
	f.StringVar(&dir.Out, "out", "", "folder for what comes back")
	f.StringVar(&dir.Pattern, "pattern", "", "which files of a folder, as '**/*.md'")
	f.StringVar(&dir.Suffix, "suffix", "", "end of the names of a folder's answers (default: .answer.txt)")
	f.BoolVar(&dir.Again, "again", false, "ask again about files of a folder that are answered in --out")
	f.IntVar(&q.maxJobs, "max-concurrent-jobs", 0, "most jobs at once (default: as many as there are slots)")
	c.RunE = func(c *cobra.Command, args []string) error {
		ctx, input := c.Context(), args[0]
		info, err := os.Stat(input)
		if err != nil {
			return fmt.Errorf("run: %w", err)
		}
		if info.IsDir() && dir.Out == "" {
			return usage("run: a folder needs --out DIR")
		}
		spec, err := q.spec(ctx, a, c, input)
		if err != nil {
			return err
		}
		client, err := a.client(ctx)
		if err != nil {
			return err
		}
		a.resume = strings.Join(append([]string{"bedrock-batch"}, quoted(os.Args[1:])...), " ")
		if info.IsDir() {
			dir.In = input
			return a.runDirectory(ctx, client, spec, dir)
		}
		if dir.Pattern != "" || dir.Suffix != "" || dir.Again {
			return usage("run: --pattern, --suffix and --again are for folders")
		}
		return a.runFile(ctx, client, spec, input, dir.Out)
	}
	return c
}

func quoted(args []string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = arg
		if strings.ContainsAny(arg, " \t\n'\"*?$&|;<>(){}[]\\`!#~") || arg == "" {
			out[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return out
}

func (a *app) runDirectory(ctx context.Context, client *bedrockbatch.Client, spec bedrockbatch.Spec, dir bedrockbatch.Directory) error {
	sum, err := client.ProcessDirectory(ctx, spec, dir, a.progress())
	if err != nil {
		return err
	}
	a.endBar()
	if a.json {
		a.object("directory", sum)
	} else {
		a.say("%d files: %d answered, %d answered before, %d without an answer; %d tokens%s", sum.Files, sum.Answered, sum.Skipped, sum.Failed, sum.Tokens.Total, dollars(sum.CostUSD))
		for _, e := range sum.Errors {
			a.say("  %s: %s: %s", e.File, e.Code, e.Message)
		}
		fmt.Fprintln(a.out, dir.Out)
	}
	if sum.Failed > 0 {
		return &ended{pipeline.StatusCompletedWithErrors, fmt.Errorf("%d of %d files have no answer; the same command asks about them again", sum.Failed, sum.Files)}
	}
	return nil
}

func (a *app) runFile(ctx context.Context, client *bedrockbatch.Client, spec bedrockbatch.Spec, input, out string) error {
	file, remove, err := a.converted(input)
	if err != nil {
		return err
	}
	defer remove()
	r, err := client.Create(ctx, spec, bedrockbatch.File(file))
	if err != nil {
		return err
	}
	if r.Resumed {
		a.say("run %s was started on %s and is carried on", r.Name(), r.StartedAt().Format("2006-01-02 15:04:05"))
	} else {
		a.say("run %s is started", r.Name())
	}
	o, err := r.Wait(ctx, a.progress())
	if err != nil {
		return err
	}
	a.resume = ""
	return a.finish(ctx, r, o, out)
}

// finish shows how a run has ended and hands over what came back.
func (a *app) finish(ctx context.Context, r *bedrockbatch.Run, o *bedrockbatch.Outcome, out string) error {
	a.endBar()
	switch {
	case out != "":
		names, err := r.Download(ctx, out)
		if err != nil {
			return err
		}
		for _, name := range names {
			if a.json {
				a.object("file", map[string]string{"name": name})
			} else {
				fmt.Fprintln(a.out, name)
			}
		}
	default:
		for answer, err := range r.Answers(ctx) {
			if err != nil {
				return err
			}
			if err := a.answer(answer); err != nil {
				return err
			}
		}
	}
	if a.json {
		a.object("outcome", outcome(o))
	}
	a.outcome(o)
	if o.Err() == nil {
		return nil
	}
	if o.Status == pipeline.StatusFailed || o.Status == pipeline.StatusStopped {
		a.say("run %s has ended for good; to ask the same again, give it another name: --name", o.Name)
	}
	if o.Reason != "" {
		return &ended{o.Status, fmt.Errorf("%s: %s", o.Status, o.Reason)}
	}
	return &ended{o.Status, fmt.Errorf("%d of %d rows have no answer", o.Rows.Total-o.Rows.Answered, o.Rows.Total)}
}

// line is an answer as it is printed.
type line struct {
	Type      string               `json:"type,omitempty"`
	Row       int64                `json:"row,omitempty"`
	ID        string               `json:"id,omitempty"`
	Status    string               `json:"status"`
	Output    *string              `json:"output,omitempty"`
	Embedding json.RawMessage      `json:"embedding,omitempty"`
	JSON      json.RawMessage      `json:"json,omitempty"`
	Stop      string               `json:"stopReason,omitempty"`
	Usage     *bedrockbatch.Tokens `json:"usage,omitempty"`
	Line      int64                `json:"line,omitempty"`
	Code      string               `json:"code,omitempty"`
	Message   string               `json:"message,omitempty"`
}

func (a *app) answer(x bedrockbatch.Answer) error {
	l := line{Row: x.Row, ID: x.ID, Status: string(x.Status), Embedding: x.Embedding, JSON: x.JSON, Stop: x.StopReason}
	if a.json {
		l.Type = "answer"
	}
	if x.Err != nil {
		l.Code, l.Message, l.Line = x.Err.Code, x.Err.Message, x.Err.Line
	} else {
		l.Usage = &x.Usage
		if x.Embedding == nil && x.JSON == nil {
			l.Output = &x.Text
		}
	}
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	return e.Encode(l)
}

func outcome(o *bedrockbatch.Outcome) map[string]any {
	return map[string]any{
		"run": o.Name, "status": o.Status, "reason": o.Reason, "onDemand": o.OnDemand, "rows": o.Rows,
		"tokens": o.Tokens, "estimatedCostUSD": o.CostUSD, "jobs": o.Jobs, "errors": o.Errors, "results": o.Places,
	}
}

// known tells people how many of the answered rows were not paid now.
func known(rows pipeline.Rows) string {
	if rows.Known == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d known from before)", rows.Known)
}

// outcome tells people how it ended.
func (a *app) outcome(o *bedrockbatch.Outcome) {
	how := fmt.Sprintf("by %d jobs", len(o.Jobs))
	if len(o.Jobs) == 1 {
		how = "by one job"
	}
	if o.OnDemand {
		how = "on demand, as the rows are fewer than a job takes"
	}
	a.say("%s: %s: %d answered%s, %d failed, %d set aside, %d missing (%s); %d input + %d output = %d tokens%s", o.Status, counted(o.Rows.Total, "row"),
		o.Rows.Answered, known(o.Rows), o.Rows.Failed, o.Rows.SetAside, o.Rows.Missing, how, o.Tokens.Input, o.Tokens.Output, o.Tokens.Total, dollars(o.CostUSD))
	for _, e := range o.Errors {
		a.say("  %d x %s: %s", e.Count, e.Code, e.Message)
	}
}

// counted is a number with its noun.
func counted(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func dollars(usd *float64) string {
	if usd == nil {
		return ""
	}
	if *usd < 0.0001 {
		return ", less than $0.0001"
	}
	return fmt.Sprintf(", about $%.4f", *usd)
}

func (a *app) runsVerb() *cobra.Command {
	c := &cobra.Command{Use: "runs", Short: "the runs of this bucket: list, status, wait, cancel", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	list := &cobra.Command{Use: "list", Short: "list them", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		client, err := a.client(c.Context())
		if err != nil {
			return err
		}
		for name, err := range client.Runs(c.Context()) {
			if err != nil {
				return err
			}
			if err := a.runStatus(c.Context(), client, name); err != nil && !errors.Is(err, batch.ErrNotFound) {
				return err
			}
		}
		return nil
	}}
	status := &cobra.Command{Use: "status NAME", Short: "show how far one is", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		client, err := a.client(c.Context())
		if err != nil {
			return err
		}
		return a.runStatus(c.Context(), client, args[0])
	}}
	var out string
	wait := &cobra.Command{Use: "wait NAME", Short: "carry one on to its end", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		client, err := a.client(c.Context())
		if err != nil {
			return err
		}
		r, err := client.Open(c.Context(), args[0])
		if err != nil {
			return err
		}
		a.resume = "bedrock-batch runs wait " + args[0]
		o, err := r.Wait(c.Context(), a.progress())
		if err != nil {
			return err
		}
		return a.finish(c.Context(), r, o, out)
	}}
	wait.Flags().StringVar(&out, "out", "", "folder for what comes back")
	cancel := &cobra.Command{Use: "cancel NAME", Short: "stop one's jobs; runs wait gathers what there is", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		client, err := a.client(c.Context())
		if err != nil {
			return err
		}
		r, err := client.Open(c.Context(), args[0])
		if err != nil {
			return err
		}
		if err := r.Cancel(c.Context()); err != nil {
			return err
		}
		a.did("cancel", map[string]any{"run": args[0]}, "run %s is asked to stop; bedrock-batch runs wait %s gathers what there is", args[0], args[0])
		return nil
	}}
	c.AddCommand(list, status, wait, cancel)
	return c
}

func (a *app) runStatus(ctx context.Context, client *bedrockbatch.Client, name string) error {
	r, err := client.Open(ctx, name)
	if err != nil {
		return err
	}
	st, err := r.Status(ctx)
	if err != nil {
		return err
	}
	if a.json {
		a.object("run", map[string]any{"name": st.Name, "status": st.Status, "reason": st.Reason, "onDemand": st.OnDemand, "records": st.Records, "current": st.Current, "total": st.Total, "parts": st.Parts})
		return nil
	}
	fmt.Fprintf(a.out, "%s\t%s\t%d of %d rows\t%s\n", st.Name, st.Status, st.Current, st.Total, r.Settings().Model)
	return nil
}
