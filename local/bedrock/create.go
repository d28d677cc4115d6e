package bedrock

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// The patterns of the API's model.
var (
	jobName       = regexp.MustCompile(`^[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9\+\-\.]){0,63}$`)
	roleARN       = regexp.MustCompile(`^arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+$`)
	modelID       = regexp.MustCompile(`^((arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{0,20}:(([0-9]{12})?:foundation-model/|[0-9]{12}:(inference-profile|application-inference-profile|custom-model)/)[a-zA-Z0-9./:_-]+)|[a-zA-Z0-9][a-zA-Z0-9.:_-]*)$`)
	s3URI         = regexp.MustCompile(`^s3://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9](?:/[-!_*'().a-z0-9A-Z]+(?:/[-!_*'().a-z0-9A-Z]+)*)?/?$`)
	requestToken  = regexp.MustCompile(`^[a-zA-Z0-9]{1,256}(-*[a-zA-Z0-9]){0,256}$`)
	accountID     = regexp.MustCompile(`^[0-9]{12}$`)
	kmsKey        = regexp.MustCompile(`^(arn:aws(-[^:]+)?:kms:[a-zA-Z0-9-]*:[0-9]{12}:((key/[a-zA-Z0-9-]{36})|(alias/[a-zA-Z0-9-_/]+))|[a-zA-Z0-9-]{36}|alias/[a-zA-Z0-9-_/]+)$`)
	tagText       = regexp.MustCompile(`^[a-zA-Z0-9\s._:/=+@-]*$`)
	vpcID         = regexp.MustCompile(`^[-0-9a-zA-Z]+$`)
	jobIdentifier = regexp.MustCompile(`^((arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:model-invocation-job/)?[a-z0-9]{12})$`)
)

// createRequest is the body of CreateModelInvocationJob.
type createRequest struct {
	Name       *string     `json:"jobName"`
	RoleARN    *string     `json:"roleArn"`
	ModelID    *string     `json:"modelId"`
	Token      *string     `json:"clientRequestToken,omitempty"`
	Input      *inputData  `json:"inputDataConfig"`
	Output     *outputData `json:"outputDataConfig"`
	VPC        *vpc        `json:"vpcConfig,omitempty"`
	Timeout    *int        `json:"timeoutDurationInHours,omitempty"`
	Tags       []tag       `json:"tags,omitempty"`
	Invocation *string     `json:"modelInvocationType,omitempty"`
}

// constraints collects what is wrong with a request, worded as the API's
// front door does.
type constraints struct{ found []string }

func (c *constraints) add(value, member, rule string) {
	if utf8.RuneCountInString(value) > 200 {
		value = string([]rune(value)[:200]) + "..."
	}
	c.found = append(c.found, fmt.Sprintf("Value '%s' at '%s' failed to satisfy constraint: %s", value, member, rule))
}

func (c *constraints) err() error {
	if len(c.found) == 0 {
		return nil
	}
	noun := "errors"
	if len(c.found) == 1 {
		noun = "error"
	}
	return invalid("%d validation %s detected: %s", len(c.found), noun, strings.Join(c.found, "; "))
}

// text checks a string member; nil stands for absent.
func (c *constraints) text(value *string, member string, required bool, limit int, pattern *regexp.Regexp) {
	switch {
	case value == nil && required:
		c.add("null", member, "Member must not be null")
	case value == nil:
	case len(*value) > limit:
		c.add(*value, member, fmt.Sprintf("Member must have length less than or equal to %d", limit))
	case *value == "" && limit > 0 && pattern != tagText:
		c.add("", member, "Member must have length greater than or equal to 1")
	case !pattern.MatchString(*value):
		c.add(*value, member, "Member must satisfy regular expression pattern: "+strings.Trim(pattern.String(), "^$"))
	}
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (c *constraints) side(d *s3Data, member string) {
	if d == nil {
		c.add("null", member, "Member must not be null")
		return
	}
	c.text(optional(d.URI), member+".s3Uri", true, 1024, s3URI)
	c.text(optional(d.Owner), member+".s3BucketOwner", false, 12, accountID)
	c.text(optional(d.Key), member+".s3EncryptionKeyId", false, 2048, kmsKey)
	if d.Format != "" && d.Format != "JSONL" {
		c.add(d.Format, member+".s3InputFormat", "Member must satisfy enum value set: [JSONL]")
	}
}

func (c *constraints) tags(tags []tag, member string) {
	if len(tags) > 200 {
		c.add(fmt.Sprint(len(tags), " items"), member, "Member must have length less than or equal to 200")
	}
	for i, t := range tags {
		at := fmt.Sprintf("%s.%d.member", member, i+1)
		if t.Key == "" {
			c.add("", at+".key", "Member must have length greater than or equal to 1")
		}
		c.text(&t.Key, at+".key", true, 128, tagText)
		c.text(&t.Value, at+".value", true, 256, tagText)
	}
}

// check holds a request against the API's patterns and ranges.
func (q *createRequest) check() error {
	var c constraints
	c.text(q.Name, "jobName", true, 63, jobName)
	c.text(q.RoleARN, "roleArn", true, 2048, roleARN)
	c.text(q.ModelID, "modelId", true, 2048, modelID)
	c.text(q.Token, "clientRequestToken", false, 256, requestToken)
	if q.Input == nil {
		c.add("null", "inputDataConfig", "Member must not be null")
	} else {
		c.side(q.Input.S3, "inputDataConfig.s3InputDataConfig")
	}
	if q.Output == nil {
		c.add("null", "outputDataConfig", "Member must not be null")
	} else {
		c.side(q.Output.S3, "outputDataConfig.s3OutputDataConfig")
	}
	if t := q.Timeout; t != nil && *t < 24 {
		c.add(fmt.Sprint(*t), "timeoutDurationInHours", "Member must have value greater than or equal to 24")
	} else if t != nil && *t > 168 {
		c.add(fmt.Sprint(*t), "timeoutDurationInHours", "Member must have value less than or equal to 168")
	}
	if v := q.Invocation; v != nil && *v != "InvokeModel" && *v != "Converse" {
		c.add(*v, "modelInvocationType", "Member must satisfy enum value set: [InvokeModel, Converse]")
	}
	if v := q.VPC; v != nil {
		c.vpc(v.SubnetIDs, "vpcConfig.subnetIds", 16)
		c.vpc(v.SecurityGroupIDs, "vpcConfig.securityGroupIds", 5)
	}
	c.tags(q.Tags, "tags")
	return c.err()
}

func (c *constraints) vpc(ids []string, member string, limit int) {
	if len(ids) < 1 || len(ids) > limit {
		c.add(fmt.Sprint(ids), member, fmt.Sprintf("Member must have length between 1 and %d", limit))
	}
	for _, id := range ids {
		c.text(&id, member, true, 32, vpcID)
	}
}

// decode reads a request body; members that the API does not know are refused
// by name, so that a client's mistake does not pass in silence.
func decode(body []byte, into any) error {
	if len(body) == 0 {
		body = []byte("{}")
	}
	if err := json.Unmarshal(body, into, json.RejectUnknownMembers(true)); err != nil {
		return access.Errorf("SerializationException", "The request body cannot be read: %v", err)
	}
	return nil
}

// createJob is CreateModelInvocationJob.
func (s *Service) createJob(ctx context.Context, _ *http.Request, _ string, body []byte) (any, error) {
	var q createRequest
	if err := decode(body, &q); err != nil {
		return nil, err
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	if q.Token == nil {
		q.Token = optional(requestID())
	}
	t, err := s.resolve(*q.ModelID)
	if err != nil {
		return nil, err
	}
	id := s.newID(*q.Name, *q.Token)
	if err := s.allowCreate(ctx, &q, t, id); err != nil {
		return nil, err
	}
	if !t.base.Batch {
		return nil, invalid("The model %s does not support batch inference.", *q.ModelID)
	}
	if q.Invocation != nil && *q.Invocation == "Converse" && t.base.Embeds() {
		return nil, invalid("The model %s does not support the model invocation type Converse.", *q.ModelID)
	}
	fingerprint, err := q.fingerprint()
	if err != nil {
		return nil, err
	}

	shown, start, err := s.admit(&q, t, id, fingerprint)
	if err != nil {
		return nil, err
	}
	if start != nil {
		err = s.tell(shown)
		start()
	}
	return map[string]string{"jobArn": shown.ARN}, err
}

// admit takes a job in; start is nil where it was there already, by its token.
func (s *Service) admit(q *createRequest, t target, id, fingerprint string) (shown detail, start func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return detail{}, nil, &access.APIError{Code: "ServiceUnavailableException", Status: http.StatusServiceUnavailable, Message: "The service is stopping."}
	}
	if j, used := s.tokens[*q.Token]; used {
		if j.Request != fingerprint {
			return detail{}, nil, conflict("The client request token %s was used with other parameters.", *q.Token)
		}
		return j.Detail, nil, nil
	}
	if _, used := s.names[*q.Name]; used {
		// AWS does not say which error this is; clients have to bear both.
		message := fmt.Sprintf("The provided job name is currently in use: %s. Provide a different job name.", *q.Name)
		if s.hash("clash", *q.Name)%2 == 0 {
			return detail{}, nil, conflict("%s", message)
		}
		return detail{}, nil, invalid("%s", message)
	}
	live := 0
	for _, j := range s.jobs {
		if j.QuotaKey == t.quotaKey && !j.Detail.Status.terminal() {
			live++
		}
	}
	if limit := min(s.cfg.Slots, t.slots); live >= limit {
		return detail{}, nil, overQuota("Your account has reached the quota of %d in-progress and submitted batch inference jobs for the model %s. Wait until a job has ended, or request a quota increase.", limit, t.base.ID)
	}
	j := s.newJob(q, t, id, fingerprint)
	if err := s.save(j); err != nil {
		return detail{}, nil, err
	}
	s.remember(j)
	return j.Detail, s.arm(j), nil
}

// allowCreate checks the caller's rights: on the job, on what the model id
// names, on handing over the role, and on tagging.
func (s *Service) allowCreate(ctx context.Context, q *createRequest, t target, id string) error {
	conditions := map[string][]string{}
	for _, tag := range q.Tags {
		conditions["aws:RequestTag/"+tag.Key] = []string{tag.Value}
		conditions["aws:TagKeys"] = append(conditions["aws:TagKeys"], tag.Key)
	}
	for _, resource := range append([]string{jobARN(id), t.arn}, t.behind...) {
		if err := s.allow(ctx, "bedrock:CreateModelInvocationJob", resource, conditions); err != nil {
			return err
		}
	}
	if len(q.Tags) > 0 {
		if err := s.allow(ctx, "bedrock:TagResource", jobARN(id), conditions); err != nil {
			return err
		}
	}
	return s.allow(ctx, "iam:PassRole", *q.RoleARN, map[string][]string{"iam:PassedToService": {"bedrock.amazonaws.com"}})
}

// fingerprint is the same for the same request, whatever its token.
func (q *createRequest) fingerprint() (string, error) {
	plain := *q
	plain.Token = nil
	data, err := json.Marshal(plain, json.Deterministic(true))
	if err != nil {
		return "", fmt.Errorf("fingerprint the request: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// newID makes the 12 characters of a job's id from the seed, the name and the
// token, so that a replay has the same ids.
func (s *Service) newID(name, token string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%x/%s/%s", s.cfg.Seed, name, token))
	id := new(big.Int).SetBytes(sum[:]).Text(36)
	return id[:12]
}

func (s *Service) newJob(q *createRequest, t target, id, fingerprint string) *job {
	now := s.cfg.Clock.Now()
	hours, invocation := 24, "InvokeModel"
	if q.Timeout != nil {
		hours = *q.Timeout
	}
	if q.Invocation != nil {
		invocation = *q.Invocation
	}
	tags := map[string]string{}
	for _, t := range q.Tags {
		tags[t.Key] = t.Value
	}
	return &job{
		ID: id, Request: fingerprint, QuotaKey: t.quotaKey,
		BaseModel: t.base.ID, Resources: t.invoke, Tags: tags, Order: len(s.jobs),
		Detail: detail{
			ARN: jobARN(id), Name: *q.Name, ModelID: t.arn, Token: *q.Token, RoleARN: *q.RoleARN,
			Status: Submitted, Submitted: stamp{now}, Modified: stamp{now},
			Input: *q.Input, Output: *q.Output, VPC: q.VPC, Timeout: hours, Invocation: invocation,
			Expires: stamp{now.Add(s.cfg.Clock.Short(time.Duration(hours) * time.Hour))},
		},
	}
}

// tagRequest is the body of the three tag operations.
type tagRequest struct {
	ARN  string   `json:"resourceARN"`
	Tags []tag    `json:"tags,omitempty"`
	Keys []string `json:"tagKeys,omitempty"`
}

// tagged runs one of the tag operations on a job.
func (s *Service) tagged(ctx context.Context, body []byte, action string, do func(*tagRequest, *job) (any, error)) (any, error) {
	var q tagRequest
	if err := decode(body, &q); err != nil {
		return nil, err
	}
	if err := s.allow(ctx, action, q.ARN, nil); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j, err := s.find(q.ARN)
	if err != nil {
		return nil, err
	}
	return do(&q, j)
}

func (s *Service) tagResource(ctx context.Context, _ *http.Request, _ string, body []byte) (any, error) {
	return s.tagged(ctx, body, "bedrock:TagResource", func(q *tagRequest, j *job) (any, error) {
		var c constraints
		if c.tags(q.Tags, "tags"); c.err() != nil {
			return nil, c.err()
		}
		if j.Tags == nil {
			j.Tags = map[string]string{}
		}
		for _, t := range q.Tags {
			j.Tags[t.Key] = t.Value
		}
		return nil, s.save(j)
	})
}

func (s *Service) untagResource(ctx context.Context, _ *http.Request, _ string, body []byte) (any, error) {
	return s.tagged(ctx, body, "bedrock:UntagResource", func(q *tagRequest, j *job) (any, error) {
		for _, key := range q.Keys {
			delete(j.Tags, key)
		}
		return nil, s.save(j)
	})
}

func (s *Service) listTags(ctx context.Context, _ *http.Request, _ string, body []byte) (any, error) {
	return s.tagged(ctx, body, "bedrock:ListTagsForResource", func(_ *tagRequest, j *job) (any, error) {
		tags := []tag{}
		for key, value := range j.Tags {
			tags = append(tags, tag{key, value})
		}
		slices.SortFunc(tags, func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
		return map[string]any{"tags": tags}, nil
	})
}
