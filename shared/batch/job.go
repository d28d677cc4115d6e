package batch

import (
	"context"
	"iter"
	"time"
)

// Status is the status of a job in the API's spelling.
type Status string

// The ten statuses of a model invocation job.
const (
	Submitted          Status = "Submitted"
	Validating         Status = "Validating"
	Scheduled          Status = "Scheduled"
	InProgress         Status = "InProgress"
	Completed          Status = "Completed"
	PartiallyCompleted Status = "PartiallyCompleted"
	Failed             Status = "Failed"
	Stopping           Status = "Stopping"
	Stopped            Status = "Stopped"
	Expired            Status = "Expired"
)

// Terminal reports whether a job in this status never changes again.
func (s Status) Terminal() bool {
	switch s {
	case Completed, PartiallyCompleted, Failed, Stopped, Expired:
		return true
	}
	return false
}

// Invocation is the shape of a record's modelInput.
type Invocation string

const (
	// Converse records hold a Converse request body without modelId.
	Converse Invocation = "Converse"
	// InvokeModel records hold the model's native body.
	InvokeModel Invocation = "InvokeModel"
)

// JobSpec is what a job is created from.
type JobSpec struct {
	// Name matches [a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9\+\-\.]){0,63}, at most 63
	// characters. It is also the client request token, so it ends
	// alphanumeric and holds only letters, digits and hyphens.
	Name       string
	ModelID    string
	RoleARN    string
	Invocation Invocation
	// Input is the s3:// URI of one .jsonl object, Output of a folder that
	// belongs to this job alone.
	Input, Output string
	// TimeoutHours is 24 to 168; 0 leaves the service's default.
	TimeoutHours int
	Tags         map[string]string
	// InputOwner and OutputOwner are account ids for buckets of another
	// account; KMSKey encrypts the output. All optional.
	InputOwner, OutputOwner, KMSKey string
	// Subnets (1 to 16 ids) and SecurityGroups (1 to 5 ids) are the network
	// that the job reads and writes from; both or neither.
	Subnets, SecurityGroups []string
}

// Counts are the record counts of a job. A running job's lag by up to a
// minute; all are 0 before processing starts and for a job that failed
// validation.
type Counts struct {
	Total     int64 `json:"total"`
	Processed int64 `json:"processed"`
	Success   int64 `json:"success"`
	Error     int64 `json:"error"`
}

// Job is a model invocation job as the service reports it.
type Job struct {
	ARN        string
	Name       string
	Token      string
	ModelID    string // may come back as an ARN
	Status     Status
	Message    string // the service's failure text
	Invocation Invocation
	Input      string
	Output     string
	Counts     *Counts // nil: not reported
	Submitted  time.Time
	Ended      time.Time // zero while it runs
	Expires    time.Time
}

// ID is the last segment of the job's ARN; it names the job's output folder.
func (j Job) ID() string { return lastSegment(j.ARN) }

func lastSegment(arn string) string {
	for i := len(arn) - 1; i >= 0; i-- {
		if arn[i] == '/' {
			return arn[i+1:]
		}
	}
	return arn
}

// JobFilter narrows a listing. The zero value lists all.
type JobFilter struct {
	// NameContains is a substring, not a prefix.
	NameContains  string
	Status        Status
	SubmittedFrom time.Time
	SubmittedTo   time.Time
	NewestFirst   bool
}

// Jobs is the control plane of batch inference.
type Jobs interface {
	// Create starts a job and returns its ARN. Repeating a call with the
	// same name is safe: it starts nothing a second time and answers with
	// the first job's ARN or with ErrInUse. ErrQuota: no slot is free.
	// ErrUnavailable: the job may or may not have been created.
	Create(ctx context.Context, spec JobSpec) (arn string, err error)
	// Get reads a job by ARN or id. ErrNotFound if there is none.
	Get(ctx context.Context, arn string) (Job, error)
	// List yields the jobs of the account that match, paging as it goes. An
	// error ends the sequence.
	List(ctx context.Context, filter JobFilter) iter.Seq2[Job, error]
	// Stop asks a job to stop. It may be called twice; a job that has ended
	// already is ErrConflict.
	Stop(ctx context.Context, arn string) error
}

// Model answers single requests, on demand.
type Model interface {
	// Answer sends one record's modelInput to the model and returns the body
	// in the shape that a job would write as modelOutput. It is not
	// idempotent: each call that reaches the model is paid. ErrInvalid and
	// ErrAccess belong to the record or the settings, Passing errors do not.
	Answer(ctx context.Context, modelID string, how Invocation, modelInput []byte) (modelOutput []byte, err error)
}

// Models tells what is behind identifiers that do not say it themselves.
type Models interface {
	// BaseModel is the ARN or id of the base model behind an application
	// inference profile or a custom model. It only reads and may be called
	// any number of times. ErrNotFound where there is no such profile or
	// model, ErrAccess where the caller may not look.
	BaseModel(ctx context.Context, id string) (string, error)
}
