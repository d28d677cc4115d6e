package memory

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// Repeat is what a Create with the name of a job that exists is answered with.
// Which one the service chooses is documented nowhere.
type Repeat int

const (
	// RepeatARN answers with the first job's ARN.
	RepeatARN Repeat = iota
	// RepeatConflict answers "currently in use" as a conflict.
	RepeatConflict
	// RepeatInvalid answers "currently in use" as an invalid request.
	RepeatInvalid
)

// BedrockOptions are a Bedrock's. The zero value is an account with the
// default quotas and no buckets.
type BedrockOptions struct {
	Clock   *Clock
	Account string // default 123456789012
	Region  string // default us-east-1
	// Slots is the number of live jobs per model: 20.
	Slots int
	// MinRecords below which a job fails when it is validated: 100.
	MinRecords int
	// MaxRecords above which a job fails when it is validated: 50,000.
	MaxRecords int
	// Buckets that jobs can read and write.
	Buckets []*Bucket
	Repeat  Repeat
	// Answer gives modelOutput for modelInput, for jobs and on demand:
	// default Reply.
	Answer func(modelID string, how batch.Invocation, modelInput []byte) []byte
}

// Bedrock is batch inference of one account and region. Its jobs stand still
// until a test advances them; Jobs and Model are the ports to it.
type Bedrock struct {
	set BedrockOptions

	mu     sync.Mutex
	jobs   []*job // in order of creation
	asked  []Question
	watch  []func(batch.Job)
	serial int
}

type job struct {
	batch.Job
	spec    batch.JobSpec
	records []record
	held    map[string][]byte // output not visible yet
}

type record struct {
	ID         string          `json:"recordId"`
	ModelInput json.RawMessage `json:"modelInput"`
}

// Question is a request that reached a model on demand. Each was paid for,
// whether its answer arrived or not.
type Question struct {
	At         time.Time
	ModelID    string
	Invocation batch.Invocation
	Input      []byte
}

// NewBedrock makes an account without jobs.
func NewBedrock(set BedrockOptions) *Bedrock {
	set.Clock = orEpoch(set.Clock)
	set.Account = cmp.Or(set.Account, "123456789012")
	set.Region = cmp.Or(set.Region, "us-east-1")
	set.Slots = cmp.Or(set.Slots, 20)
	set.MinRecords = cmp.Or(set.MinRecords, 100)
	set.MaxRecords = cmp.Or(set.MaxRecords, 50_000)
	if set.Answer == nil {
		set.Answer = Reply
	}
	return &Bedrock{set: set}
}

// Watch has f called after every change of a job's status, its creation
// included, as the service sends an event for each.
func (b *Bedrock) Watch(f func(batch.Job)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watch = append(b.watch, f)
}

// SetSlots changes the quota of live jobs per model; a negative one leaves no
// slot at all.
func (b *Bedrock) SetSlots(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set.Slots = n
}

// SetRepeat changes the answer to a repeated Create.
func (b *Bedrock) SetRepeat(r Repeat) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set.Repeat = r
}

// All are the jobs that were ever created, in order of creation.
func (b *Bedrock) All() []batch.Job {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]batch.Job, len(b.jobs))
	for i, j := range b.jobs {
		all[i] = j.Job
	}
	return all
}

// Spec is what a job was created from.
func (b *Bedrock) Spec(arn string) (batch.JobSpec, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if j := b.find(arn); j != nil {
		return j.spec, true
	}
	return batch.JobSpec{}, false
}

// Asked are the requests that reached a model on demand.
func (b *Bedrock) Asked() []Question {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.asked)
}

// Live is the number of a model's jobs that have not ended; all models' if
// modelID is empty.
func (b *Bedrock) Live(modelID string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.live(modelID)
}

func (b *Bedrock) live(modelID string) (n int) {
	for _, j := range b.jobs {
		if !j.Status.Terminal() && (modelID == "" || j.spec.ModelID == modelID) {
			n++
		}
	}
	return n
}

// find is a job by ARN or id. The lock is held.
func (b *Bedrock) find(arn string) *job {
	for _, j := range b.jobs {
		if j.ARN == arn || j.ID() == arn {
			return j
		}
	}
	return nil
}

// Advance moves a job one status on its way: Submitted, Validating, Scheduled,
// InProgress; a job whose input is not right fails instead of being scheduled,
// a stopping one stops with no output. A running or ended job stays as it is:
// End ends it. It returns the status that results.
func (b *Bedrock) Advance(arn string) batch.Status {
	b.mu.Lock()
	j := b.find(arn)
	if j == nil {
		b.mu.Unlock()
		panic("memory: advance of a job that does not exist: " + arn)
	}
	was := j.Status
	switch was {
	case batch.Submitted:
		j.Status = batch.Validating
	case batch.Validating:
		if err := b.validate(j); err != nil {
			b.end(j, batch.Failed, err.Error())
		} else {
			j.Status = batch.Scheduled
			j.Counts = &batch.Counts{Total: int64(len(j.records))}
		}
	case batch.Scheduled:
		j.Status = batch.InProgress
	case batch.Stopping:
		b.end(j, batch.Stopped, "")
	}
	return b.changed(j, was)
}

func (b *Bedrock) end(j *job, status batch.Status, message string) {
	j.Status, j.Message, j.Ended = status, message, b.set.Clock.Now()
}

// changed tells the watchers and gives up the lock.
func (b *Bedrock) changed(j *job, was batch.Status) batch.Status {
	now, watch := j.Job, slices.Clone(b.watch)
	b.mu.Unlock()
	if now.Status != was {
		for _, f := range watch {
			f(now)
		}
	}
	return now.Status
}

// validate reads the input as the service does before it schedules a job.
func (b *Bedrock) validate(j *job) error {
	bucket, key, err := b.locate(j.spec.Input)
	if err != nil {
		return err
	}
	data := bucket.Bytes(key)
	if data == nil {
		return fmt.Errorf("Could not validate GetObject permissions to access Amazon S3 bucket: %s at key %s", bucket.Name(), key)
	}
	j.records = nil
	for line := range bytes.Lines(data) {
		var r record
		if err := json.Unmarshal(line, &r); err != nil || len(r.ModelInput) == 0 || r.ModelInput[0] != '{' {
			return fmt.Errorf("Batch job input line %d is not a record", len(j.records)+1)
		}
		if r.ID == "" {
			r.ID = fmt.Sprintf("GEN%08d", len(j.records)+1)
		}
		j.records = append(j.records, r)
	}
	if n := len(j.records); n < b.set.MinRecords {
		return fmt.Errorf("Batch job contains less records (%d) than the required minimum of: %d", n, b.set.MinRecords)
	} else if n > b.set.MaxRecords {
		return fmt.Errorf("Batch job contains more records (%d) than the allowed maximum of: %d", n, b.set.MaxRecords)
	}
	return nil
}

// locate finds the bucket of an s3 URI.
func (b *Bedrock) locate(uri string) (*Bucket, string, error) {
	name, key, _ := strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
	for _, bucket := range b.set.Buckets {
		if bucket.Name() == name {
			return bucket, key, nil
		}
	}
	return nil, "", fmt.Errorf("Could not validate permissions to access Amazon S3 bucket: %s", name)
}

// Patterns and ranges of the API.
var (
	jobName  = regexp.MustCompile(`^[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9+\-.]){0,63}$`)
	jobToken = regexp.MustCompile(`^[a-zA-Z0-9]{1,256}(-*[a-zA-Z0-9]){0,256}$`)
	s3URI    = regexp.MustCompile(`^s3://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9](?:/[-!_*'().a-z0-9A-Z]+(?:/[-!_*'().a-z0-9A-Z]+)*)?/?$`)
	roleARN  = regexp.MustCompile(`^arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+$`)
)

func check(spec batch.JobSpec) error {
	var wrong []string
	fails := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, what)
		}
	}
	fails(len(spec.Name) <= 63 && jobName.MatchString(spec.Name), "jobName "+spec.Name)
	fails(jobToken.MatchString(spec.Name), "clientRequestToken "+spec.Name)
	fails(spec.ModelID != "", "modelId")
	fails(roleARN.MatchString(spec.RoleARN), "roleArn "+spec.RoleARN)
	fails(len(spec.Input) <= 1024 && s3URI.MatchString(spec.Input), "input s3Uri "+spec.Input)
	fails(len(spec.Output) <= 1024 && s3URI.MatchString(spec.Output), "output s3Uri "+spec.Output)
	fails(spec.TimeoutHours == 0 || spec.TimeoutHours >= 24 && spec.TimeoutHours <= 168, fmt.Sprintf("timeoutDurationInHours %d", spec.TimeoutHours))
	fails(spec.Invocation == batch.Converse || spec.Invocation == batch.InvokeModel, "modelInvocationType "+string(spec.Invocation))
	fails(len(spec.Tags) <= 200, "tags")
	if len(wrong) == 0 {
		return nil
	}
	return &batch.ServiceError{
		Class: batch.ErrInvalid, Code: "ValidationException", Status: 400,
		Message: fmt.Sprintf("%d validation errors detected: %s", len(wrong), strings.Join(wrong, "; ")),
	}
}

// id is a job's id: twelve letters and digits that follow from its number.
func id(serial int) string {
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256(fmt.Appendf(nil, "job %d", serial))
	out := make([]byte, 12)
	for i := range out {
		out[i] = alphabet[int(sum[i])%len(alphabet)]
	}
	return string(out)
}
