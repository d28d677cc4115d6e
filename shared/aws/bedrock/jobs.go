// Package bedrock is the control plane of batch inference on Amazon Bedrock.
package bedrock

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// API is the part of the SDK's client that Jobs uses.
type API interface {
	CreateModelInvocationJob(context.Context, *bedrock.CreateModelInvocationJobInput, ...func(*bedrock.Options)) (*bedrock.CreateModelInvocationJobOutput, error)
	GetModelInvocationJob(context.Context, *bedrock.GetModelInvocationJobInput, ...func(*bedrock.Options)) (*bedrock.GetModelInvocationJobOutput, error)
	ListModelInvocationJobs(context.Context, *bedrock.ListModelInvocationJobsInput, ...func(*bedrock.Options)) (*bedrock.ListModelInvocationJobsOutput, error)
	StopModelInvocationJob(context.Context, *bedrock.StopModelInvocationJobInput, ...func(*bedrock.Options)) (*bedrock.StopModelInvocationJobOutput, error)
}

// Jobs implements batch.Jobs.
type Jobs struct {
	api  API
	page int32
}

var _ batch.Jobs = (*Jobs)(nil)

// New makes Jobs from the SDK's configuration.
func New(cfg aws.Config) *Jobs { return Over(bedrock.NewFromConfig(cfg)) }

// Over makes Jobs over a client.
func Over(api API) *Jobs { return &Jobs{api: api, page: 100} }

// Create implements batch.Jobs. The job's name is its client request token.
func (j *Jobs) Create(ctx context.Context, spec batch.JobSpec) (string, error) {
	in := &bedrock.CreateModelInvocationJobInput{
		JobName:             &spec.Name,
		ClientRequestToken:  &spec.Name,
		ModelId:             &spec.ModelID,
		RoleArn:             &spec.RoleARN,
		ModelInvocationType: types.ModelInvocationType(spec.Invocation),
		InputDataConfig: &types.ModelInvocationJobInputDataConfigMemberS3InputDataConfig{
			Value: types.ModelInvocationJobS3InputDataConfig{
				S3Uri:         &spec.Input,
				S3InputFormat: types.S3InputFormatJsonl,
				S3BucketOwner: given(spec.InputOwner),
			},
		},
		OutputDataConfig: &types.ModelInvocationJobOutputDataConfigMemberS3OutputDataConfig{
			Value: types.ModelInvocationJobS3OutputDataConfig{
				S3Uri:             &spec.Output,
				S3BucketOwner:     given(spec.OutputOwner),
				S3EncryptionKeyId: given(spec.KMSKey),
			},
		},
	}
	if len(spec.Subnets) > 0 {
		in.VpcConfig = &types.VpcConfig{SubnetIds: spec.Subnets, SecurityGroupIds: spec.SecurityGroups}
	}
	if spec.TimeoutHours != 0 {
		in.TimeoutDurationInHours = aws.Int32(int32(spec.TimeoutHours))
	}
	for key, value := range spec.Tags {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(key), Value: aws.String(value)})
	}
	// One order, so that a repeated call is the same to the byte.
	slices.SortFunc(in.Tags, func(a, b types.Tag) int { return strings.Compare(*a.Key, *b.Key) })
	out, err := j.api.CreateModelInvocationJob(ctx, in)
	if err != nil {
		return "", fault.Of(ctx, err, "create job %s", spec.Name)
	}
	return aws.ToString(out.JobArn), nil
}

// Get implements batch.Jobs.
func (j *Jobs) Get(ctx context.Context, arn string) (batch.Job, error) {
	out, err := j.api.GetModelInvocationJob(ctx, &bedrock.GetModelInvocationJobInput{JobIdentifier: &arn})
	if err != nil {
		return batch.Job{}, fault.Of(ctx, err, "get job %s", arn)
	}
	job := batch.Job{
		ARN:        aws.ToString(out.JobArn),
		Name:       aws.ToString(out.JobName),
		Token:      aws.ToString(out.ClientRequestToken),
		ModelID:    aws.ToString(out.ModelId),
		Status:     batch.Status(out.Status),
		Message:    aws.ToString(out.Message),
		Invocation: invocation(out.ModelInvocationType),
		Input:      input(out.InputDataConfig),
		Output:     output(out.OutputDataConfig),
		Counts:     counts(out.TotalRecordCount, out.ProcessedRecordCount, out.SuccessRecordCount, out.ErrorRecordCount),
		Submitted:  aws.ToTime(out.SubmitTime),
		Ended:      aws.ToTime(out.EndTime),
		Expires:    aws.ToTime(out.JobExpirationTime),
	}
	return job, nil
}

// List implements batch.Jobs.
func (j *Jobs) List(ctx context.Context, filter batch.JobFilter) iter.Seq2[batch.Job, error] {
	return func(yield func(batch.Job, error) bool) {
		in := &bedrock.ListModelInvocationJobsInput{
			MaxResults:       &j.page,
			NameContains:     given(filter.NameContains),
			StatusEquals:     types.ModelInvocationJobStatus(filter.Status),
			SubmitTimeAfter:  moment(filter.SubmittedFrom),
			SubmitTimeBefore: moment(filter.SubmittedTo),
			SortBy:           types.SortJobsByCreationTime,
			SortOrder:        types.SortOrderAscending,
		}
		if filter.NewestFirst {
			in.SortOrder = types.SortOrderDescending
		}
		for {
			out, err := j.api.ListModelInvocationJobs(ctx, in)
			if err != nil {
				yield(batch.Job{}, fault.Of(ctx, err, "list jobs"))
				return
			}
			for _, summary := range out.InvocationJobSummaries {
				if !yield(summarised(summary), nil) {
					return
				}
			}
			if aws.ToString(out.NextToken) == "" {
				return
			}
			in.NextToken = out.NextToken
		}
	}
}

// Stop implements batch.Jobs.
func (j *Jobs) Stop(ctx context.Context, arn string) error {
	_, err := j.api.StopModelInvocationJob(ctx, &bedrock.StopModelInvocationJobInput{JobIdentifier: &arn})
	return fault.Of(ctx, err, "stop job %s", arn)
}

func summarised(s types.ModelInvocationJobSummary) batch.Job {
	return batch.Job{
		ARN:        aws.ToString(s.JobArn),
		Name:       aws.ToString(s.JobName),
		Token:      aws.ToString(s.ClientRequestToken),
		ModelID:    aws.ToString(s.ModelId),
		Status:     batch.Status(s.Status),
		Message:    aws.ToString(s.Message),
		Invocation: invocation(s.ModelInvocationType),
		Input:      input(s.InputDataConfig),
		Output:     output(s.OutputDataConfig),
		Counts:     counts(s.TotalRecordCount, s.ProcessedRecordCount, s.SuccessRecordCount, s.ErrorRecordCount),
		Submitted:  aws.ToTime(s.SubmitTime),
		Ended:      aws.ToTime(s.EndTime),
		Expires:    aws.ToTime(s.JobExpirationTime),
	}
}

// invocation reads the record shape; jobs from before the choice existed hold
// native bodies.
func invocation(t types.ModelInvocationType) batch.Invocation {
	if t == "" {
		return batch.InvokeModel
	}
	return batch.Invocation(t)
}

func input(config types.ModelInvocationJobInputDataConfig) string {
	if s3, ok := config.(*types.ModelInvocationJobInputDataConfigMemberS3InputDataConfig); ok {
		return aws.ToString(s3.Value.S3Uri)
	}
	return ""
}

func output(config types.ModelInvocationJobOutputDataConfig) string {
	if s3, ok := config.(*types.ModelInvocationJobOutputDataConfigMemberS3OutputDataConfig); ok {
		return aws.ToString(s3.Value.S3Uri)
	}
	return ""
}

// counts are known together or not at all: older jobs report none.
func counts(total, processed, success, failed *int64) *batch.Counts {
	if total == nil && processed == nil && success == nil && failed == nil {
		return nil
	}
	return &batch.Counts{
		Total:     aws.ToInt64(total),
		Processed: aws.ToInt64(processed),
		Success:   aws.ToInt64(success),
		Error:     aws.ToInt64(failed),
	}
}

func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
