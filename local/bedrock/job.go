package bedrock

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// Status is the status of a job in the API's spelling.
type Status string

// The statuses.
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

// next is every move there is.
var next = map[Status][]Status{
	Submitted:  {Validating, Stopping},
	Validating: {Scheduled, Failed, Stopping},
	Scheduled:  {InProgress, Expired, Stopping},
	InProgress: {Completed, PartiallyCompleted, Failed, Stopping},
	Stopping:   {Stopped},
}

// terminal reports whether nothing follows.
func (s Status) terminal() bool { return len(next[s]) == 0 }

// s3Data is one side of a job's data.
type s3Data struct {
	URI    string `json:"s3Uri"`
	Format string `json:"s3InputFormat,omitempty"`
	Owner  string `json:"s3BucketOwner,omitempty"`
	Key    string `json:"s3EncryptionKeyId,omitempty"`
}

type inputData struct {
	S3 *s3Data `json:"s3InputDataConfig"`
}

type outputData struct {
	S3 *s3Data `json:"s3OutputDataConfig"`
}

type vpc struct {
	SubnetIDs        []string `json:"subnetIds"`
	SecurityGroupIDs []string `json:"securityGroupIds"`
}

type tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// detail is what Get and List show.
type detail struct {
	ARN        string     `json:"jobArn"`
	Name       string     `json:"jobName"`
	ModelID    string     `json:"modelId"`
	Token      string     `json:"clientRequestToken"`
	RoleARN    string     `json:"roleArn"`
	Status     Status     `json:"status"`
	Message    string     `json:"message,omitempty"`
	Submitted  stamp      `json:"submitTime"`
	Modified   stamp      `json:"lastModifiedTime"`
	Ended      stamp      `json:"endTime,omitzero"`
	Input      inputData  `json:"inputDataConfig"`
	Output     outputData `json:"outputDataConfig"`
	VPC        *vpc       `json:"vpcConfig,omitempty"`
	Timeout    int        `json:"timeoutDurationInHours"`
	Expires    stamp      `json:"jobExpirationTime"`
	Invocation string     `json:"modelInvocationType"`
	Total      int64      `json:"totalRecordCount"`
	Processed  int64      `json:"processedRecordCount"`
	Success    int64      `json:"successRecordCount"`
	Errors     int64      `json:"errorRecordCount"`
}

// stamp is a time as the API writes it.
type stamp struct{ time.Time }

// MarshalJSON writes milliseconds and Z.
func (t stamp) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format("2006-01-02T15:04:05.000Z") + `"`), nil
}

// UnmarshalJSON reads RFC 3339.
func (t *stamp) UnmarshalJSON(b []byte) error {
	parsed, err := time.Parse(time.RFC3339, strings.Trim(string(b), `"`))
	t.Time = parsed
	return err
}

// job is a job as it is kept. Its members are guarded by Service.mu.
type job struct {
	ID     string `json:"id"`
	Detail detail `json:"detail"`
	// Request is a fingerprint of what was asked for, to tell a repeated token
	// from a reused one.
	Request string `json:"request"`
	// QuotaKey is the base model that the job takes a slot of.
	QuotaKey string `json:"quotaKey"`
	// BaseModel and Custom say what answers.
	BaseModel string            `json:"baseModel"`
	Resources []string          `json:"resources"` // what the role needs InvokeModel on
	Tags      map[string]string `json:"tags,omitempty"`
	// Records is what validation counted.
	Records int64 `json:"records"`
	// Order sorts jobs of the same millisecond.
	Order int `json:"order"`

	// stop ends the work that the job is at, for a stop by hand.
	stop context.CancelFunc
}

// load reads the jobs that are kept and goes on with the live ones.
func (s *Service) load() error {
	if err := os.MkdirAll(s.cfg.Dir, 0o755); err != nil {
		return fmt.Errorf("bedrock: make the folder of jobs: %w", err)
	}
	entries, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("bedrock: read the folder of jobs: %w", err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		path := filepath.Join(s.cfg.Dir, e.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("bedrock: read a job: %w", err)
		}
		j := new(job)
		if err := json.Unmarshal(data, j); err != nil {
			return fmt.Errorf("bedrock: read the job %s: %w", path, err)
		}
		s.remember(j)
	}
	for _, j := range s.jobs {
		if !j.Detail.Status.terminal() {
			s.arm(j)()
		}
	}
	return nil
}

func (s *Service) remember(j *job) {
	s.jobs[j.ID], s.names[j.Detail.Name], s.tokens[j.Detail.Token] = j, j, j
}

// save keeps a job; the caller holds s.mu.
func (s *Service) save(j *job) error {
	data, err := json.Marshal(j, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("bedrock: keep job %s: %w", j.ID, err)
	}
	path := filepath.Join(s.cfg.Dir, j.ID+".json")
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		return fmt.Errorf("bedrock: keep job %s: %w", j.ID, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("bedrock: keep job %s: %w", j.ID, err)
	}
	return nil
}

// find resolves a job identifier: the id or the whole ARN.
func (s *Service) find(identifier string) (*job, error) {
	if !jobIdentifier.MatchString(identifier) {
		return nil, invalid("1 validation error detected: Value '%s' at 'jobIdentifier' failed to satisfy constraint: Member must satisfy regular expression pattern: %s", identifier, jobIdentifier)
	}
	id := identifier[strings.LastIndexByte(identifier, '/')+1:]
	j, ok := s.jobs[id]
	if !ok || identifier != id && identifier != j.Detail.ARN {
		return nil, absent("Could not find the model invocation job %s.", identifier)
	}
	return j, nil
}

// getJob is GetModelInvocationJob.
func (s *Service) getJob(ctx context.Context, _ *http.Request, id string, _ []byte) (any, error) {
	if err := s.allow(ctx, "bedrock:GetModelInvocationJob", jobARN(id), nil); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j, err := s.find(id)
	if err != nil {
		return nil, err
	}
	return j.Detail, nil
}

// stopJob is StopModelInvocationJob.
func (s *Service) stopJob(ctx context.Context, _ *http.Request, id string, _ []byte) (any, error) {
	if err := s.allow(ctx, "bedrock:StopModelInvocationJob", jobARN(id), nil); err != nil {
		return nil, err
	}
	s.mu.Lock()
	j, err := s.find(id)
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	status := j.Detail.Status
	s.mu.Unlock()
	switch {
	case status.terminal():
		return nil, conflict("The job %s has ended with the status %s and cannot be stopped.", id, status)
	case status == Stopping:
		return nil, nil
	}
	if err := s.halt(j); err != nil {
		return nil, err
	}
	return nil, nil
}

// jobARN is the ARN of an id, or the ARN that it is.
func jobARN(identifier string) string {
	if strings.HasPrefix(identifier, "arn:") {
		return identifier
	}
	return "arn:aws:bedrock:" + access.Region + ":" + access.Account + ":model-invocation-job/" + identifier
}
