package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
)

func (a *app) jobsVerb() *cobra.Command {
	c := &cobra.Command{Use: "jobs", Short: "batch jobs of the account: list, status, wait, cancel", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(a.jobsList(), a.jobsStatus(), a.jobsWait(), a.jobsCancel())
	return c
}

func (a *app) jobsList() *cobra.Command {
	var status, name string
	var since time.Duration
	var limit int
	c := &cobra.Command{Use: "list", Short: "list jobs, the newest first", Args: cobra.NoArgs}
	c.Flags().StringVar(&status, "status", "", "only those in this status, as InProgress")
	c.Flags().StringVar(&name, "name", "", "only those whose name contains this")
	c.Flags().DurationVar(&since, "since", 0, "only those submitted within this time, as 24h")
	c.Flags().IntVar(&limit, "limit", 100, "at most so many; 0: all")
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := a.jobsClient(c)
		if err != nil {
			return err
		}
		filter := batch.JobFilter{Status: batch.Status(status), NameContains: name, NewestFirst: true}
		if since > 0 {
			filter.SubmittedFrom = time.Now().Add(-since)
		}
		n := 0
		for job, err := range client.Jobs(c.Context(), filter) {
			if err != nil {
				return err
			}
			a.job(job)
			if n++; n == limit {
				a.say("there may be more: --limit 0 lists all")
				break
			}
		}
		return nil
	}
	return c
}

func (a *app) jobsStatus() *cobra.Command {
	return &cobra.Command{Use: "status ARN", Short: "show a job with its record counts", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		client, err := a.jobsClient(c)
		if err != nil {
			return err
		}
		job, err := client.Job(c.Context(), args[0])
		if err != nil {
			return err
		}
		a.job(job)
		return nil
	}}
}

func (a *app) jobsWait() *cobra.Command {
	return &cobra.Command{Use: "wait ARN", Short: "wait until a job has ended", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		client, err := a.jobsClient(c)
		if err != nil {
			return err
		}
		a.resume = "bedrock-batch jobs wait " + args[0]
		job, err := client.WaitJob(c.Context(), args[0], func(j batch.Job) {
			if !j.Status.Terminal() {
				a.say("%s%s", j.Status, records(j))
			}
		})
		if err != nil {
			return err
		}
		a.job(job)
		switch job.Status {
		case batch.Completed:
			return nil
		case batch.PartiallyCompleted:
			return &ended{"CompletedWithErrors", fmt.Errorf("job %s: %s", job.Name, job.Status)}
		}
		return &ended{"Failed", fmt.Errorf("job %s: %s %s", job.Name, job.Status, job.Message)}
	}}
}

func (a *app) jobsCancel() *cobra.Command {
	return &cobra.Command{Use: "cancel ARN", Short: "stop a job; what it has answered comes back", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		client, err := a.jobsClient(c)
		if err != nil {
			return err
		}
		if err := client.CancelJob(c.Context(), args[0]); err != nil {
			return err
		}
		a.did("cancel", map[string]any{"jobArn": args[0]}, "job %s is asked to stop", args[0])
		return nil
	}}
}

// job prints one job.
func (a *app) job(j batch.Job) {
	if a.json {
		a.object("job", map[string]any{
			"jobArn": j.ARN, "name": j.Name, "modelId": j.ModelID, "status": j.Status, "message": j.Message, "records": j.Counts,
			"submitted": j.Submitted, "input": j.Input, "output": j.Output,
		})
		return
	}
	fmt.Fprintf(a.out, "%s\t%s\t%s\t%s%s\n", j.ARN, j.Status, j.Submitted.UTC().Format(time.RFC3339), j.ModelID, records(j))
	if j.Message != "" {
		a.say("  %s", j.Message)
	}
}

func records(j batch.Job) string {
	if j.Counts == nil {
		return ""
	}
	return fmt.Sprintf("\t%d of %d records, %d errors", j.Counts.Processed, j.Counts.Total, j.Counts.Error)
}

// jobsClient opens the library for jobs alone: no bucket is needed.
func (a *app) jobsClient(c *cobra.Command) (*bedrockbatch.Client, error) {
	return bedrockbatch.New(c.Context(), bedrockbatch.Options{Bucket: "unused", Backoff: a.backoff()})
}
