package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch/deployed"
)

func (a *app) doctorVerb() *cobra.Command {
	var model string
	c := &cobra.Command{
		Use: "doctor", Short: "check credentials, buckets, queues and models, each with the fix", Args: cobra.NoArgs,
		Long: `Checks credentials and region, the deployed stack, its buckets (a small object is
written and deleted), dead letters, the right to see batch jobs, a pause, and what
stands still. With --model that model is asked for one token.`,
	}
	c.Flags().StringVar(&model, "model", "", "a model to ask for one token")
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx := c.Context()
		broken := a.finding(deployed.Identity(ctx))
		if broken == 0 {
			p, err := a.pipeline(ctx)
			if err != nil {
				broken += a.finding(deployed.Finding{Check: "stack", State: deployed.Broken, Detail: err.Error(), Fix: "deploy it, or name it with --stack"})
			} else {
				for _, f := range p.Doctor(ctx, model) {
					broken += a.finding(f)
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if broken > 0 {
			return fmt.Errorf("%d of the checks found something broken: %w", broken, batch.ErrAccess)
		}
		return nil
	}
	return c
}

// finding prints one and counts it if it is broken.
func (a *app) finding(f deployed.Finding) int {
	if a.json {
		a.object("finding", f)
	} else {
		fmt.Fprintf(a.out, "%-8s %s: %s\n", f.State, f.Check, f.Detail)
		if f.Fix != "" {
			fmt.Fprintf(a.out, "         fix: %s\n", f.Fix)
		}
	}
	if f.State == deployed.Broken {
		return 1
	}
	return 0
}
