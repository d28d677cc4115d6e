package bedrock_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/bedrock"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

type modelsAPI struct {
	profile *sdk.GetInferenceProfileOutput
	custom  *sdk.GetCustomModelOutput
	err     error
}

func (m modelsAPI) GetInferenceProfile(context.Context, *sdk.GetInferenceProfileInput, ...func(*sdk.Options)) (*sdk.GetInferenceProfileOutput, error) {
	return m.profile, m.err
}

func (m modelsAPI) GetCustomModel(context.Context, *sdk.GetCustomModelInput, ...func(*sdk.Options)) (*sdk.GetCustomModelOutput, error) {
	return m.custom, m.err
}

func TestBaseModel(t *testing.T) {
	const nova = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"
	profile := &sdk.GetInferenceProfileOutput{Models: []types.InferenceProfileModel{{ModelArn: aws.String(nova)}, {ModelArn: aws.String("other")}}}
	custom := &sdk.GetCustomModelOutput{BaseModelArn: aws.String(nova)}
	for _, c := range []struct {
		name, id string
		api      modelsAPI
		want     string
		err      error
	}{
		{"a profile's first model", "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc", modelsAPI{profile: profile}, nova, nil},
		{"a custom model's base", "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-lite-v1:0/abcdefghijkl", modelsAPI{custom: custom}, nova, nil},
		{"a profile without models", "abc", modelsAPI{profile: &sdk.GetInferenceProfileOutput{}}, "", batch.ErrNotFound},
		{"a custom model without a base", "arn:aws:bedrock:us-east-1:123456789012:custom-model/x/y", modelsAPI{custom: &sdk.GetCustomModelOutput{}}, "", batch.ErrNotFound},
		{"no rights", "abc", modelsAPI{err: &types.AccessDeniedException{}}, "", batch.ErrAccess},
		{"no such profile", "abc", modelsAPI{err: &types.ResourceNotFoundException{}}, "", batch.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := bedrock.ModelsOver(c.api).BaseModel(context.Background(), c.id)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
