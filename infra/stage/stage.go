// Package stage is what one copy of the product chooses: one YAML file per
// stage below infra/stages, read strictly, checked whole, and documented by a
// table that is generated from the type.
package stage

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// Settings is one stage. The comments of the members are the documentation
// that docs/settings.md prints.
type Settings struct {
	// Stage is the file's name without its ending. It is part of every name,
	// so that several copies live side by side in one account and region.
	Stage string `yaml:"-"`

	// Name begins the stack's name and the names of what is in it.
	Name string `yaml:"name" doc:"begins every name: the stack is called name-stage. Lower case letters, digits and hyphens; with the stage at most 30 characters"`
	// Models are what workloads may name and what the roles may call.
	Models []string `yaml:"models" doc:"the models that workloads may use and that the roles are allowed to call: model ids, inference profile ids or ARNs; a * at the end allows all that begin so. An application inference profile needs its base model in the list too"`
	// Workload is merged under the workload.yaml files of the input bucket.
	Workload map[string]any `yaml:"workload" doc:"the deployment's default workload, with the keys of workload.yaml; the workload.yaml files of the input bucket are merged over it"`
	// Emails get the final notice of every submission as readable text.
	Emails []string `yaml:"emails" doc:"addresses that get each submission's final notice; each must confirm once"`

	// OperationsEmails get what alarms say.
	OperationsEmails []string `yaml:"operations_emails" doc:"addresses that get what alarms say; each must confirm once. Other receivers subscribe to the topic of the output OperationsTopicArn"`

	// Alarms are the limits of the alarms that a deployment may choose.
	Alarms Alarms `yaml:"alarms" doc:"limits of the alarms"`

	// Architecture of the functions.
	Architecture string `yaml:"architecture" doc:"processor of the functions: arm64 or x86_64; make build builds for the same"`
	// Submit and Collect size the two functions.
	Submit  Function `yaml:"submit" doc:"the function that prepares uploads and starts jobs"`
	Collect Function `yaml:"collect" doc:"the function that gathers answers and publishes notices"`
	// TickMinutes is the period of the schedule that finds what stands still.
	TickMinutes int `yaml:"tick_minutes" doc:"minutes between two looks for what stands still"`
	// LogLevel and LogDays of both functions.
	LogLevel string `yaml:"log_level" doc:"debug, info, warn or error"`
	LogDays  int    `yaml:"log_days" doc:"days that logs are kept, one of the values that CloudWatch Logs knows"`

	// StagedDays, KnownDays, NoncurrentDays: life of what is in the buckets.
	StagedDays     int `yaml:"staged_days" doc:"days after which leftovers below staged/ expire; collect removes them long before"`
	KnownDays      int `yaml:"known_days" doc:"days that answers are remembered for workloads with only_new (docs/only-new.md); counted from when they were paid for"`
	NoncurrentDays int `yaml:"noncurrent_days" doc:"days that overwritten and deleted uploads stay readable; must outlast the longest job"`
	// Removal says what becomes of the buckets with the stack.
	Removal string `yaml:"removal" doc:"retain keeps the buckets when the stack is deleted; destroy deletes them, which fails while they hold objects"`

	// Encryption chooses the key of everything that is stored.
	Encryption string `yaml:"encryption" doc:"managed makes a KMS key for buckets, queues, topic, logs and what jobs write; or the ARN of a key of the same account and region, whose policy must then let s3.amazonaws.com, events.amazonaws.com and cloudwatch.amazonaws.com use kms:Decrypt and kms:GenerateDataKey, logs.REGION.amazonaws.com encrypt the log groups, and IAM policies of the account give access. Keys of the services if empty"`
	// VPC puts the functions into a network.
	VPC VPC `yaml:"vpc" doc:"the functions' network; without it they run in Lambda's own"`
	// Warehouse lays a table over results as Parquet.
	Warehouse Warehouse `yaml:"warehouse" doc:"a table over the results as Parquet"`
	// Output is a bucket of another account in the place of the stack's own.
	Output Output `yaml:"output" doc:"an output bucket of another account"`
	// Tracing turns on X-Ray for the functions.
	Tracing bool `yaml:"tracing" doc:"X-Ray traces of the functions"`
	// AccessLogs is a bucket that gets both buckets' server access logs.
	AccessLogs string `yaml:"access_logs" doc:"name of an existing bucket for the buckets' server access logs; its policy must let logging.s3.amazonaws.com write. None if empty"`
	// PermissionsBoundary is put on every role.
	PermissionsBoundary string `yaml:"permissions_boundary" doc:"ARN of a managed policy that bounds every role of the stack. None if empty"`
	// Tags are put on everything that takes tags.
	Tags map[string]string `yaml:"tags" doc:"tags on everything in the stack and on its batch jobs, such as cost-center; what Bedrock does not take (letters with accents) is left off jobs"`

	// Pipeline is what the functions read as their settings.
	Pipeline config.Settings `yaml:"pipeline" doc:"limits and quotas of the pipeline, below"`
}

// Alarms are limits above which the operations topic is told.
type Alarms struct {
	// WaitingHours is the age of the oldest submission that waits for slots.
	WaitingHours int `yaml:"waiting_hours" doc:"age in hours of a submission that waits for slots, above which the operations topic is told, 1 to 720"`
	// OpenHours is the age of the oldest submission that has not ended.
	OpenHours int `yaml:"open_hours" doc:"age in hours of a submission that has not ended, above which the operations topic is told, 1 to 720; batch jobs alone may take a week"`
	// SpendUSDPerDay is what the tokens of a day may cost.
	SpendUSDPerDay float64 `yaml:"spend_usd_per_day" doc:"estimated cost in USD of the tokens of 24 hours, from which on the operations topic is told; 0 is no alarm. Models without a known price are not counted"`
}

// VPC is a network by the ids of its parts: nothing is looked up.
type VPC struct {
	// Subnets and SecurityGroups are given together or not at all.
	Subnets []string `yaml:"subnets" doc:"ids of the subnets that the functions run in, best in several zones; S3 (gateway), SQS, SNS, Bedrock, Bedrock runtime and CloudWatch Logs must be reachable from there, by endpoints or NAT. None if empty"`
	// SecurityGroups must let HTTPS out.
	SecurityGroups []string `yaml:"security_groups" doc:"ids of the functions' security groups, which must let HTTPS out"`
	// Jobs puts Bedrock's batch jobs there too.
	Jobs bool `yaml:"jobs" doc:"batch jobs too read and write from this network: Bedrock makes network interfaces in it as the role of the jobs. S3 must be reachable"`
}

// Warehouse is a Glue table over the results of workloads that ask for Parquet,
// and an Athena workgroup to query it.
type Warehouse struct {
	Enabled     bool `yaml:"enabled" doc:"puts results as Parquet (a workload's output.parquet) below warehouse/ too, with a Glue database and table over them and an Athena workgroup (docs/warehouse.md)"`
	ScanLimitMB int  `yaml:"scan_limit_mb" doc:"most megabytes that one query may scan, from 10; Athena ends those that scan more. A terabyte costs about 5 USD"`
	Days        int  `yaml:"days" doc:"days that the warehouse keeps results and its table looks back; the results below results/ stay"`
	QueryDays   int  `yaml:"query_days" doc:"days that what queries wrote below queries/ is kept"`
}

// Output is a bucket that exists already and belongs to another account. Both
// members are given together or not at all.
type Output struct {
	Bucket  string `yaml:"bucket" doc:"name of an existing bucket of another account, of the same region, that holds state and results instead of a bucket of the stack. Its owner puts the policy of the stack's output OutputBucketPolicy on it (docs/deploy.md). None if empty"`
	Account string `yaml:"account" doc:"the account that output.bucket belongs to, 12 digits"`
}

// Function sizes one function.
type Function struct {
	// MemoryMB also decides the share of processors: 1769 MB are one.
	MemoryMB int `yaml:"memory_mb" doc:"memory in MB, 128 to 10240; 1769 MB come with one whole processor"`
	// TimeoutSeconds is the length of a slice.
	TimeoutSeconds int `yaml:"timeout_seconds" doc:"longest slice of work in seconds, 60 to 900"`
	// StorageMB is the temporary folder.
	StorageMB int `yaml:"storage_mb" doc:"temporary folder in MB, 512 to 10240"`
	// Concurrency is how many messages are worked on at once.
	Concurrency int `yaml:"concurrency" doc:"messages worked on at once, 2 to 1000"`
}

// Default is a stage whose file chooses nothing but its models.
func Default() Settings {
	return Settings{
		Name:         "bedrock-batch",
		Architecture: "arm64",
		// One whole processor each, which is ten times the memory that they
		// hold: docs/decisions/0007 has the figures behind these.
		Submit:  Function{MemoryMB: 1769, TimeoutSeconds: 900, StorageMB: 512, Concurrency: 10},
		Collect: Function{MemoryMB: 1769, TimeoutSeconds: 900, StorageMB: 4096, Concurrency: 10},
		// A quota full of day-long jobs makes a day of waiting ordinary.
		Alarms:         Alarms{WaitingHours: 48, OpenHours: 120},
		TickMinutes:    5,
		LogLevel:       "info",
		LogDays:        90,
		Warehouse:      Warehouse{ScanLimitMB: 10_000, Days: 1095, QueryDays: 30},
		StagedDays:     90,
		KnownDays:      90,
		NoncurrentDays: 30,
		Removal:        "retain",
		Pipeline:       config.Default(),
	}
}

// Load reads and checks one stage of a folder. Unknown keys are refused with
// file and line; all that is wrong with the values is reported at once.
func Load(folder, name string) (Settings, error) {
	file := filepath.Join(folder, name+".yaml")
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return Settings{}, fmt.Errorf("stage %q: there is no %s; the stages are %s", name, file, strings.Join(stages(folder), ", "))
	}
	if err != nil {
		return Settings{}, fmt.Errorf("stage %q: %w", name, err)
	}
	return Parse(file, name, data)
}

func stages(folder string) []string {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		return []string{"none"}
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".yaml")
	}
	return files
}

// Parse reads a stage's YAML; file is named in errors.
func Parse(file, name string, data []byte) (Settings, error) {
	s := Default()
	d := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := d.Decode(&s); err != nil && len(bytes.TrimSpace(data)) > 0 {
		return Settings{}, fmt.Errorf("%s: %s", file, yaml.FormatError(err, false, true))
	}
	s.Stage = name
	if len(s.Pipeline.Models) > 0 {
		return Settings{}, fmt.Errorf("%s: pipeline.models: the list of models stands at the top, as models, because the roles follow it too", file)
	}
	s.Pipeline.Models = s.Models
	if len(s.Workload) > 0 {
		text, err := json.Marshal(s.Workload)
		if err != nil {
			return Settings{}, fmt.Errorf("%s: workload: %w", file, err)
		}
		if _, err := workload.Parse(file+": workload", text); err != nil {
			return Settings{}, err
		}
		s.Pipeline.Workload = text
	}
	if err := s.Validate(); err != nil {
		return Settings{}, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// Prefix is the name of the stack and the beginning of every name in it.
func (s Settings) Prefix() string { return s.Name + "-" + s.Stage }

// Deployment is the eight hex digits that begin the names of this copy's
// jobs: two copies in one account never match each other's.
func (s Settings) Deployment() string {
	sum := sha256.Sum256([]byte(s.Prefix()))
	return hex.EncodeToString(sum[:4])
}
