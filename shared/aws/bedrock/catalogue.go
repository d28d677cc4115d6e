package bedrock

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
)

// CatalogueAPI is the part of the SDK's client that Catalogue uses.
type CatalogueAPI interface {
	GetFoundationModel(context.Context, *bedrock.GetFoundationModelInput, ...func(*bedrock.Options)) (*bedrock.GetFoundationModelOutput, error)
	GetFoundationModelAvailability(context.Context, *bedrock.GetFoundationModelAvailabilityInput, ...func(*bedrock.Options)) (*bedrock.GetFoundationModelAvailabilityOutput, error)
}

// Catalogue is what there is to know of base models without asking them
// anything. Models are named by the id of the base model.
type Catalogue struct{ api CatalogueAPI }

// NewCatalogue makes a Catalogue from the SDK's configuration.
func NewCatalogue(cfg aws.Config) *Catalogue { return CatalogueOver(bedrock.NewFromConfig(cfg)) }

// CatalogueOver makes a Catalogue over a client.
func CatalogueOver(api CatalogueAPI) *Catalogue { return &Catalogue{api: api} }

// Name is a model's display name, as "Nova Lite". batch.ErrInvalid or
// batch.ErrNotFound if there is no such model in the Region.
func (c *Catalogue) Name(ctx context.Context, model string) (string, error) {
	out, err := c.api.GetFoundationModel(ctx, &bedrock.GetFoundationModelInput{ModelIdentifier: &model})
	if err != nil {
		return "", fault.Of(ctx, err, "get model %s", model)
	}
	if out.ModelDetails == nil {
		return "", nil
	}
	return aws.ToString(out.ModelDetails.ModelName), nil
}

// Missing says what the account lacks for a model, in words: nothing if it may
// use it.
func (c *Catalogue) Missing(ctx context.Context, model string) (string, error) {
	out, err := c.api.GetFoundationModelAvailability(ctx, &bedrock.GetFoundationModelAvailabilityInput{ModelId: &model})
	if err != nil {
		return "", fault.Of(ctx, err, "get availability of model %s", model)
	}
	var lacks []string
	if out.RegionAvailability == types.RegionAvailabilityNotAvailable {
		lacks = append(lacks, "it is not offered in this Region")
	}
	if a := out.AgreementAvailability; a != nil && a.Status != types.AgreementStatusAvailable {
		lacks = append(lacks, "its agreement is "+strings.ToLower(string(a.Status)))
	}
	if out.EntitlementAvailability == types.EntitlementAvailabilityNotAvailable {
		lacks = append(lacks, "access to it has not been asked for")
	}
	if out.AuthorizationStatus == types.AuthorizationStatusNotAuthorized {
		lacks = append(lacks, "the account is not authorised")
	}
	return strings.Join(lacks, ", "), nil
}
