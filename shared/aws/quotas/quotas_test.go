package quotas_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas/types"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/quotas"
)

// pages answers with one quota a page.
type pages []types.ServiceQuota

func (p pages) ListServiceQuotas(_ context.Context, in *servicequotas.ListServiceQuotasInput, _ ...func(*servicequotas.Options)) (*servicequotas.ListServiceQuotasOutput, error) {
	at := len(aws.ToString(in.NextToken))
	out := &servicequotas.ListServiceQuotasOutput{Quotas: []types.ServiceQuota{p[at]}}
	if at+1 < len(p) {
		out.NextToken = aws.String("xxxxxxxx"[:at+1])
	}
	return out, nil
}

func quota(name string, value float64) types.ServiceQuota {
	return types.ServiceQuota{QuotaName: &name, QuotaCode: aws.String("L-" + name[:1]), Value: &value}
}

func TestQuotasAreFoundByTheModelsName(t *testing.T) {
	all := pages{
		quota("Sum of in-progress and submitted batch inference jobs using a base model for Nova Lite", 20),
		quota("Sum of in-progress and submitted batch inference jobs using a custom model for Nova Lite", 3),
		quota("Sum of in-progress and submitted batch inference jobs using a base model for Nova Lite 2", 7),
		quota("Minimum number of records per batch inference job for nova lite", 100),
		quota("(Console) Records per batch inference job for Nova Lite", 1),
		quota("Records per batch inference job for Nova Lite", 50000),
		quota("Records per input file per batch inference job for Nova Lite", 40000),
		quota("On-demand requests per minute", 5),
	}
	for custom, slots := range map[bool]float64{false: 20, true: 3} {
		b, err := quotas.Over(all).OfModel(t.Context(), "Nova Lite", custom)
		if err != nil || b.Slots == nil || b.Slots.Value != slots || b.MinRecords.Value != 100 || b.MaxRecords.Value != 50000 {
			t.Errorf("custom %v: %+v %v", custom, b, err)
		}
	}
	if b, err := quotas.Over(all).OfModel(t.Context(), "Nova", false); err != nil || b != (quotas.Batch{}) {
		t.Errorf("a model without quotas: %+v %v", b, err)
	}
}
