package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch/deployed"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// pipeline opens the deployed pipeline.
func (a *app) pipeline(ctx context.Context) (*deployed.Pipeline, error) {
	out, err := deployed.Find(ctx, a.stack)
	if err != nil {
		return nil, err
	}
	if out.Stack != "" {
		a.say("stack: %s", out.Stack)
	}
	return deployed.Open(ctx, out, a.backoff().Poll)
}

// deployedVerbs are those that need a deployed pipeline.
func (a *app) deployedVerbs() []*cobra.Command {
	verbs := []*cobra.Command{
		a.submitVerb(), a.uploadsVerb(), a.statusVerb(), a.watchVerb(), a.resultsVerb(), a.retryVerb(), a.cancelVerb(),
		a.pauseVerb(), a.resumeVerb(), a.redriveVerb(), a.backfillVerb(), a.doctorVerb(),
	}
	for _, v := range verbs {
		v.GroupID = "deployed"
	}
	return verbs
}

// with makes a command's body of one that works on the deployed pipeline.
func (a *app) with(f func(ctx context.Context, p *deployed.Pipeline, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		p, err := a.pipeline(c.Context())
		if err != nil {
			return err
		}
		return f(c.Context(), p, args)
	}
}

func (a *app) uploadsVerb() *cobra.Command {
	var all bool
	c := &cobra.Command{Use: "uploads", Short: "list the submissions that are open", Args: cobra.NoArgs}
	c.Flags().BoolVar(&all, "all", false, "list those that have ended, too")
	c.RunE = a.with(func(ctx context.Context, p *deployed.Pipeline, _ []string) error {
		for s, err := range p.Submissions(ctx, all) {
			if err != nil {
				return err
			}
			a.submission(s)
		}
		return nil
	})
	return c
}

// submission prints one.
func (a *app) submission(s *pipeline.Submission) {
	if a.json {
		a.object("submission", map[string]any{
			"submission": s.ID, "kind": s.Kind, "upload": s.Upload, "workload": s.Workload, "modelId": s.ModelID, "state": s.State,
			"rows": s.Rows, "tokens": s.Tokens, "createdAt": s.CreatedAt, "updatedAt": s.UpdatedAt,
		})
		return
	}
	fmt.Fprintf(a.out, "%s\t%s\t%d rows\t%s\t%s\n", s.ID, s.State, s.Rows.Total, s.CreatedAt.UTC().Format(time.RFC3339), s.Label())
}

func (a *app) statusVerb() *cobra.Command {
	return &cobra.Command{
		Use: "status ID|KEY", Short: "show how far a submission is, and why it is not farther", Args: cobra.ExactArgs(1),
		RunE: a.with(func(ctx context.Context, p *deployed.Pipeline, args []string) error {
			s, err := p.Locate(ctx, args[0])
			if err != nil {
				return err
			}
			why, err := p.Why(ctx, s)
			if err != nil {
				return err
			}
			if a.json {
				a.object("status", map[string]any{"submission": s.ID, "upload": s.Upload, "state": s.State, "why": why, "rows": s.Rows, "tokens": s.Tokens, "parts": s.Parts})
				return nil
			}
			a.submission(s)
			fmt.Fprintf(a.out, "why: %s\n", why)
			for i := range s.Parts {
				q := &s.Parts[i]
				how := "on demand"
				if q.How == pipeline.ByJob {
					how = q.JobARN
				}
				fmt.Fprintf(a.out, "  part %d attempt %d\t%s %s\t%d records\t%s %s\n", q.N, q.Attempt, q.Status, q.JobStatus, q.Records, how, q.Message)
			}
			return nil
		}),
	}
}

// tell follows submissions.
func (a *app) tell(ctx context.Context, p *deployed.Pipeline) func(*pipeline.Submission) {
	last := map[string]string{}
	return func(s *pipeline.Submission) {
		if a.json {
			a.submission(s)
			return
		}
		why, err := p.Why(ctx, s)
		if err != nil {
			why = string(s.State)
		}
		if text := s.Label() + ": " + why; last[s.ID] != text {
			last[s.ID] = text
			if !a.tty {
				a.say("%s", text)
				return
			}
			a.redraw(text)
			if s.State.Terminal() {
				a.endBar()
			}
		}
	}
}

func (a *app) watchVerb() *cobra.Command {
	return &cobra.Command{
		Use: "watch ID|KEY", Short: "follow a submission to its end", Args: cobra.ExactArgs(1),
		RunE: a.with(func(ctx context.Context, p *deployed.Pipeline, args []string) error {
			s, err := p.Locate(ctx, args[0])
			if err != nil {
				return err
			}
			a.resume = "bedrock-batch watch " + quoted(args[:1])[0]
			if s, err = p.Wait(ctx, s.ID, a.tell(ctx, p)); err != nil {
				return err
			}
			return a.notice(ctx, p, s)
		}),
	}
}

// notice shows how a submission ended.
func (a *app) notice(ctx context.Context, p *deployed.Pipeline, s *pipeline.Submission) error {
	n, err := p.Summary(ctx, s)
	if err != nil {
		return err
	}
	if a.json {
		a.object("notice", n)
	}
	a.say("%s: %s: %s: %d answered%s, %d failed, %d set aside, %d missing; %d input + %d output tokens%s", n.Label(), n.Status,
		counted(n.Rows.Total, "row"), n.Rows.Answered, known(n.Rows), n.Rows.Failed, n.Rows.SetAside, n.Rows.Missing, n.Tokens.Input, n.Tokens.Output, dollars(n.EstimatedCostUSD))
	for _, e := range n.Errors {
		a.say("  %d x %s: %s", e.Count, e.Code, e.Message)
	}
	if n.Status == pipeline.StatusCompleted {
		return nil
	}
	text := n.Reason
	if text == "" {
		text = fmt.Sprintf("%d of %d rows have no answer", n.Rows.Total-n.Rows.Answered, n.Rows.Total)
	}
	return &ended{n.Status, fmt.Errorf("%s: %s: %s", n.Label(), n.Status, text)}
}

// files prints the names of files, one a line.
func (a *app) files(names []string) {
	for _, name := range names {
		if a.json {
			a.object("file", map[string]string{"name": name})
		} else {
			fmt.Fprintln(a.out, name)
		}
	}
}

func (a *app) resultsVerb() *cobra.Command {
	var out string
	c := &cobra.Command{Use: "results ID|KEY", Short: "copy what came back of a submission", Args: cobra.ExactArgs(1)}
	c.Flags().StringVar(&out, "out", ".", "folder to copy into")
	c.RunE = a.with(func(ctx context.Context, p *deployed.Pipeline, args []string) error {
		s, err := p.Locate(ctx, args[0])
		if err != nil {
			return err
		}
		names, err := p.Download(ctx, s, out)
		a.files(names)
		return err
	})
	return c
}

func (a *app) submitVerb() *cobra.Command {
	var to, out string
	var wait bool
	c := &cobra.Command{
		Use: "submit FILE|DIR...", Short: "upload files and folders to the pipeline",
		Long: `Uploads files and folders into the input bucket, settings (workload.yaml and names
that begin with _) first, the others in parallel. A folder keeps its name.`,
		Args: cobra.MinimumNArgs(1),
	}
	c.Flags().StringVar(&to, "to", "", "folder of the input bucket to put them into")
	c.Flags().BoolVar(&wait, "wait", false, "wait until all of them have ended")
	c.Flags().StringVar(&out, "out", "", "folder to copy the results into, implies --wait")
	c.RunE = a.with(func(ctx context.Context, p *deployed.Pipeline, args []string) error {
		uploads, err := p.Submit(ctx, to, args, func(u pipeline.Upload) {
			if a.json {
				a.object("upload", u)
			} else {
				fmt.Fprintf(a.out, "s3://%s/%s\n", u.Bucket, u.Key)
			}
		})
		if err != nil || !wait && out == "" {
			return err
		}
		a.resume = "bedrock-batch uploads, bedrock-batch watch KEY"
		done, err := p.WaitUploads(ctx, uploads, a.tell(ctx, p))
		if err != nil {
			return err
		}
		var bad error
		for _, s := range done {
			if err := a.notice(ctx, p, s); err != nil && (bad == nil || code(err) > code(bad)) {
				bad = err
			}
			if out == "" {
				continue
			}
			names, err := p.Download(ctx, s, filepath.Join(out, filepath.FromSlash(pipeline.Place(s))))
			if err != nil {
				return err
			}
			a.files(names)
		}
		return bad
	})
	return c
}

func (a *app) retryVerb() *cobra.Command {
	var wait bool
	c := &cobra.Command{Use: "retry ID|KEY", Short: "drop the rows of a submission that failed again", Args: cobra.ExactArgs(1)}
	c.Flags().BoolVar(&wait, "wait", false, "wait until they have ended")
	c.RunE = a.with(func(ctx context.Context, p *deployed.Pipeline, args []string) error {
		s, err := p.Locate(ctx, args[0])
		if err != nil {
			return err
		}
		u, err := p.Retry(ctx, s)
		if err != nil {
			return err
		}
		if a.json {
			a.object("upload", u)
		} else {
			fmt.Fprintf(a.out, "s3://%s/%s\n", u.Bucket, u.Key)
		}
		if !wait {
			return nil
		}
		a.resume = "bedrock-batch watch " + quoted([]string{u.Key})[0]
		done, err := p.WaitUploads(ctx, []pipeline.Upload{u}, a.tell(ctx, p))
		if err != nil {
			return err
		}
		return a.notice(ctx, p, done[0])
	})
	return c
}

func (a *app) cancelVerb() *cobra.Command {
	return &cobra.Command{
		Use: "cancel ID|KEY", Short: "stop a submission; what is answered comes back", Args: cobra.ExactArgs(1),
		RunE: a.with(func(ctx context.Context, p *deployed.Pipeline, args []string) error {
			s, err := p.Locate(ctx, args[0])
			if err != nil {
				return err
			}
			if s.State.Terminal() {
				return bedrockbatch.Explain(fmt.Errorf("it has ended: %s: %w", s.State, batch.ErrConflict), "cancel submission "+s.ID)
			}
			if err := p.Cancel(ctx, s.ID); err != nil {
				return err
			}
			a.did("cancel", map[string]any{"submission": s.ID}, "submission %s is asked to stop; what is answered comes back", s.ID)
			return nil
		}),
	}
}

func (a *app) pauseVerb() *cobra.Command {
	return &cobra.Command{
		Use: "pause", Short: "start nothing that costs until resume; what runs, runs on", Args: cobra.NoArgs,
		RunE: a.with(func(ctx context.Context, p *deployed.Pipeline, _ []string) error {
			if err := p.Pause(ctx); err != nil {
				return err
			}
			a.did("pause", map[string]any{"paused": true}, "the deployment is paused: bedrock-batch resume lets it go on")
			return nil
		}),
	}
}

func (a *app) resumeVerb() *cobra.Command {
	return &cobra.Command{
		Use: "resume", Short: "end a pause", Args: cobra.NoArgs,
		RunE: a.with(func(ctx context.Context, p *deployed.Pipeline, _ []string) error {
			if err := p.Resume(ctx); err != nil {
				return err
			}
			a.did("pause", map[string]any{"paused": false}, "the deployment goes on")
			return nil
		}),
	}
}

func (a *app) redriveVerb() *cobra.Command {
	return &cobra.Command{
		Use: "redrive", Short: "move the dead letters of both queues back", Args: cobra.NoArgs,
		RunE: a.with(func(ctx context.Context, p *deployed.Pipeline, _ []string) error {
			n, err := p.Redrive(ctx)
			if err != nil {
				return err
			}
			if a.json {
				a.object("redrive", map[string]int{"messages": n})
			} else {
				fmt.Fprintln(a.out, n)
			}
			a.say("about %d messages are moved back", n)
			return nil
		}),
	}
}

func (a *app) backfillVerb() *cobra.Command {
	return &cobra.Command{
		Use: "backfill [PREFIX]", Short: "tell the pipeline of objects that were there before it", Args: cobra.MaximumNArgs(1),
		RunE: a.with(func(ctx context.Context, p *deployed.Pipeline, args []string) error {
			prefix := ""
			if len(args) > 0 {
				prefix = args[0]
			}
			n, err := p.Backfill(ctx, prefix, func(u pipeline.Upload) {
				if a.json {
					a.object("upload", u)
				} else {
					fmt.Fprintf(a.out, "s3://%s/%s\n", u.Bucket, u.Key)
				}
			})
			if err != nil {
				return err
			}
			a.did("backfill", map[string]any{"objects": n}, "%d objects that the pipeline had not heard of", n)
			return nil
		}),
	}
}
