// Package config is the one settings type of a deployment: the CDK app writes
// it as the functions' environment, the functions read it back.
package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"
)

// The functions' environment. infra sets these names, the functions read them
// and nothing else.
const (
	EnvDeployment      = "BB_DEPLOYMENT"
	EnvName            = "BB_NAME"
	EnvInputBucket     = "BB_INPUT_BUCKET"
	EnvOutputBucket    = "BB_OUTPUT_BUCKET"
	EnvTopicARN        = "BB_TOPIC_ARN"
	EnvUploadsQueueURL = "BB_UPLOADS_QUEUE_URL"
	EnvJobsQueueURL    = "BB_JOBS_QUEUE_URL"
	EnvJobRoleARN      = "BB_JOB_ROLE_ARN"
	EnvSettings        = "BB_SETTINGS"
	EnvLogLevel        = "BB_LOG_LEVEL"
)

// MaxSettingsBytes is the longest BB_SETTINGS that synth lets pass: a
// function's whole environment is limited to 4 KB.
const MaxSettingsBytes = 3500

// The folders of the output bucket. IAM statements, lifecycle rules and the
// pipeline use the same constants.
const (
	Submissions = "submissions/" // state, workload and listing; never expire
	Staged      = "staged/"      // parts, job outputs, answers; removed by collect
	Open        = "open/"        // a marker per submission that has not ended
	Waiting     = "waiting/"     // a marker per submission that waits for slots, by model
	Gather      = "gather/"      // notes of objects waiting for their folder to become quiet
	Rounds      = "rounds/"      // listings of settled folders
	Taken       = "taken/"       // what a folder's submissions took; never expire
	Known       = "known/"       // answers remembered for workloads that pay for new rows only; expire
	Control     = "control/"     // pause and the dispatchers' leases
	Results     = "results/"     // what comes back
	Warehouse   = "warehouse/"   // results as Parquet, by day, for queries; only where the deployment has one
	Queries     = "queries/"     // what the warehouse's queries write
)

// JobInputs and JobOutputs are what Bedrock reads and writes, as patterns of
// the output bucket's keys.
const (
	JobInputs  = Staged + "*/in/*"
	JobOutputs = Staged + "*/out/*"
)

// Duration is a time.Duration that reads and writes as text ("30m").
type Duration time.Duration

// MarshalText writes the duration as Go prints it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a duration as "1h30m".
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// Std is the duration as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Quotas bound one batch job. Source: the service's quota table; a job is one
// input file here, so the file's limits are the job's.
type Quotas struct {
	// MinRecords is the fewest records of a job (100; not adjustable).
	MinRecords int `json:"min_records,omitzero" yaml:"min_records"`
	// MaxRecords is the most records of a job (50 000; adjustable).
	MaxRecords int `json:"max_records,omitzero" yaml:"max_records"`
	// MaxFileBytes is the largest input file in bytes (1 GB; not adjustable).
	MaxFileBytes int64 `json:"max_file_bytes,omitzero" yaml:"max_file_bytes"`
}

// Caps bound what one upload may cost; 0 means no cap. A workload may only
// lower them.
type Caps struct {
	MaxRecords          int64   `json:"max_records,omitzero" yaml:"max_records"`
	MaxBytes            int64   `json:"max_bytes,omitzero" yaml:"max_bytes"`
	MaxEstimatedCostUSD float64 `json:"max_estimated_cost_usd,omitzero" yaml:"max_estimated_cost_usd"`
}

// Price overrides the compiled-in price of the models whose id begins with the
// key it stands under, in USD per million tokens in a batch job.
type Price struct {
	Input  float64 `json:"input" yaml:"input"`
	Output float64 `json:"output" yaml:"output"`
}

// Settings is what a deployment may choose. The zero value of a member that
// Default sets means the default.
type Settings struct {
	// Workload is the deployment's default workload in the JSON form of
	// workload.yaml; uploads' own files are merged over it.
	Workload json.RawMessage `json:"workload,omitzero" yaml:"-"`
	// Models lists the model ids (exact, or ending in * for a prefix) that
	// workloads may name. Empty: all that the role allows.
	Models []string `json:"models,omitzero" yaml:"models"`
	// Quotas are the account's quotas; ModelQuotas those of single models,
	// by quota key (base model id).
	Quotas      Quotas            `json:"quotas,omitzero" yaml:"quotas"`
	ModelQuotas map[string]Quotas `json:"model_quotas,omitzero" yaml:"model_quotas"`
	Caps        Caps              `json:"caps,omitzero" yaml:"caps"`
	// Prices override the compiled-in table, by model id prefix.
	Prices map[string]Price `json:"prices,omitzero" yaml:"prices"`
	// OnDemandConcurrency is how many requests of small uploads are under
	// way at once in the whole deployment (default 8): they share the
	// account's tokens per minute with live applications. A quarter of
	// them, at least one, is left to those who have none.
	OnDemandConcurrency int `json:"on_demand_concurrency,omitzero" yaml:"on_demand_concurrency"`
	// MaxWait is how long a submission may wait for a slot or a throttle
	// before it is given up (default 168h). A pause stops the clock.
	MaxWait Duration `json:"max_wait,omitzero" yaml:"max_wait"`
	// StaleAfter is how long a marker stands untouched before the tick wakes
	// its owner (default 30m).
	StaleAfter Duration `json:"stale_after,omitzero" yaml:"stale_after"`
	// Margin is what a slice keeps of its time to put things in order
	// (default 45s, at most a third of the slice).
	Margin Duration `json:"margin,omitzero" yaml:"margin"`
	// LateOutput is how long output that is not there yet is waited for
	// (default 15m).
	LateOutput Duration `json:"late_output,omitzero" yaml:"late_output"`
	// MemoryBytes and SpillBytes bound what restoring the input order holds
	// in memory and in the temporary folder (defaults 64 MiB and 2 GiB).
	MemoryBytes int64 `json:"memory_bytes,omitzero" yaml:"memory_bytes"`
	SpillBytes  int64 `json:"spill_bytes,omitzero" yaml:"spill_bytes"`
	// MaxCompressedBytes is the largest compressed upload (default 2 GiB):
	// it cannot be continued in the middle, so it must fit one slice.
	MaxCompressedBytes int64 `json:"max_compressed_bytes,omitzero" yaml:"max_compressed_bytes"`
	// MaxParts is the most parts of a submission, retries not counted
	// (default 2000).
	MaxParts int `json:"max_parts,omitzero" yaml:"max_parts"`
	// Parallel is how many small objects are read or written at once (default
	// 16).
	Parallel int `json:"parallel,omitzero" yaml:"parallel"`
	// WorkloadMetrics adds metrics of each workload by its name. Each name
	// costs as much as some ten metrics, and folders without one are named
	// after themselves.
	WorkloadMetrics bool `json:"workload_metrics,omitzero" yaml:"workload_metrics"`
	// Warehouse says that results written as Parquet are put below Warehouse
	// too, where queries find them.
	Warehouse bool `json:"warehouse,omitzero" yaml:"-"`
	// KMSKey encrypts what jobs write, if set (key ARN).
	KMSKey string `json:"kms_key,omitzero" yaml:"-"`
	// JobTags are put on every job, for the account's bills; tags of a
	// workload go over them.
	JobTags map[string]string `json:"job_tags,omitzero" yaml:"-"`
	// OutputOwner is the account (12 digits) that the output bucket belongs
	// to, where it is not the deployment's own.
	OutputOwner string `json:"output_owner,omitzero" yaml:"-"`
	// JobSubnets and JobSecurityGroups are the network that jobs run in, by
	// ids; both or neither.
	JobSubnets        []string `json:"job_subnets,omitzero" yaml:"-"`
	JobSecurityGroups []string `json:"job_security_groups,omitzero" yaml:"-"`
}

// Default is a deployment that chose nothing.
func Default() Settings {
	return Settings{
		Quotas:              Quotas{MinRecords: 100, MaxRecords: 50_000, MaxFileBytes: 1_000_000_000},
		OnDemandConcurrency: 8,
		MaxWait:             Duration(7 * 24 * time.Hour),
		StaleAfter:          Duration(30 * time.Minute),
		Margin:              Duration(45 * time.Second),
		LateOutput:          Duration(15 * time.Minute),
		MemoryBytes:         64 << 20,
		SpillBytes:          2 << 30,
		MaxCompressedBytes:  2 << 30,
		MaxParts:            2000,
		Parallel:            16,
	}
}

// Parse reads BB_SETTINGS over the defaults. An unknown member is an error.
func Parse(text string) (Settings, error) {
	s := Default()
	if strings.TrimSpace(text) == "" {
		return s, nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return Settings{}, fmt.Errorf("%s: %w", EnvSettings, err)
	}
	return s, s.Validate()
}

// Encode writes what differs from the defaults, as Parse reads it. It fails
// if the text is too long for a function's environment.
func (s Settings) Encode() (string, error) {
	if err := s.Validate(); err != nil {
		return "", err
	}
	def := Default()
	v, dv := reflect.ValueOf(&s).Elem(), reflect.ValueOf(def)
	for i := range v.NumField() {
		if reflect.DeepEqual(v.Field(i).Interface(), dv.Field(i).Interface()) {
			v.Field(i).SetZero()
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return "", err
	}
	text := strings.TrimSpace(b.String())
	if len(text) > MaxSettingsBytes {
		return "", fmt.Errorf("settings take %d bytes as %s, the limit is %d: move the default workload into a workload.yaml at the input bucket's root, or list models by prefix", len(text), EnvSettings, MaxSettingsBytes)
	}
	return text, nil
}

// Validate reports everything that is wrong with the settings at once.
func (s Settings) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("settings: "+format, args...))
		}
	}
	quotas := func(name string, q Quotas) {
		check(q.MinRecords >= 1, "%s.min_records is %d, must be at least 1", name, q.MinRecords)
		check(q.MaxRecords >= 2*q.MinRecords, "%s.max_records is %d, must be at least twice min_records (%d)", name, q.MaxRecords, q.MinRecords)
		check(q.MaxFileBytes > 0, "%s.max_file_bytes must be positive", name)
	}
	quotas("quotas", s.Quotas)
	for k := range s.ModelQuotas {
		quotas("model_quotas."+k, s.QuotasFor(k))
	}
	check(s.OnDemandConcurrency >= 1 && s.OnDemandConcurrency <= 256, "on_demand_concurrency is %d, must be 1 to 256", s.OnDemandConcurrency)
	check(s.MaxWait > 0, "max_wait must be positive")
	check(s.StaleAfter > 0, "stale_after must be positive")
	check(s.Margin > 0, "margin must be positive")
	check(s.LateOutput >= 0, "late_output must not be negative")
	check(s.MemoryBytes > 0 && s.SpillBytes > 0, "memory_bytes and spill_bytes must be positive")
	check(s.MaxParts >= 1 && s.MaxParts <= 2000, "max_parts is %d, must be 1 to 2000", s.MaxParts)
	check(s.Parallel >= 1 && s.Parallel <= 256, "parallel is %d, must be 1 to 256", s.Parallel)
	check((len(s.JobSubnets) > 0) == (len(s.JobSecurityGroups) > 0), "job_subnets and job_security_groups: give both or neither")
	check(s.OutputOwner == "" || len(s.OutputOwner) == 12 && strings.Trim(s.OutputOwner, "0123456789") == "", "output_owner is %q, must be the 12 digits of an account", s.OutputOwner)
	check(s.Caps.MaxRecords >= 0 && s.Caps.MaxBytes >= 0 && s.Caps.MaxEstimatedCostUSD >= 0, "caps must not be negative")
	return errors.Join(errs...)
}

// QuotasFor gives the quotas of one model: its own where set, else the
// account's.
func (s Settings) QuotasFor(quotaKey string) Quotas {
	q, own := s.Quotas, s.ModelQuotas[quotaKey]
	if own.MinRecords > 0 {
		q.MinRecords = own.MinRecords
	}
	if own.MaxRecords > 0 {
		q.MaxRecords = own.MaxRecords
	}
	if own.MaxFileBytes > 0 {
		q.MaxFileBytes = own.MaxFileBytes
	}
	return q
}

// Allows reports whether workloads may name this model.
func (s Settings) Allows(modelID string) bool {
	if len(s.Models) == 0 {
		return true
	}
	for _, m := range s.Models {
		if m == modelID || strings.HasSuffix(m, "*") && strings.HasPrefix(modelID, strings.TrimSuffix(m, "*")) {
			return true
		}
	}
	return false
}

// Environment is a function's environment, read.
type Environment struct {
	// Deployment is 8 hex digits; every job name begins with it.
	Deployment string
	// Name is the stack's name, as the metrics' dimension has it.
	Name            string
	InputBucket     string
	OutputBucket    string
	TopicARN        string
	UploadsQueueURL string
	JobsQueueURL    string
	JobRoleARN      string
	LogLevel        string
	Settings        Settings
}

// SubmitEnv and CollectEnv are the names that each function reads.
var (
	SubmitEnv  = []string{EnvDeployment, EnvName, EnvInputBucket, EnvOutputBucket, EnvUploadsQueueURL, EnvJobsQueueURL, EnvJobRoleARN, EnvSettings, EnvLogLevel}
	CollectEnv = []string{EnvDeployment, EnvName, EnvInputBucket, EnvOutputBucket, EnvTopicARN, EnvUploadsQueueURL, EnvJobsQueueURL, EnvSettings, EnvLogLevel}
)

// Read reads the environment variables named, SubmitEnv or CollectEnv, and
// reports all that are missing or wrong at once.
func Read(names []string) (Environment, error) {
	var e Environment
	var errs []error
	for _, name := range names {
		value, set := os.LookupEnv(name)
		if !set || value == "" && name != EnvSettings && name != EnvLogLevel {
			errs = append(errs, fmt.Errorf("environment variable %s is not set", name))
			continue
		}
		switch name {
		case EnvDeployment:
			e.Deployment = value
			if len(value) != 8 || strings.Trim(value, "0123456789abcdef") != "" {
				errs = append(errs, fmt.Errorf("%s is %q, must be 8 hex digits", name, value))
			}
		case EnvName:
			e.Name = value
		case EnvInputBucket:
			e.InputBucket = value
		case EnvOutputBucket:
			e.OutputBucket = value
		case EnvTopicARN:
			e.TopicARN = value
		case EnvUploadsQueueURL:
			e.UploadsQueueURL = value
		case EnvJobsQueueURL:
			e.JobsQueueURL = value
		case EnvJobRoleARN:
			e.JobRoleARN = value
		case EnvLogLevel:
			e.LogLevel = value
		case EnvSettings:
			var err error
			if e.Settings, err = Parse(value); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return e, errors.Join(errs...)
}
