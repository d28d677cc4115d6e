package cloudformation_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscf "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/cloudformation"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// pages answers with one stack a page.
type pages []types.Stack

func (p pages) DescribeStacks(_ context.Context, in *awscf.DescribeStacksInput, _ ...func(*awscf.Options)) (*awscf.DescribeStacksOutput, error) {
	if in.StackName != nil {
		return nil, &smithy.GenericAPIError{Code: "ValidationError", Message: "Stack with id " + *in.StackName + " does not exist"}
	}
	n := len(aws.ToString(in.NextToken))
	out := &awscf.DescribeStacksOutput{Stacks: p[n : n+1]}
	if n+1 < len(p) {
		out.NextToken = aws.String("xxxxxxxxxx"[:n+1])
	}
	return out, nil
}

func TestOutputsOfAllStacksAreReadPageByPage(t *testing.T) {
	stacks := cloudformation.Over(pages{
		{StackName: aws.String("a")},
		{StackName: aws.String("b"), Outputs: []types.Output{{OutputKey: aws.String("InputBucket"), OutputValue: aws.String("in")}}},
	})
	all, err := stacks.Outputs(t.Context(), "")
	if err != nil || len(all) != 2 || all["b"]["InputBucket"] != "in" {
		t.Errorf("%v %v", all, err)
	}
}

func TestAStackThatIsNotThereIsAnError(t *testing.T) {
	if _, err := cloudformation.Over(pages{}).Outputs(t.Context(), "absent"); err == nil || errors.Is(err, batch.ErrAccess) {
		t.Error(err)
	}
}
