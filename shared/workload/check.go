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

// feature is a setting or format that this version knows and cannot serve.
type feature struct {
	key  string
	used func(w *Workload, f dataset.Format) bool
}

// unsupported is the table of what is refused by name until it is built. A
// feature is built when its line is gone.
var unsupported = []feature{
	{"output.parquet", func(w *Workload, _ dataset.Format) bool { return w.Parquet() }},
}

// Unsupported names the settings and the format that this version cannot
// serve yet, as Problems; nil if it can serve all.
func Unsupported(w Workload, f dataset.Format) error {
	var problems Problems
	for _, feature := range unsupported {
		if feature.used(&w, f) {
			problems = append(problems, Problem{Key: feature.key, Text: "not supported by this version; take it out, or wait for a version that has it"})
		}
	}
	return problems.orNil()
}
