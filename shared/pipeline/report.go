package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// Progress is progress.json: how far a submission has come while it runs.
type Progress struct {
	State State `json:"state"`
	Rows  Rows  `json:"rows"`
	Parts struct {
		Waiting int `json:"waiting"`
		Running int `json:"running"`
		Ended   int `json:"ended"`
	} `json:"parts"`
	UpdatedAt time.Time `json:"updatedAt"`
}

func (r *run) report(ctx context.Context, s *Submission) error {
	return r.tell(ctx, s, progressOf(s))
}

// reportAsked is report with answers counted that no state holds yet.
func (r *run) reportAsked(ctx context.Context, s *Submission, n, attempt, answered int) error {
	p := progressOf(s)
	p.Rows.Answered += int64(answered)
	return r.tell(ctx, s, p)
}

func progressOf(s *Submission) Progress {
	p := Progress{State: s.State, Rows: s.Rows}
	for i := range s.Parts {
		switch q := &s.Parts[i]; {
		case partRank[q.Status] >= partRank[PartEnded]:
			p.Parts.Ended++
		case q.Status == PartRunning:
			p.Parts.Running++
		default:
			p.Parts.Waiting++
		}
	}
	return p
}

func (r *run) tell(ctx context.Context, s *Submission, p Progress) error {
	p.UpdatedAt = r.clock.Now().UTC()
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if _, err := r.output.Put(ctx, resultsKey(s, "progress.json"), body, batch.Condition{}); err != nil {
		return fmt.Errorf("write progress of submission %s: %w", s.ID, err)
	}
	return nil
}

// Estimate is what running a submission may cost at the most: input tokens
// from bytes, output tokens at the limit, retries included.
type Estimate struct {
	InputTokens, OutputTokens int64
	USD                       float64
	// Known is false for a model without a price: the cost is then unknown,
	// not zero.
	Known bool
}

// defaultMaxTokens is taken for the ceiling of an answer where neither the
// workload nor the deployment sets max_tokens.
const defaultMaxTokens = 4096

func (r *run) estimate(w workload.Workload, s *Submission) (Estimate, error) {
	var e Estimate
	maxTokens := r.longest(w, s)
	rounds := int64(1 + retries(w))
	e.Known = true
	for i := range s.Parts {
		p := &s.Parts[i]
		in, out := model.EstimateTokens(p.Bytes)*rounds, int64(p.Records)*maxTokens*rounds
		e.InputTokens += in
		e.OutputTokens += out
		usd, known := r.priceOf(s, p.How == OnDemand, in, out)
		e.USD += usd
		e.Known = e.Known && known
	}
	return e, nil
}

// longest is the longest answer in tokens that a row of a submission may get.
func (r *run) longest(w workload.Workload, s *Submission) int64 {
	most := int64(defaultMaxTokens)
	if w.Inference != nil && w.Inference.MaxTokens != nil {
		most = int64(*w.Inference.MaxTokens)
	}
	return max(most, s.MaxTokens)
}

// priceOf is what so many tokens of a submission cost: by its model's own price,
// else by that of the model behind it.
func (r *run) priceOf(s *Submission, onDemand bool, in, out int64) (usd float64, known bool) {
	if usd, known = r.price(s.ModelID, onDemand, in, out); known || s.BaseModel == "" {
		return usd, known
	}
	return r.price(s.BaseModel, onDemand, in, out)
}

// price is what so many tokens cost; known is false where no table tells.
func (r *run) price(modelID string, onDemand bool, in, out int64) (usd float64, known bool) {
	if p, ok := override(r.settings.Prices, modelID); ok {
		usd = (float64(in)*p.Input + float64(out)*p.Output) / 1e6
		if onDemand {
			usd *= 2 // a job costs half of what single requests cost
		}
		return usd, true
	}
	if onDemand {
		return model.EstimateOnDemand(modelID, in, out)
	}
	return model.Estimate(modelID, in, out)
}

func override(prices map[string]config.Price, modelID string) (config.Price, bool) {
	best, found := "", false
	for prefix := range prices {
		if len(prefix) >= len(best) && len(prefix) <= len(modelID) && modelID[:len(prefix)] == prefix {
			best, found = prefix, true
		}
	}
	return prices[best], found
}

func retries(w workload.Workload) int {
	if w.Retries == nil {
		return 1
	}
	return *w.Retries
}

// tooDear says why an estimate is over the limit; empty if it is not.
func (r *run) tooDear(w workload.Workload, e Estimate) string {
	var own float64
	if w.Limits != nil && w.Limits.MaxEstimatedCostUSD != nil {
		own = *w.Limits.MaxEstimatedCostUSD
	}
	limit := lower(own, r.settings.Caps.MaxEstimatedCostUSD)
	if limit == 0 || e.Known && e.USD <= limit {
		return ""
	}
	if !e.Known {
		return fmt.Sprintf("there is a cost limit of $%.2f but no price is known for model %s; set one under prices in the deployment's settings", limit, w.Model)
	}
	return fmt.Sprintf("it may cost up to $%.2f (%d input tokens, at most %d output tokens), the limit is $%.2f; lower max_tokens or retries, or raise max_estimated_cost_usd", e.USD, e.InputTokens, e.OutputTokens, limit)
}
