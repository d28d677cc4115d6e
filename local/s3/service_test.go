package s3_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/front"
	"github.com/bedrock-batch/bedrock-batch/local/s3"
)

// world is the one S3 of this process (versitygw allows one) with its callers.
type world struct {
	authority *access.Authority
	service   *s3.Service
	endpoint  string
	user      *access.Principal
	reader    *access.Principal // may read in/a/*, nothing else
	writer    *access.Principal // may read and list all of in
	putter    *access.Principal // may write plain, not read it

	mu   sync.Mutex
	sent []map[string]any
}

var shared *world

const queue = "arn:aws:sqs:us-east-1:123456789012:uploads"

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "s3-test-")
	if err != nil {
		panic(err)
	}
	w, err := newWorld(dir)
	if err != nil {
		panic(err)
	}
	shared = w
	code := m.Run()
	if err := w.service.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

const everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"lambda.amazonaws.com"}}]}`
const policy = `{"Version":"2012-10-17","Statement":[
	{"Effect":"Deny","Principal":{"AWS":"*"},"Action":"s3:*","Resource":["arn:aws:s3:::inbox","arn:aws:s3:::inbox/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}},
	{"Effect":"Deny","Principal":"*","Action":["s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::inbox/secret/*"},
	{"Effect":"Allow","Principal":{"Service":"bedrock.amazonaws.com"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::inbox/a/*",
	 "Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"},"ArnLike":{"aws:SourceArn":"arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/*"}}}]}`

func newWorld(dir string) (*world, error) {
	w := &world{authority: access.NewAuthority(access.Config{Log: slog.New(slog.DiscardHandler)})}
	var err error
	if w.user, err = w.authority.AddUser("user", map[string][]byte{"all": []byte(everything)}); err != nil {
		return nil, err
	}
	if w.reader, err = w.authority.AddRole(access.Role{Name: "reader", Trust: []byte(trust), Policies: map[string][]byte{
		"own": []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::inbox/a/*"},
			{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::plain","Condition":{"StringLike":{"s3:prefix":"a/*"}}}]}`),
	}}); err != nil {
		return nil, err
	}
	if w.writer, err = w.authority.AddRole(access.Role{Name: "writer", Trust: []byte(trust), Policies: map[string][]byte{
		"own": []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket","s3:DeleteObject"],"Resource":["arn:aws:s3:::inbox","arn:aws:s3:::inbox/*"]}]}`),
	}}); err != nil {
		return nil, err
	}
	if w.putter, err = w.authority.AddRole(access.Role{Name: "putter", Trust: []byte(trust), Policies: map[string][]byte{
		"own": []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::plain/*"}]}`),
	}}); err != nil {
		return nil, err
	}
	w.service, err = s3.New(s3.Config{Dir: dir, Authority: w.authority, Send: w.send, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	for _, b := range []s3.Bucket{
		{Name: "plain"},
		{Name: "inbox", Versioned: true, Policy: []byte(policy), Notifications: []s3.Notification{{ID: "n", Events: []string{"s3:ObjectCreated:*"}, QueueARN: queue}}},
	} {
		if err := w.service.AddBucket(context.Background(), b); err != nil {
			return nil, err
		}
	}
	w.endpoint = httptest.NewServer(front.New(front.Config{Authority: w.authority, S3: w.service})).URL
	return w, nil
}

func (w *world) send(_ context.Context, as *access.Principal, queueARN string, body []byte) error {
	if as.Service != "s3.amazonaws.com" || as.Context["aws:SourceArn"][0] != "arn:aws:s3:::inbox" || queueARN != queue {
		return fmt.Errorf("sent as %v to %s", as, queueARN)
	}
	var message map[string]any
	if err := json.Unmarshal(body, &message); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, message)
	return nil
}

// events are the records about the key, in the order sent.
func (w *world) events(key string) []event {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []event
	for _, message := range w.sent {
		records, _ := message["Records"].([]any)
		for _, record := range records {
			data, err := json.Marshal(record)
			if err != nil {
				panic(err)
			}
			var e event
			if err := json.Unmarshal(data, &e); err != nil {
				panic(err)
			}
			if e.S3.Object.Key == key {
				out = append(out, e)
			}
		}
	}
	return out
}

type event struct {
	EventName string
	S3        struct {
		Bucket struct{ Name, Arn string }
		Object struct {
			Key, ETag, VersionID, Sequencer string
			Size                            int64
		}
	}
}

func client(p *access.Principal) *awss3.Client {
	return awss3.New(awss3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(shared.endpoint), UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(p.AccessKeyID, p.Secret, ""),
	})
}

func put(t *testing.T, bucket, key, body string) *awss3.PutObjectOutput {
	t.Helper()
	out, err := client(shared.user).PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

func TestOneWriterOfManyWinsAConditionalPut(t *testing.T) {
	put(t, "plain", "race/match", "old")
	old, err := client(shared.user).HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: aws.String("plain"), Key: aws.String("race/match")})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		key  string
		put  awss3.PutObjectInput
	}{
		{"If-None-Match creates once", "race/none", awss3.PutObjectInput{IfNoneMatch: aws.String("*")}},
		{"If-Match replaces once", "race/match", awss3.PutObjectInput{IfMatch: old.ETag}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			results := make(chan error, 32)
			for i := range cap(results) {
				go func() {
					in := c.put
					in.Bucket, in.Key, in.Body = aws.String("plain"), &c.key, strings.NewReader(fmt.Sprint("body ", i))
					_, err := client(shared.user).PutObject(t.Context(), &in)
					results <- err
				}()
			}
			won := 0
			for range cap(results) {
				if err := <-results; err == nil {
					won++
				} else if code(err) != "PreconditionFailed" && code(err) != "ConditionalRequestConflict" {
					t.Error(err)
				}
			}
			if won != 1 {
				t.Errorf("%d writers won, want 1", won)
			}
		})
	}
}

func TestEveryWayToCreateAnObjectIsToldOnceWithItsVersion(t *testing.T) {
	ctx, c := t.Context(), client(shared.user)
	const key, told = "a/way + to%/ü.jsonl", "a/way+%2B+to%25/%C3%BC.jsonl"
	first := put(t, "inbox", key, "one")
	copied, err := c.CopyObject(ctx, &awss3.CopyObjectInput{
		Bucket: aws.String("inbox"), Key: aws.String("a/copy"),
		CopySource: aws.String("inbox/a/way%20%2B%20to%25/%C3%BC.jsonl?versionId=" + *first.VersionId),
	})
	if err != nil {
		t.Fatal(err)
	}
	upload, err := c.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: aws.String("inbox"), Key: aws.String("a/parts")})
	if err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("x"), 5<<20)
	p1, err := c.UploadPart(ctx, &awss3.UploadPartInput{Bucket: aws.String("inbox"), Key: aws.String("a/parts"), UploadId: upload.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(big)})
	if err != nil {
		t.Fatal(err)
	}
	p2, err := c.UploadPartCopy(ctx, &awss3.UploadPartCopyInput{Bucket: aws.String("inbox"), Key: aws.String("a/parts"), UploadId: upload.UploadId, PartNumber: aws.Int32(2), CopySource: aws.String("inbox/a/copy")})
	if err != nil {
		t.Fatal(err)
	}
	joined, err := c.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{
		Bucket: aws.String("inbox"), Key: aws.String("a/parts"), UploadId: upload.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{
			{PartNumber: aws.Int32(1), ETag: p1.ETag, ChecksumCRC32: p1.ChecksumCRC32}, {PartNumber: aws.Int32(2), ETag: p2.CopyPartResult.ETag},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		key, name, version, etag string
		size                     int64
	}{
		{told, "ObjectCreated:Put", *first.VersionId, *first.ETag, 3},
		{"a/copy", "ObjectCreated:Copy", *copied.VersionId, *copied.CopyObjectResult.ETag, 3},
		{"a/parts", "ObjectCreated:CompleteMultipartUpload", *joined.VersionId, *joined.ETag, 5<<20 + 3},
	} {
		got := shared.events(want.key)
		if len(got) != 1 {
			t.Errorf("%s: %d events, want 1", want.key, len(got))
			continue
		}
		o := got[0].S3.Object
		if got[0].EventName != want.name || o.VersionID != want.version || `"`+o.ETag+`"` != want.etag || o.Size != want.size {
			t.Errorf("%s: got %+v, want %+v", want.key, got[0], want)
		}
	}
	if put(t, "inbox", key, "two"); len(shared.events(told)) != 2 || shared.events(told)[0].S3.Object.Sequencer >= shared.events(told)[1].S3.Object.Sequencer {
		t.Errorf("events of two versions: %+v", shared.events(told))
	}
}

func TestFailedPutsTellNothing(t *testing.T) {
	put(t, "inbox", "a/once", "x")
	_, err := client(shared.user).PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("inbox"), Key: aws.String("a/once"), Body: strings.NewReader("y"), IfNoneMatch: aws.String("*")})
	if code(err) != "PreconditionFailed" || len(shared.events("a/once")) != 1 {
		t.Fatalf("got %v and %d events", err, len(shared.events("a/once")))
	}
}

func TestAnEventLeftByACrashGoesOutAtTheNextStart(t *testing.T) {
	out := put(t, "inbox", "a/crashed", "x")
	before := len(shared.events("a/crashed"))
	// What a crash between commit and delivery leaves behind.
	left := filepath.Join(shared.service.Dir(), "events", "left.json")
	if err := os.WriteFile(left, []byte(`{"event":"ObjectCreated:Put","bucket":"inbox","key":"a/crashed","principal":"AWS:user"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	again := s3.Bucket{Name: "inbox", Versioned: true, Policy: []byte(policy), Notifications: []s3.Notification{{ID: "n", Events: []string{"s3:ObjectCreated:*"}, QueueARN: queue}}}
	if err := shared.service.AddBucket(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	got := shared.events("a/crashed")
	if len(got) != before+1 || got[before].S3.Object.VersionID != *out.VersionId {
		t.Fatalf("got %+v", got)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the event is still kept: %v", err)
	}
}

func TestTheTestEventIsSentOnce(t *testing.T) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	n := 0
	for _, message := range shared.sent {
		if message["Event"] == "s3:TestEvent" && message["Bucket"] == "inbox" {
			n++
		}
	}
	if n != 1 {
		t.Fatalf("%d test events, want 1", n)
	}
}

func TestVersionsCanBeReadOneByOne(t *testing.T) {
	ctx, c := t.Context(), client(shared.user)
	one, two := put(t, "inbox", "a/v", "one"), put(t, "inbox", "a/v", "two")
	for _, want := range []struct{ version, body string }{{*one.VersionId, "one"}, {*two.VersionId, "two"}} {
		out, err := c.GetObject(ctx, &awss3.GetObjectInput{Bucket: aws.String("inbox"), Key: aws.String("a/v"), VersionId: &want.version})
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(out.Body); err != nil || string(body) != want.body {
			t.Errorf("version %s: %q, %v", want.version, body, err)
		}
	}
	if _, err := c.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: aws.String("inbox"), Key: aws.String("a/v")}); err != nil {
		t.Fatal(err)
	}
	list, err := c.ListObjectVersions(ctx, &awss3.ListObjectVersionsInput{Bucket: aws.String("inbox"), Prefix: aws.String("a/v")})
	if err != nil || len(list.Versions) != 2 || len(list.DeleteMarkers) != 1 {
		t.Fatalf("%d versions, %d markers, %v", len(list.Versions), len(list.DeleteMarkers), err)
	}
	_, err = c.GetObject(ctx, &awss3.GetObjectInput{Bucket: aws.String("inbox"), Key: aws.String("a/v")})
	if code(err) != "NoSuchKey" {
		t.Fatal(err)
	}
}

func TestListingStopsAtTheDelimiter(t *testing.T) {
	for _, key := range []string{"list/a", "list/b/1", "list/b/2", "list/c/1"} {
		put(t, "plain", key, "x")
	}
	out, err := client(shared.user).ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: aws.String("plain"), Prefix: aws.String("list/"), Delimiter: aws.String("/")})
	if err != nil || len(out.Contents) != 1 || len(out.CommonPrefixes) != 2 {
		t.Fatalf("%+v %v", out, err)
	}
}
