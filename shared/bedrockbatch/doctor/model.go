package doctor

import (
	"context"
	"errors"
	"fmt"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/quotas"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
)

// live are the statuses of jobs that hold a slot.
var live = []batch.Status{batch.Submitted, batch.Validating, batch.Scheduled, batch.InProgress, batch.Stopping}

// Slots tells how many jobs of the account hold a slot of the quota that is
// named by a key of model.ID.QuotaKey, and how many slots there are.
func (d *Doctor) Slots(ctx context.Context, base model.ID) (taken int, quota quotas.Batch, err error) {
	for _, status := range live {
		for job, err := range d.Jobs.List(ctx, batch.JobFilter{Status: status}) {
			if err != nil {
				return taken, quota, err
			}
			if id, err := model.Parse(job.ModelID); err == nil && id.QuotaKey() == base.QuotaKey() {
				taken++
			}
		}
	}
	name, err := d.Catalogue.Name(ctx, base.Base)
	if err != nil {
		return taken, quota, err
	}
	quota, err = d.Quotas.OfModel(ctx, name, base.Resource == model.CustomModel)
	return taken, quota, err
}

// Base finds the base model of a model's id: application profiles tell theirs
// only when they are asked.
func (d *Doctor) Base(ctx context.Context, name string) (model.ID, error) {
	id, err := model.Parse(name)
	if err != nil || id.Base != "" {
		return id, err
	}
	behind, err := d.Models.BaseModel(ctx, id.Raw)
	if err != nil {
		return id, err
	}
	return model.Parse(behind)
}

// Model looks whether the account may use a model, and at its quotas.
func (d *Doctor) Model(ctx context.Context, name string) []Finding {
	check := "access to model " + name
	id, err := d.Base(ctx, name)
	if err != nil {
		f := looked(check, err, "bedrock:GetInferenceProfile on it")
		if errors.Is(err, batch.ErrInvalid) || errors.Is(err, batch.ErrNotFound) {
			f.Fix = badModel
		}
		return []Finding{f}
	}
	access := Finding{Check: check, State: Fine, Detail: "the account may use it"}
	lacks, err := d.Catalogue.Missing(ctx, id.Base)
	switch {
	case errors.Is(err, batch.ErrInvalid), errors.Is(err, batch.ErrNotFound):
		access.State, access.Detail, access.Fix = Broken, err.Error(), badModel
		return []Finding{access}
	case err != nil:
		access = looked(check, err, "bedrock:GetFoundationModelAvailability")
	case lacks != "":
		access.State, access.Detail = Broken, lacks
		access.Fix = "ask for access to the model in the Bedrock console of this Region (Model access), or take another Region"
	}
	return []Finding{access, d.quota(ctx, name, id)}
}

const badModel = "check the id; models without on-demand throughput need their inference profile, as us.amazon.nova-lite-v1:0"

func (d *Doctor) quota(ctx context.Context, name string, id model.ID) Finding {
	f := Finding{Check: "quotas of model " + name, State: Fine}
	taken, quota, err := d.Slots(ctx, id)
	if err != nil {
		return looked(f.Check, err, "bedrock:ListModelInvocationJobs, bedrock:GetFoundationModel and servicequotas:ListServiceQuotas")
	}
	if quota.Slots == nil {
		f.State, f.Detail = Warning, fmt.Sprintf("%d jobs hold a slot; Service Quotas lists no slots of this model", taken)
		f.Fix = "see that batch inference is offered for the model in this Region"
		return f
	}
	slots := int(quota.Slots.Value)
	f.Detail = fmt.Sprintf("%d of %d slots are taken", taken, slots)
	if quota.MinRecords != nil && quota.MaxRecords != nil {
		f.Detail += fmt.Sprintf("; a job takes %.0f to %.0f records", quota.MinRecords.Value, quota.MaxRecords.Value)
	}
	switch {
	case slots == 0:
		f.State = Broken
	case taken >= slots:
		f.State = Warning
	default:
		return f
	}
	f.Fix = "ask for more: aws service-quotas request-service-quota-increase --service-code bedrock --quota-code " + quota.Slots.Code + " --desired-value N"
	if !quota.Slots.Adjustable {
		f.Fix = "this quota cannot be raised: wait for jobs to end"
	}
	return f
}
