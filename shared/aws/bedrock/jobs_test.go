package bedrock_test

import (
	"context"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/bedrock"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// createAPI keeps what it is asked to create.
type createAPI struct {
	bedrock.API
	asked *sdk.CreateModelInvocationJobInput
}

func (c *createAPI) CreateModelInvocationJob(_ context.Context, in *sdk.CreateModelInvocationJobInput, _ ...func(*sdk.Options)) (*sdk.CreateModelInvocationJobOutput, error) {
	c.asked = in
	return &sdk.CreateModelInvocationJobOutput{JobArn: aws.String("arn")}, nil
}

func TestAJobNamesTheOwnerOfItsBucketsAndItsNetworkOnlyWhereGiven(t *testing.T) {
	api := &createAPI{}
	jobs := bedrock.Over(api)
	sides := func() (*string, *string) {
		in := api.asked.InputDataConfig.(*types.ModelInvocationJobInputDataConfigMemberS3InputDataConfig)
		out := api.asked.OutputDataConfig.(*types.ModelInvocationJobOutputDataConfigMemberS3OutputDataConfig)
		return in.Value.S3BucketOwner, out.Value.S3BucketOwner
	}
	spec := batch.JobSpec{Name: "n", ModelID: "m", RoleARN: "r", Invocation: batch.Converse, Input: "s3://b/in/x.jsonl", Output: "s3://b/out/"}
	if _, err := jobs.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if in, out := sides(); in != nil || out != nil || api.asked.VpcConfig != nil {
		t.Errorf("nothing was given, and asked for were owners %v, %v, network %v", in, out, api.asked.VpcConfig)
	}
	spec.InputOwner, spec.OutputOwner = "111122223333", "444455556666"
	spec.Subnets, spec.SecurityGroups = []string{"subnet-1", "subnet-2"}, []string{"sg-1"}
	if _, err := jobs.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	in, out := sides()
	if aws.ToString(in) != spec.InputOwner || aws.ToString(out) != spec.OutputOwner {
		t.Errorf("owners are %v and %v", aws.ToString(in), aws.ToString(out))
	}
	if v := api.asked.VpcConfig; v == nil || !slices.Equal(v.SubnetIds, spec.Subnets) || !slices.Equal(v.SecurityGroupIds, spec.SecurityGroups) {
		t.Errorf("the network is %+v", v)
	}
}
