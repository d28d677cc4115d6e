// Package cloudformation reads what deployed stacks say of themselves.
package cloudformation

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// API is the part of the SDK's client that Stacks uses.
type API interface {
	DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error)
}

// Stacks are the stacks of an account and region.
type Stacks struct{ api API }

// New makes Stacks from the SDK's configuration.
func New(cfg aws.Config) *Stacks { return Over(cloudformation.NewFromConfig(cfg)) }

// Over makes Stacks over a client.
func Over(api API) *Stacks { return &Stacks{api: api} }

// Outputs are the outputs of each stack by the stack's name: of one, or of all
// if name is empty.
func (s *Stacks) Outputs(ctx context.Context, name string) (map[string]map[string]string, error) {
	in := &cloudformation.DescribeStacksInput{}
	if name != "" {
		in.StackName = &name
	}
	all := map[string]map[string]string{}
	for {
		out, err := s.api.DescribeStacks(ctx, in)
		if fault.Code(err) == "ValidationError" && strings.Contains(err.Error(), "does not exist") {
			// There is no code of its own for it.
			return nil, fmt.Errorf("stack %s does not exist in this account and Region: %w", name, batch.ErrNotFound)
		}
		if err != nil {
			return nil, fault.Of(ctx, err, "describe stacks")
		}
		for _, stack := range out.Stacks {
			outputs := map[string]string{}
			for _, o := range stack.Outputs {
				outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
			}
			all[aws.ToString(stack.StackName)] = outputs
		}
		if aws.ToString(out.NextToken) == "" {
			return all, nil
		}
		in.NextToken = out.NextToken
	}
}
