// Package quotas reads the account's quotas of Amazon Bedrock.
package quotas

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
)

// API is the part of the SDK's client that Quotas uses.
type API interface {
	ListServiceQuotas(context.Context, *servicequotas.ListServiceQuotasInput, ...func(*servicequotas.Options)) (*servicequotas.ListServiceQuotasOutput, error)
}

// Quotas are those of an account in a Region.
type Quotas struct{ api API }

// New makes Quotas from the SDK's configuration.
func New(cfg aws.Config) *Quotas { return Over(servicequotas.NewFromConfig(cfg)) }

// Over makes Quotas over a client.
func Over(api API) *Quotas { return &Quotas{api: api} }

// Batch are the quotas of batch jobs on one model. A member is nil where the
// account has no quota of that name.
type Batch struct {
	// Slots is how many jobs may be submitted or running at once.
	Slots *Quota
	// MinRecords and MaxRecords bound a job's records.
	MinRecords, MaxRecords *Quota
}

// Quota is one quota.
type Quota struct {
	Code       string
	Name       string
	Value      float64
	Adjustable bool
}

// OfModel finds the quotas of batch jobs on a model by its display name, as
// "Nova Lite": their codes cannot be told from the model's id. custom asks for
// those of custom models made of it.
func (q *Quotas) OfModel(ctx context.Context, name string, custom bool) (Batch, error) {
	var found Batch
	kind := "a base model"
	if custom {
		kind = "a custom model"
	}
	in := &servicequotas.ListServiceQuotasInput{ServiceCode: aws.String("bedrock"), MaxResults: aws.Int32(100)}
	for {
		out, err := q.api.ListServiceQuotas(ctx, in)
		if err != nil {
			return found, fault.Of(ctx, err, "list quotas of bedrock")
		}
		for _, one := range out.Quotas {
			title := aws.ToString(one.QuotaName)
			what, model, ok := cutLast(title, " for ")
			if !ok || !strings.EqualFold(strings.TrimSpace(model), name) {
				continue
			}
			quota := &Quota{Code: aws.ToString(one.QuotaCode), Name: title, Value: aws.ToFloat64(one.Value), Adjustable: one.Adjustable}
			switch what = strings.ToLower(what); {
			case strings.HasPrefix(what, "sum of in-progress and submitted batch inference jobs") && strings.HasSuffix(what, kind):
				found.Slots = quota
			case strings.HasPrefix(what, "minimum number of records per batch inference job"):
				found.MinRecords = quota
			case strings.HasPrefix(what, "records per batch inference job"):
				found.MaxRecords = quota
			}
		}
		if aws.ToString(out.NextToken) == "" {
			return found, nil
		}
		in.NextToken = out.NextToken
	}
}

// cutLast cuts around the last separator.
func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}
