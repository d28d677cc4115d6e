// Package s3 is the S3 of one machine: versitygw over a POSIX folder, behind a
// socket, with the rights of access.Authority and with event notifications
// told by the calls that commit an object.
//
// The file system sets two limits that AWS does not have: a part of a key
// between slashes has at most 255 bytes, and no key can be the folder of
// another. Keys that a file system would read as another key (empty, "." and
// ".." parts) or that hold control characters are refused.
package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"sync"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3err"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/clock"
)

// Send delivers a message to a queue as the given principal.
type Send func(ctx context.Context, as *access.Principal, queueARN string, body []byte) error

// Config is what the service needs.
type Config struct {
	// Dir is where objects, versions and undelivered events are kept.
	Dir string
	// Authority decides on every call.
	Authority *access.Authority
	// Send delivers notifications; needed by buckets that have some.
	Send Send
	// Slow is added to each call; 0 is as fast as the disk.
	Slow time.Duration
	// Clock divides Slow; default real time.
	Clock *clock.Clock
	// Log receives what went wrong; default slog.Default().
	Log *slog.Logger
}

// Bucket describes a bucket to serve.
type Bucket struct {
	Name string
	// Versioned keeps all versions of an object.
	Versioned bool
	// Policy is the bucket policy, or empty.
	Policy []byte
	// Notifications tell queues of new objects.
	Notifications []Notification
}

// Service is the running S3.
type Service struct {
	cfg     Config
	store   *posix.Posix
	proxy   *httputil.ReverseProxy
	socket  string
	keys    keyLocks
	stamps  sequencer
	cancel  context.CancelFunc
	stopped chan error

	mu      sync.RWMutex
	buckets map[string]*bucket
}

type bucket struct {
	Bucket
	policy  *access.Policy
	folders folders
}

// New starts the service. One can run in a process at a time, the process's
// working directory changes to the data folder, and some lines are printed to
// standard output: all traits of versitygw.
func New(cfg Config) (*Service, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.Real()
	}
	s := &Service{cfg: cfg, buckets: map[string]*bucket{}, stopped: make(chan error, 1)}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("s3: folder %s: %w", cfg.Dir, err)
	}
	s.cfg.Dir = dir
	if s.store, err = openStore(dir); err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	// A socket's path has about 100 bytes at most, so it cannot lie in Dir. One
	// name for each Dir: what a killed process leaves is found again.
	name := sha256.Sum256([]byte(dir))
	sockets := filepath.Join(os.TempDir(), "s3-"+hex.EncodeToString(name[:6]))
	if err := errors.Join(os.RemoveAll(sockets), os.Mkdir(sockets, 0o700)); err != nil {
		return nil, fmt.Errorf("s3: folder of the socket: %w", err)
	}
	s.socket = filepath.Join(sockets, "s")
	if err := s.listen(); err != nil {
		return nil, errors.Join(fmt.Errorf("s3: %w", err), os.RemoveAll(sockets))
	}
	s.proxy = newProxy(s.socket)
	return s, nil
}

func openStore(dir string) (*posix.Posix, error) {
	// Neither name may begin with the other's.
	objects, versions, attributes := filepath.Join(dir, "objects"), filepath.Join(dir, "versions"), filepath.Join(dir, "attributes")
	for _, d := range []string{objects, versions, attributes, filepath.Join(dir, "events")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	opts := posix.PosixOpts{
		VersioningDir: versions,
		// Unset it would be 0, and every copy refused.
		CopyObjectThreshold: 5 << 30,
		Concurrency:         256,
	}
	var attrs meta.MetadataStorer = meta.XattrMeta{}
	if err := (meta.XattrMeta{}).Test(objects); err != nil {
		side, err := meta.NewSideCar(attributes)
		if err != nil {
			return nil, err
		}
		attrs, opts.SideCarDir = side, attributes
	}
	return posix.New(objects, attrs, opts)
}

// listen runs the gateway and returns once it listens.
func (s *Service) listen() error {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	ready := make(chan struct{})
	// Nobody holds the root key: it would pass all policies by.
	root, secret := "ROOT"+token(), token()
	cfg := &embedgw.Config{
		RootUserAccess: root, RootUserSecret: secret, Region: access.Region,
		Ports: []string{s.socket}, SocketPerm: "0600",
		// The admin interface shall not be reachable among the S3 calls.
		AdminPorts:     []string{filepath.Join(filepath.Dir(s.socket), "a")},
		MaxConnections: 4096, MaxRequests: 4096, AdminMaxConnections: 1, AdminMaxRequests: 1,
		MultipartMaxParts: 10000, DisableACLs: true, KeepAlive: true, Quiet: true,
		IAMService: principals{authority: s.cfg.Authority, policy: s.policy},
		S3Options:  []s3api.Option{s3api.WithOnListen(func() { close(ready) })},
	}
	go func() {
		s.stopped <- embedgw.RunVersityGW(ctx, &objects{Posix: s.store, service: s}, cfg)
	}()
	select {
	case <-ready:
		return nil
	case err := <-s.stopped:
		s.stopped <- err
		return fmt.Errorf("start versitygw: %w", err)
	case <-time.After(30 * time.Second):
		cancel()
		return errors.New("start versitygw: it does not listen after 30 s")
	}
}

// Dir is the absolute path of the folder that keeps everything.
func (s *Service) Dir() string { return s.cfg.Dir }

// Close ends the service; calls in flight get up to 10 seconds.
func (s *Service) Close() error {
	s.cancel()
	err := <-s.stopped
	s.stopped <- err
	if t, ok := s.proxy.Transport.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return errors.Join(fmt.Errorf("s3: %w", err), os.RemoveAll(filepath.Dir(s.socket)))
	}
	return os.RemoveAll(filepath.Dir(s.socket))
}

// AddBucket creates a bucket, or serves again the one that is there from an
// earlier run, and starts its notifications: events that an earlier run could
// not deliver go out now, and the test event once per configuration.
func (s *Service) AddBucket(ctx context.Context, b Bucket) error {
	served := &bucket{Bucket: b}
	if len(b.Policy) > 0 {
		policy, err := access.ParsePolicy(b.Policy, access.ResourcePolicy)
		if err != nil {
			return fmt.Errorf("s3: bucket %s: policy: %w", b.Name, err)
		}
		served.policy = policy
	}
	for _, n := range b.Notifications {
		if err := n.check(); err != nil {
			return fmt.Errorf("s3: bucket %s: %w", b.Name, err)
		}
	}
	acl, err := json.Marshal(auth.ACL{Owner: owner})
	if err != nil {
		return fmt.Errorf("s3: bucket %s: %w", b.Name, err)
	}
	ctx = context.WithValue(ctx, "bucket-owner", auth.Account{Access: owner}) //nolint:staticcheck // versitygw's own key
	err = s.store.CreateBucket(ctx, &awss3.CreateBucketInput{
		Bucket: &b.Name, ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced,
		CreateBucketConfiguration: &types.CreateBucketConfiguration{},
	}, acl)
	if err != nil && errorCode(err) != "BucketAlreadyOwnedByYou" {
		return fmt.Errorf("s3: create bucket %s: %w", b.Name, err)
	}
	if b.Versioned {
		if err := s.store.PutBucketVersioning(ctx, b.Name, types.BucketVersioningStatusEnabled); err != nil {
			return fmt.Errorf("s3: version bucket %s: %w", b.Name, err)
		}
	}
	s.mu.Lock()
	s.buckets[b.Name] = served
	s.mu.Unlock()
	return s.startNotifications(ctx, served)
}

// owner owns all buckets; no caller has this name, so that rights come from
// policies alone.
const owner = "bucket-owner"

func (s *Service) bucket(name string) *bucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.buckets[name]
}

func (s *Service) policy(bucketName string) *access.Policy {
	if b := s.bucket(bucketName); b != nil {
		return b.policy
	}
	return nil
}

// Check decides on an action on an object (or, with an empty key, on a bucket)
// without doing it, with identity and bucket policies. An absent bucket is
// ErrNoBucket.
func (s *Service) Check(ctx context.Context, who *access.Principal, action, bucketName, key string) error {
	b := s.bucket(bucketName)
	if b == nil {
		return fmt.Errorf("bucket %s: %w", bucketName, ErrNoBucket)
	}
	resource := "arn:aws:s3:::" + bucketName
	if key != "" {
		resource += "/" + key
	}
	return s.cfg.Authority.Check(ctx, access.Call{Principal: who, Action: action, Resource: resource, ResourcePolicy: b.policy})
}

// ErrNoBucket is the cause of Check's error for an absent bucket.
var ErrNoBucket = errors.New("no such bucket")

// ServeHTTP passes a signed S3 request on to the gateway, byte for byte.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Slow > 0 {
		if err := s.cfg.Clock.Sleep(r.Context(), s.cfg.Slow); err != nil {
			return // the client has gone
		}
	}
	s.proxy.ServeHTTP(w, r)
}

func newProxy(socket string) *httputil.ReverseProxy {
	var dialer net.Dialer
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			// The signature covers path, query and host as the client sent them.
			r.Out.Host = r.In.Host
			r.Out.URL.Scheme, r.Out.URL.Host = "http", r.In.Host
			r.Out.URL.Opaque = rawPath(r.In)
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			// The gateway leaves the last bytes of such a body unread and takes
			// them for the connection's next request, so there must be none.
			if r.Out.Close = streaming(r.In); r.Out.Close && r.Out.Body != nil {
				r.Out.Body = &wholeTail{ReadCloser: r.Out.Body}
			}
		},
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", socket)
			},
			// Room for a body's tail in one write; see wholeTail.
			WriteBufferSize:       64 << 10,
			DisableCompression:    true,
			ExpectContinueTimeout: time.Second,
			MaxIdleConnsPerHost:   64,
			IdleConnTimeout:       10 * time.Second,
		},
		BufferPool: newBuffers(256 << 10),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				writeError(w, r, s3err.APIError{Code: "ServiceUnavailable", Description: err.Error(), HTTPStatusCode: http.StatusServiceUnavailable})
			}
		},
	}
}
