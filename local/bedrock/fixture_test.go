package bedrock_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/bedrock"
)

const (
	role  = "arn:aws:iam::123456789012:role/jobs"
	haiku = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
	nova  = "us.amazon.nova-lite-v1:0"
)

// memory is an ObjectStore in memory.
type memory struct {
	mu       sync.Mutex
	objects  map[string][]byte // bucket/key
	denyGet  bool
	denyPut  bool
	noBucket bool
}

func (m *memory) put(bucket, key string, body []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[bucket+"/"+key] = body
}

func (m *memory) get(bucket, key string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.objects[bucket+"/"+key]
}

func (m *memory) keys(prefix string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (m *memory) List(_ context.Context, bucket, prefix string) iter.Seq2[bedrock.Object, error] {
	return func(yield func(bedrock.Object, error) bool) {
		if m.noBucket {
			yield(bedrock.Object{}, bedrock.ErrAbsent)
			return
		}
		for _, key := range m.keys(bucket + "/" + prefix) {
			key = strings.TrimPrefix(key, bucket+"/")
			if !yield(bedrock.Object{Key: key, Size: int64(len(m.get(bucket, key)))}, nil) {
				return
			}
		}
	}
}

func (m *memory) Open(_ context.Context, bucket, key string) (io.ReadCloser, error) {
	if m.denyGet {
		return nil, fmt.Errorf("get: %w", bedrock.ErrDenied)
	}
	return io.NopCloser(bytes.NewReader(m.get(bucket, key))), nil
}

func (m *memory) Put(_ context.Context, bucket, key string, body io.Reader) error {
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	m.put(bucket, key, data)
	return nil
}

func (m *memory) MayPut(context.Context, string, string) error {
	if m.denyPut {
		return fmt.Errorf("put: %w", bedrock.ErrDenied)
	}
	return nil
}

// authority allows all but the named actions on resources with a given part.
type authority struct {
	mu      sync.Mutex
	deny    map[string]string // action: part of the resource
	noTrust bool
	asked   []access.Call
}

func (a *authority) Check(_ context.Context, call access.Call) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, call)
	if part, denied := a.deny[call.Action]; denied && strings.Contains(call.Resource, part) {
		return &access.Denial{Principal: &access.Principal{Name: "caller", Session: "caller"}, Action: call.Action, Resource: call.Resource,
			Why: "because no identity-based policy allows the " + call.Action + " action"}
	}
	return nil
}

func (a *authority) Assume(_ context.Context, service, source, arn string) (*access.Principal, error) {
	if a.noTrust || service != "bedrock.amazonaws.com" || !strings.Contains(source, ":model-invocation-job/") || arn != role {
		return nil, fmt.Errorf("%s may not assume %s", service, arn)
	}
	return &access.Principal{Name: "jobs", ARN: arn}, nil
}

// event is a state change as the bus gets it.
type event struct {
	DetailType string `json:"detail-type"`
	Source     string
	Time       string
	Resources  []string
	Detail     struct {
		BatchJobName, BatchJobArn, BatchModelID, Status, FailureMessage, CreationTime string
	}
}

// bus keeps the events.
type bus struct {
	mu     sync.Mutex
	events []event
}

func (b *bus) Publish(_ context.Context, envelope []byte) error {
	var e event
	if err := json.Unmarshal(envelope, &e); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
	return nil
}

// all are the events so far.
func (b *bus) all() []event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.events)
}

// path is the statuses that a job went through.
func (b *bus) path(name string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var path []string
	for _, e := range b.events {
		if e.Detail.BatchJobName == name {
			path = append(path, e.Detail.Status)
		}
	}
	return path
}

// world is a service with fakes around it.
type world struct {
	t         *testing.T
	change    func(*sdk.CreateModelInvocationJobInput) // of what create asks for; may be nil
	store     *memory
	authority *authority
	bus       *bus
	config    bedrock.Config
	service   *bedrock.Service
	api       *sdk.Client
	runtime   *bedrockruntime.Client
}

// direct hands requests to the service without a network, so that tests can
// run in a bubble of fake time.
type direct struct{ w *world }

func (d direct) Do(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	d.w.service.ServeHTTP(rec, r)
	return rec.Result(), nil
}

func newWorld(t *testing.T, change func(*bedrock.Config)) *world {
	t.Helper()
	w := &world{t: t, store: &memory{objects: map[string][]byte{}}, authority: &authority{}, bus: &bus{}}
	w.config = bedrock.Config{
		Dir: t.TempDir(), Authority: w.authority, Events: w.bus, Seed: 1,
		Objects: func(*access.Principal) bedrock.ObjectStore { return w.store },
		Log:     slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&w.config)
	}
	w.open()
	t.Cleanup(func() { w.service.Close() })
	keys := credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")
	once := aws.NopRetryer{}
	w.api = sdk.New(sdk.Options{Region: "us-east-1", Credentials: keys, HTTPClient: direct{w}, BaseEndpoint: aws.String("http://127.0.0.1"), Retryer: once})
	w.runtime = bedrockruntime.New(bedrockruntime.Options{Region: "us-east-1", Credentials: keys, HTTPClient: direct{w}, BaseEndpoint: aws.String("http://127.0.0.1"), Retryer: once})
	return w
}

func (w *world) open() {
	w.t.Helper()
	service, err := bedrock.New(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.service = service
}

// records makes a Converse input of n records.
func records(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"recordId":"r%010d","modelInput":{"messages":[{"role":"user","content":[{"text":"The kettle number %d broke after a week, I am disappointed."}]}],"inferenceConfig":{"maxTokens":100}}}`+"\n", i+1, i+1)
	}
	return b.Bytes()
}

// spec is a good request.
func spec(name string) *sdk.CreateModelInvocationJobInput {
	return &sdk.CreateModelInvocationJobInput{
		JobName: aws.String(name), RoleArn: aws.String(role), ModelId: aws.String(nova),
		ClientRequestToken: aws.String(name), ModelInvocationType: types.ModelInvocationTypeConverse,
		InputDataConfig: &types.ModelInvocationJobInputDataConfigMemberS3InputDataConfig{
			Value: types.ModelInvocationJobS3InputDataConfig{S3Uri: aws.String("s3://bucket/staged/" + name + "/in/0.jsonl")}},
		OutputDataConfig: &types.ModelInvocationJobOutputDataConfigMemberS3OutputDataConfig{
			Value: types.ModelInvocationJobS3OutputDataConfig{S3Uri: aws.String("s3://bucket/staged/" + name + "/out/")}},
	}
}

func (w *world) create(name string, body []byte) string {
	w.t.Helper()
	w.store.put("bucket", "staged/"+name+"/in/0.jsonl", body)
	q := spec(name)
	if w.change != nil {
		w.change(q)
	}
	out, err := w.api.CreateModelInvocationJob(w.t.Context(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	return *out.JobArn
}

func (w *world) get(arn string) *sdk.GetModelInvocationJobOutput {
	w.t.Helper()
	out, err := w.api.GetModelInvocationJob(w.t.Context(), &sdk.GetModelInvocationJobInput{JobIdentifier: &arn})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// outcome is a line of output.
type outcome struct {
	RecordID    string          `json:"recordId"`
	ModelInput  json.RawMessage `json:"modelInput"`
	ModelOutput json.RawMessage `json:"modelOutput"`
	Error       *struct {
		ErrorCode    int
		ErrorMessage string
	}
}

// output reads the lines and the manifest that a job left.
func (w *world) output(name, arn string) (lines []outcome, manifest map[string]int64) {
	w.t.Helper()
	folder := "staged/" + name + "/out/" + arn[strings.LastIndexByte(arn, '/')+1:] + "/"
	dec := json.NewDecoder(bytes.NewReader(w.store.get("bucket", folder+"0.jsonl.out")))
	for dec.More() {
		var line outcome
		if err := dec.Decode(&line); err != nil {
			w.t.Fatalf("output of %s: %v", name, err)
		}
		lines = append(lines, line)
	}
	if data := w.store.get("bucket", folder+"manifest.json.out"); data != nil {
		if err := json.Unmarshal(data, &manifest); err != nil {
			w.t.Fatal(err)
		}
	}
	return lines, manifest
}
