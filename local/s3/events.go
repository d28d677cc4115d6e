package s3

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/auth"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// Notification tells a queue of new objects.
type Notification struct {
	// ID is shown in the event.
	ID string
	// Events are like s3:ObjectCreated:*.
	Events []string
	// QueueARN is where events go.
	QueueARN string
	// Prefix and Suffix limit the keys.
	Prefix, Suffix string
}

var createdEvents = []string{
	"s3:ObjectCreated:*", "s3:ObjectCreated:Put", "s3:ObjectCreated:Post",
	"s3:ObjectCreated:Copy", "s3:ObjectCreated:CompleteMultipartUpload",
}

func (n Notification) check() error {
	for _, e := range n.Events {
		if !slices.Contains(createdEvents, e) {
			return fmt.Errorf("notification %s: event %q is not supported here (%s are)", n.ID, e, strings.Join(createdEvents, ", "))
		}
	}
	if len(n.Events) == 0 || n.QueueARN == "" {
		return fmt.Errorf("notification %s: no event or no queue", n.ID)
	}
	return nil
}

func (n Notification) wants(name, key string) bool {
	return strings.HasPrefix(key, n.Prefix) && strings.HasSuffix(key, n.Suffix) &&
		(slices.Contains(n.Events, "s3:"+name) || slices.Contains(n.Events, "s3:ObjectCreated:*"))
}

// created is what a call made.
type created struct {
	etag, version string
	size          int64 // -1: ask
}

// intent is kept on disk from before an object is committed until its event is
// delivered. What is left of it after a crash makes an event for the key's
// newest version: perhaps a second one, which S3 allows, but never none.
type intent struct {
	Event     string `json:"event"`
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	Principal string `json:"principal"`
	file      string
}

// telling runs a call that creates an object and sends its events. Calls for
// one key run one after the other, so that events come in order of commit.
// Everything kept is copied: the gateway lends its strings for the length of
// the request only.
func (s *Service) telling(ctx context.Context, name, bucketName, key string, call func() (created, error)) error {
	b := s.bucket(bucketName)
	if b == nil || !slices.ContainsFunc(b.Notifications, func(n Notification) bool { return n.wants(name, key) }) {
		_, err := call()
		return err
	}
	in := intent{Event: name, Bucket: b.Name, Key: strings.Clone(key), Principal: "AWS:" + owner}
	if account, ok := ctx.Value("account").(auth.Account); ok {
		if who, ok := s.cfg.Authority.ByAccessKey(account.Access); ok {
			in.Principal = "AWS:" + who.Name
		}
	}
	defer s.keys.lock(in.Bucket + "/" + in.Key)()
	if err := in.keep(s.eventsDir()); err != nil {
		return err
	}
	c, err := call()
	if err != nil {
		if lost := in.forget(); lost != nil {
			s.cfg.Log.Error("event of a failed call not forgotten", "error", lost)
		}
		return err // as it is: the gateway looks at its type
	}
	c.etag, c.version = strings.Clone(c.etag), strings.Clone(c.version)
	// From here on the object is there: its event must go out whether or not
	// the client waits for the answer.
	if err := s.tell(context.WithoutCancel(ctx), b, in, c); err != nil {
		s.cfg.Log.Error("event not delivered; it is kept and sent at the next start", "bucket", in.Bucket, "key", in.Key, "error", err)
	}
	return nil
}

// tell sends one message to each queue that wants the event, then forgets it.
func (s *Service) tell(ctx context.Context, b *bucket, in intent, c created) error {
	if c.size < 0 {
		head := &awss3.HeadObjectInput{Bucket: &in.Bucket, Key: &in.Key}
		if c.version != "" {
			head.VersionId = &c.version
		}
		out, err := s.store.HeadObject(ctx, head)
		if err != nil {
			return fmt.Errorf("size of %s/%s: %w", in.Bucket, in.Key, err)
		}
		c.size = *out.ContentLength
	}
	for _, n := range b.Notifications {
		if !n.wants(in.Event, in.Key) {
			continue
		}
		body, err := json.Marshal(map[string]any{"Records": []any{s.record(n, in, c)}})
		if err != nil {
			return err
		}
		if err := s.cfg.Send(ctx, s.sender(b.Name), n.QueueARN, body); err != nil {
			return fmt.Errorf("send to %s: %w", n.QueueARN, err)
		}
	}
	return in.forget()
}

// sender is S3 itself, acting for the bucket.
func (s *Service) sender(bucketName string) *access.Principal {
	return s.cfg.Authority.AsService("s3.amazonaws.com", "arn:aws:s3:::"+bucketName)
}

// record is one record of an S3 event, version 2.1.
func (s *Service) record(n Notification, in intent, c created) map[string]any {
	now := s.cfg.Clock.Now()
	object := map[string]any{
		"key": encodeKey(in.Key), "size": c.size, "eTag": strings.Trim(c.etag, `"`),
		"sequencer": fmt.Sprintf("%016X", s.stamps.next(now)),
	}
	if c.version != "" {
		object["versionId"] = c.version
	}
	return map[string]any{
		"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": access.Region,
		"eventTime": now.Format("2006-01-02T15:04:05.000Z"), "eventName": in.Event,
		"userIdentity":      map[string]any{"principalId": in.Principal},
		"requestParameters": map[string]any{"sourceIPAddress": "127.0.0.1"},
		"responseElements":  map[string]any{"x-amz-request-id": strings.ToUpper(token()[:16]), "x-amz-id-2": token()},
		"s3": map[string]any{
			"s3SchemaVersion": "1.0", "configurationId": n.ID,
			"bucket": map[string]any{
				"name": in.Bucket, "ownerIdentity": map[string]any{"principalId": "A" + access.Account},
				"arn": "arn:aws:s3:::" + in.Bucket,
			},
			"object": object,
		},
	}
}

// encodeKey writes a key as S3 does in events: form encoding (a space is a
// plus sign) that leaves the slashes.
func encodeKey(key string) string {
	return strings.ReplaceAll(url.QueryEscape(key), "%2F", "/")
}

func (s *Service) eventsDir() string { return filepath.Join(s.cfg.Dir, "events") }

func (i *intent) keep(dir string) error {
	data, err := json.Marshal(i)
	if err != nil {
		return err
	}
	i.file = filepath.Join(dir, token()+".json")
	if err := os.WriteFile(i.file, data, 0o600); err != nil {
		return fmt.Errorf("keep event: %w", err)
	}
	return nil
}

func (i *intent) forget() error {
	if err := os.Remove(i.file); err != nil {
		return fmt.Errorf("forget event: %w", err)
	}
	return nil
}

// startNotifications sends what an earlier run left, and S3's test event once
// per configuration.
func (s *Service) startNotifications(ctx context.Context, b *bucket) error {
	if len(b.Notifications) == 0 {
		return nil
	}
	if s.cfg.Send == nil {
		return fmt.Errorf("s3: bucket %s: it has notifications, and nothing sends them", b.Name)
	}
	if err := s.testEvent(ctx, b); err != nil {
		return fmt.Errorf("s3: bucket %s: test event: %w", b.Name, err)
	}
	files, err := filepath.Glob(filepath.Join(s.eventsDir(), "*.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("s3: undelivered event: %w", err)
		}
		in := intent{file: file}
		if json.Unmarshal(data, &in) != nil {
			// Cut off by the crash before the object was begun.
			if err := in.forget(); err != nil {
				return err
			}
			continue
		}
		if in.Bucket != b.Name {
			continue
		}
		if err := s.tellAgain(ctx, b, in); err != nil {
			return fmt.Errorf("s3: undelivered event of %s/%s: %w", in.Bucket, in.Key, err)
		}
	}
	return nil
}

func (s *Service) tellAgain(ctx context.Context, b *bucket, in intent) error {
	head, err := s.store.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &in.Bucket, Key: &in.Key})
	if code := errorCode(err); code == "NoSuchKey" || code == "MethodNotAllowed" {
		return in.forget() // never committed, or deleted since
	}
	if err != nil {
		return err
	}
	c := created{size: *head.ContentLength}
	if head.ETag != nil {
		c.etag = *head.ETag
	}
	if head.VersionId != nil {
		c.version = *head.VersionId
	}
	return s.tell(ctx, b, in, c)
}

func (s *Service) testEvent(ctx context.Context, b *bucket) error {
	config, err := json.Marshal(b.Notifications)
	if err != nil {
		return err
	}
	mark := filepath.Join(s.eventsDir(), "configured-"+b.Name)
	if old, err := os.ReadFile(mark); err == nil && string(old) == string(config) {
		return nil
	}
	var told []string
	for _, n := range b.Notifications {
		if slices.Contains(told, n.QueueARN) {
			continue
		}
		told = append(told, n.QueueARN)
		body, err := json.Marshal(map[string]string{
			"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": s.cfg.Clock.Now().Format("2006-01-02T15:04:05.000Z"),
			"Bucket": b.Name, "RequestId": strings.ToUpper(token()[:16]), "HostId": token(),
		})
		if err != nil {
			return err
		}
		if err := s.cfg.Send(ctx, s.sender(b.Name), n.QueueARN, body); err != nil {
			return err
		}
	}
	return os.WriteFile(mark, config, 0o600)
}

// sequencer makes numbers that only grow, also over restarts.
type sequencer struct {
	mu   sync.Mutex
	last int64
}

func (q *sequencer) next(now time.Time) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last = max(q.last+1, now.UnixNano())
	return q.last
}

// keyLocks has a lock for each key in use.
type keyLocks struct {
	mu    sync.Mutex
	locks map[string]*keyLock
}

type keyLock struct {
	mu    sync.Mutex
	users int
}

// lock waits for the key and returns what unlocks it.
func (k *keyLocks) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*keyLock{}
	}
	l := k.locks[key]
	if l == nil {
		l = &keyLock{}
		k.locks[key] = l
	}
	l.users++
	k.mu.Unlock()
	l.mu.Lock()
	return func() {
		l.mu.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, key)
		}
	}
}
