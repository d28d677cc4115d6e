package workload

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
)

// Check validates the merged settings for uploads of format f: that there is
// a model and something to make prompts of, and that the keys go together.
// All problems are reported at once, as Problems.
func (w *Workload) Check(f dataset.Format) error {
	var problems Problems
	wrong := func(key, format string, args ...any) {
		problems = append(problems, Problem{Key: key, Text: fmt.Sprintf(format, args...)})
	}
	if w.Model == "" {
		wrong("model", "no model is set; name one in a %s at or above the upload", FileName)
	}
	for _, alias := range slices.Sorted(maps.Keys(w.Models)) {
		if _, err := model.Parse(w.Models[alias]); err != nil {
			wrong("models."+alias, "%v", err)
		}
	}
	if !f.Known() {
		wrong("format", "%q is not one of %s", f, dataset.FormatNames())
	}
	if f == dataset.JSONL && w.TemplateText() == "" {
		wrong("prompt_template", "the rows have neither \"prompt\" nor \"modelInput\", so a prompt_template must say what to ask")
	}
	if d := w.Deadline; d != nil && (d.After == nil || d.MaxCostUSD == nil) {
		wrong("deadline", "after and max_cost_usd go together: what has no answer by then goes on demand, at twice the price of a job, for at most so much")
	}
	if text := pairOfQuotas(w.Quotas); text != "" {
		wrong("quotas.max_records", "%s", text)
	}
	if w.JSON() {
		if _, err := w.Schema(); err != nil {
			wrong("output.json", "%v", err)
		}
	}
	return problems.orNil()
}
