package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch/deployed"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

// documents are the policies that setup writes, in this order.
var documents = []string{"trust", "role", "bucket", "caller"}

func (a *app) setupVerb() *cobra.Command {
	var s bedrockbatch.Setup
	var only string
	var template bool
	c := &cobra.Command{
		Use: "setup", Short: "write the policies of a bucket and a role for runs, or a template that makes both", Args: cobra.NoArgs,
		Long: `Writes what runs without a deployed pipeline need: the trust policy of the role that
Bedrock runs the jobs as, what that role may do, the policy of the bucket, and what
whoever starts runs must be allowed. No service is called and nothing is changed.
With --cloudformation it is a template that makes bucket and role.`,
		Example: `  bedrock-batch setup --bucket my-runs --role arn:aws:iam::123456789012:role/my-jobs --model us.amazon.nova-lite-v1:0
  bedrock-batch setup --bucket my-runs --role arn:aws:iam::123456789012:role/my-jobs --cloudformation > runs.json
  aws cloudformation deploy --stack-name runs --template-file runs.json --capabilities CAPABILITY_NAMED_IAM
  bedrock-batch setup --bucket my-runs --role arn:aws:iam::123456789012:role/my-jobs --only caller`,
	}
	f := c.Flags()
	f.StringVar(&s.Region, "region", "", "Region of the jobs (default: that of your AWS configuration)")
	f.StringSliceVar(&s.Models, "model", nil, "models that may be asked (default: any that is no inference profile)")
	f.StringVar(&s.Key, "key", "", "ARN of the KMS key that encrypts the bucket")
	f.StringVar(&only, "only", "", "one of the policies alone: "+strings.Join(documents, ", "))
	f.BoolVar(&template, "cloudformation", false, "write a CloudFormation template")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if only != "" && !slices.Contains(documents, only) {
			return usage("setup: --only %s: want one of %s", only, strings.Join(documents, ", "))
		}
		if only != "" && template {
			return usage("setup: --only and --cloudformation exclude each other")
		}
		s.Bucket, s.Prefix = cmp.Or(a.bucket, os.Getenv(config.EnvOutputBucket)), a.prefix
		s.Role = cmp.Or(a.role, os.Getenv(config.EnvJobRoleARN))
		if s.Bucket == "" || s.Role == "" {
			return usage("setup: name a bucket and a role, which need not exist: --bucket NAME --role arn:aws:iam::ACCOUNT:role/NAME")
		}
		if s.Region == "" {
			var err error
			if s.Region, err = deployed.Region(c.Context()); err != nil {
				return err
			}
		}
		if template {
			return a.template(s)
		}
		return a.policies(s, only)
	}
	return c
}

func (a *app) template(s bedrockbatch.Setup) error {
	text, err := s.Template()
	if err != nil {
		return err
	}
	if a.json {
		a.object("template", map[string]any{"template": json.RawMessage(text)})
		return nil
	}
	_, err = a.out.Write(text)
	return err
}

// policies prints the documents: one as it is, several as the members of an
// object.
func (a *app) policies(s bedrockbatch.Setup, only string) error {
	p, err := s.Policies()
	if err != nil {
		return err
	}
	of := map[string]bedrockbatch.Policy{"trust": p.Trust, "role": p.Role, "bucket": p.Bucket, "caller": p.Caller}
	if only != "" && !a.json {
		fmt.Fprintln(a.out, of[only])
		return nil
	}
	var members []string
	for _, name := range documents {
		if only != "" && name != only {
			continue
		}
		if a.json {
			a.object("policy", map[string]any{"of": name, "document": of[name]})
			continue
		}
		members = append(members, fmt.Sprintf("  %q: %s", name, strings.ReplaceAll(of[name].String(), "\n", "\n  ")))
	}
	if !a.json {
		fmt.Fprintf(a.out, "{\n%s\n}\n", strings.Join(members, ",\n"))
	}
	return nil
}
