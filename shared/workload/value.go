package workload

import (
	"fmt"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/model/schema"
)

// MarshalText writes the duration as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("read duration: %w", err)
	}
	*d = Duration(parsed)
	return nil
}

// SystemText is the system prompt, "" for none.
func (w *Workload) SystemText() string { return text(w.System) }

// TemplateText is the prompt template, "" for none.
func (w *Workload) TemplateText() string { return text(w.Template) }

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// ResolvedModel is the id that tells what model runs: the one behind Model
// where that was found out, else Model.
func (w *Workload) ResolvedModel() string {
	if w.BaseModel != "" {
		return w.BaseModel
	}
	return w.Model
}

// DefaultRetries is how often records that failed for a passing reason are
// tried again where the workload says nothing.
const DefaultRetries = 1

// RetryCount is the number of retry rounds in force.
func (w *Workload) RetryCount() int {
	if w.Retries == nil {
		return DefaultRetries
	}
	return *w.Retries
}

// MaxTokens is the answer's limit in tokens, 0 where none is set.
func (w *Workload) MaxTokens() int {
	if w.Inference == nil || w.Inference.MaxTokens == nil {
		return 0
	}
	return *w.Inference.MaxTokens
}

// SmallRule is what becomes of fewer rows than a job takes.
func (w *Workload) SmallRule() Small {
	if w.Small == "" {
		return OnDemand
	}
	return w.Small
}

// PaysOnlyNew reports whether rows are not asked about that an earlier
// submission answered under the same settings.
func (w *Workload) PaysOnlyNew() bool { return is(w.OnlyNew) }

// Raw, Echo, CSV and Parquet say whether the output of this name is asked for.
func (w *Workload) Raw() bool { return w.Output != nil && is(w.Output.Raw) }

func (w *Workload) Echo() bool    { return w.Output != nil && is(w.Output.Echo) }
func (w *Workload) CSV() bool     { return w.Output != nil && is(w.Output.CSV) }
func (w *Workload) Parquet() bool { return w.Output != nil && is(w.Output.Parquet) }

// JSON says whether answers are to be read as JSON, with a schema or without.
func (w *Workload) JSON() bool {
	return w.Output != nil && len(w.Output.JSON) > 0 && string(w.Output.JSON) != "false"
}

// Schema is the schema that answers must fit where JSON is asked for, and nil
// where it is not.
func (w *Workload) Schema() (*schema.Schema, error) {
	if !w.JSON() {
		return nil, nil
	}
	return schema.Compile(w.Output.JSON)
}

func is(b *bool) bool { return b != nil && *b }

// Attributes are the workload's own attributes of the notice.
func (w *Workload) Attributes() map[string]string {
	if w.Notice == nil {
		return nil
	}
	return w.Notice.Attributes
}
