// Package workload holds the settings for the uploads below a folder of the
// input bucket: the workload.yaml files, read strictly, merged from the root
// down to the upload's folder, over the deployment's default.
package workload

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

// FileName is the name of the settings file in any folder of the input bucket.
const FileName = "workload.yaml"

// Workload is what is set. What is nil or empty is not set here; the methods
// of Workload give the value in force. Its JSON form has the keys of the YAML
// form and reads back as the same Workload.
type Workload struct {
	Name         string            `json:"name,omitempty"`
	Model        string            `json:"model,omitempty"`
	Models       map[string]string `json:"models,omitempty"`
	Invocation   Invocation        `json:"invocation,omitempty"`
	Family       string            `json:"family,omitempty"`
	Format       dataset.Format    `json:"format,omitempty"`
	System       *string           `json:"system,omitempty"`
	Template     *string           `json:"prompt_template,omitempty"`
	TemplateFile string            `json:"prompt_template_file,omitempty"`
	IDColumn     string            `json:"id_column,omitempty"`
	Inference    *Inference        `json:"inference,omitempty"`
	Additional   jsontext.Value    `json:"additional_model_request_fields,omitempty"`
	Gather       *Gather           `json:"gather,omitempty"`
	Small        Small             `json:"small,omitempty"`
	Retries      *int              `json:"retries,omitempty"`
	TimeoutHours *int              `json:"timeout_hours,omitempty"`
	Deadline     *Deadline         `json:"deadline,omitempty"`
	OnlyNew      *bool             `json:"only_new,omitempty"`
	Limits       *Limits           `json:"limits,omitempty"`
	Quotas       *Quotas           `json:"quotas,omitempty"`
	Output       *Output           `json:"output,omitempty"`
	Tags         map[string]string `json:"tags,omitempty"`
	Notice       *Notice           `json:"notice,omitempty"`

	// RowModel is the model that the upload's first row names, of an upload
	// in another service's shape, and BaseModel the model behind Model where
	// its id does not tell. Both are found out when an upload is accepted and
	// are no keys of the file.
	RowModel  string `json:"row_model,omitempty"`
	BaseModel string `json:"base_model,omitempty"`
}

// Invocation is the value of the key of this name.
type Invocation string

// The values of invocation.
const (
	Converse    Invocation = "converse"
	InvokeModel Invocation = "invoke-model"
)

// Small says what becomes of fewer rows than a job takes.
type Small string

// The values of small.
const (
	OnDemand Small = "on-demand"
	Reject   Small = "reject"
)

// Inference are the inference parameters of rendered prompts.
type Inference struct {
	MaxTokens     *int     `json:"max_tokens,omitempty"`
	Temperature   *float64 `json:"temperature,omitempty"`
	TopP          *float64 `json:"top_p,omitempty"`
	StopSequences []string `json:"stop_sequences,omitempty"`
}

// Gather says when a folder's objects become one submission.
type Gather struct {
	Quiet   *Duration `json:"quiet,omitempty"`
	Expect  *int      `json:"expect,omitempty"`
	Include []string  `json:"include,omitempty"`
	Exclude []string  `json:"exclude,omitempty"`
}

// Deadline says by when rows without an answer go on demand, and what that may
// cost at the most.
type Deadline struct {
	After      *Duration `json:"after,omitempty"`
	MaxCostUSD *float64  `json:"max_cost_usd,omitempty"`
}

// Limits refuse an upload before anything is paid. They lower the
// deployment's caps, never raise them.
type Limits struct {
	MaxRecords          *int64   `json:"max_records,omitempty"`
	MaxBytes            *int64   `json:"max_bytes,omitempty"`
	MaxEstimatedCostUSD *float64 `json:"max_estimated_cost_usd,omitempty"`
}

// Quotas tighten the bounds of a part.
type Quotas struct {
	MinRecords   *int   `json:"min_records,omitempty"`
	MaxRecords   *int   `json:"max_records,omitempty"`
	MaxFileBytes *int64 `json:"max_file_bytes,omitempty"`
}

// Output says what is written beside and into the results.
type Output struct {
	Raw     *bool `json:"raw,omitempty"`
	Echo    *bool `json:"echo,omitempty"`
	CSV     *bool `json:"csv,omitempty"`
	Parquet *bool `json:"parquet,omitempty"`
	// JSON is true, false or a JSON schema.
	JSON jsontext.Value `json:"json,omitempty"`
}

// Notice are the settings of the final notice.
type Notice struct {
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Duration is a time.Duration written as text, as "1m30s".
type Duration time.Duration
