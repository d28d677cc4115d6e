// Package deployed reaches a deployed pipeline from outside: it uploads,
// looks, and asks the pipeline to stop, pause or go on. What costs money or
// changes a submission is done by the pipeline alone.
package deployed

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/cloudformation"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/settings"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

// Outputs are what a deployed stack says of itself.
type Outputs struct {
	Stack           string
	Deployment      string
	InputBucket     string
	OutputBucket    string
	TopicARN        string
	UploadsQueueURL string
	JobsQueueURL    string
	JobRoleARN      string
}

// Find gives the outputs of a stack: those in the environment (BB_*) if no
// stack is named and they stand there, else those that CloudFormation tells.
// Without a name there must be one stack of the pipeline only.
func Find(ctx context.Context, stack string) (Outputs, error) {
	if stack == "" && os.Getenv(config.EnvInputBucket) != "" && os.Getenv(config.EnvOutputBucket) != "" {
		return Outputs{
			Deployment: os.Getenv(config.EnvDeployment), InputBucket: os.Getenv(config.EnvInputBucket), OutputBucket: os.Getenv(config.EnvOutputBucket),
			TopicARN: os.Getenv(config.EnvTopicARN), UploadsQueueURL: os.Getenv(config.EnvUploadsQueueURL), JobsQueueURL: os.Getenv(config.EnvJobsQueueURL),
			JobRoleARN: os.Getenv(config.EnvJobRoleARN),
		}, nil
	}
	cfg, err := load(ctx)
	if err != nil {
		return Outputs{}, err
	}
	all, err := cloudformation.New(cfg).Outputs(ctx, stack)
	if err != nil {
		return Outputs{}, bedrockbatch.Explain(err, "find the deployed stack")
	}
	return choose(all, stack)
}

func choose(all map[string]map[string]string, stack string) (Outputs, error) {
	var found []Outputs
	for name, o := range all {
		if o["InputBucket"] == "" || o["OutputBucket"] == "" || o["UploadsQueueUrl"] == "" {
			continue
		}
		found = append(found, Outputs{
			Stack: name, Deployment: o["Deployment"], InputBucket: o["InputBucket"], OutputBucket: o["OutputBucket"], TopicARN: o["TopicArn"],
			UploadsQueueURL: o["UploadsQueueUrl"], JobsQueueURL: o["JobsQueueUrl"], JobRoleARN: o["JobRoleArn"],
		})
	}
	slices.SortFunc(found, func(a, b Outputs) int { return cmp.Compare(a.Stack, b.Stack) })
	switch {
	case len(found) == 1:
		return found[0], nil
	case stack != "":
		return Outputs{}, fmt.Errorf("stack %s is no deployed pipeline: it lacks the outputs InputBucket, OutputBucket and UploadsQueueUrl: %w", stack, batch.ErrNotFound)
	case len(found) == 0:
		return Outputs{}, fmt.Errorf("no stack of the pipeline in this account and region: deploy one with make deploy, set AWS_REGION, or set %s and %s: %w", config.EnvInputBucket, config.EnvOutputBucket, batch.ErrNotFound)
	}
	names := make([]string, len(found))
	for i, o := range found {
		names[i] = o.Stack
	}
	return Outputs{}, fmt.Errorf("several stacks are the pipeline's (%s): name one: %w", strings.Join(names, ", "), batch.ErrInvalid)
}

func load(ctx context.Context) (aws.Config, error) {
	cfg, err := settings.Load(ctx)
	if err != nil {
		return cfg, err
	}
	if cfg.Region == "" {
		return cfg, fmt.Errorf("no AWS region is set: set AWS_REGION, or region in your profile: %w", batch.ErrInvalid)
	}
	return cfg, nil
}

// Region is the one of the caller's AWS configuration.
func Region(ctx context.Context) (string, error) {
	cfg, err := load(ctx)
	return cfg.Region, err
}
