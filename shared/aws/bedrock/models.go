package bedrock

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// ModelsAPI is the part of the SDK's client that Models uses.
type ModelsAPI interface {
	GetInferenceProfile(context.Context, *bedrock.GetInferenceProfileInput, ...func(*bedrock.Options)) (*bedrock.GetInferenceProfileOutput, error)
	GetCustomModel(context.Context, *bedrock.GetCustomModelInput, ...func(*bedrock.Options)) (*bedrock.GetCustomModelOutput, error)
}

// Models implements batch.Models.
type Models struct{ api ModelsAPI }

var _ batch.Models = (*Models)(nil)

// NewModels makes Models from the SDK's configuration.
func NewModels(cfg aws.Config) *Models { return ModelsOver(bedrock.NewFromConfig(cfg)) }

// ModelsOver makes Models over a client.
func ModelsOver(api ModelsAPI) *Models { return &Models{api: api} }

// BaseModel implements batch.Models. All models of a profile are one, in
// several Regions.
func (m *Models) BaseModel(ctx context.Context, id string) (string, error) {
	if strings.Contains(id, ":custom-model/") {
		out, err := m.api.GetCustomModel(ctx, &bedrock.GetCustomModelInput{ModelIdentifier: &id})
		if err != nil {
			return "", fault.Of(ctx, err, "get custom model %s", id)
		}
		if aws.ToString(out.BaseModelArn) == "" {
			return "", fmt.Errorf("get custom model %s: no base model is named: %w", id, batch.ErrNotFound)
		}
		return *out.BaseModelArn, nil
	}
	out, err := m.api.GetInferenceProfile(ctx, &bedrock.GetInferenceProfileInput{InferenceProfileIdentifier: &id})
	if err != nil {
		return "", fault.Of(ctx, err, "get inference profile %s", id)
	}
	for _, one := range out.Models {
		if arn := aws.ToString(one.ModelArn); arn != "" {
			return arn, nil
		}
	}
	return "", fmt.Errorf("get inference profile %s: no model is named: %w", id, batch.ErrNotFound)
}
