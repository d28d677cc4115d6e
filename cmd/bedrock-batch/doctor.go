package main

import (
	"cmp"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch/deployed"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch/doctor"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

func (a *app) doctorVerb() *cobra.Command {
	var model string
	c := &cobra.Command{
		Use: "doctor", Short: "check credentials, buckets, role, key, models and quotas, each with the fix", Args: cobra.NoArgs,
		Long: `Checks credentials and region, the deployed stack, its buckets (a small object is
written and deleted), dead letters, the right to see batch jobs, a pause, what
stands still, whether Bedrock may assume the role of the jobs and what that role
may do (the statement that is missing is named), the bucket's key, and for the
models of open submissions access and quotas. With --model it is that model that
is looked at, and it is asked for one token. With --bucket and --role those are
checked, and no stack is looked for.`,
	}
	c.Flags().StringVar(&model, "model", "", "a model to ask for one token")
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx := c.Context()
		broken := a.finding(deployed.Identity(ctx))
		switch {
		case broken > 0:
		case a.bucket != "" && a.stack == "":
			role := cmp.Or(a.role, os.Getenv(config.EnvJobRoleARN))
			for _, f := range deployed.Direct(ctx, a.bucket, cmp.Or(a.prefix, bedrockbatch.DefaultPrefix), role, model) {
				broken += a.finding(f)
			}
		default:
			p, err := a.pipeline(ctx)
			if err != nil {
				broken += a.finding(deployed.Finding{Check: "stack", State: doctor.Broken, Detail: err.Error(), Fix: "deploy it, or name it with --stack"})
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
	if f.State == doctor.Broken {
		return 1
	}
	return 0
}
