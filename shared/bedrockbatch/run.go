package bedrockbatch

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// errLocked: another process of this machine works on the run.
var errLocked = errors.New("locked")

// Run is a handle on a run: inputs, their jobs, their answers. Its state
// stands in the bucket; handles can be made anew with Client.Open. A Run is
// used by one goroutine at a time; Status and Cancel of another handle may be
// called meanwhile.
type Run struct {
	client *Client
	rec    record
	id     string // the submission's
	bucket *below
	// Resumed says that Create found the run: it had been started before.
	Resumed bool
	jobs    *watched
}

// record is run.json: what a run was started with.
type record struct {
	Version  int               `json:"version"`
	Name     string            `json:"name"`
	Upload   pipeline.Upload   `json:"upload"`
	SHA256   string            `json:"sha256"`
	Settings workload.Workload `json:"settings"`
	MaxJobs  int               `json:"maxJobs,omitempty"`
	// Lines says that each row is a line: the inputs were written by us.
	Lines     bool      `json:"lines,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
}

const recordKey = "run.json"

func random() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Create starts a run and returns when its jobs are created, or when no slot
// is free for them yet; Wait does the rest. Fewer inputs than a job takes are
// answered on demand, within this call already: Status says so. A run of the
// same name with the same inputs and settings is carried on;
// with others it is batch.ErrConflict.
func (c *Client) Create(ctx context.Context, spec Spec, src Source) (*Run, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	inputs, err := spool(c.opt.TempDir, src)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w: %w", err, batch.ErrNotFound)
		}
		return nil, explain(err, "read inputs")
	}
	defer inputs.remove()
	w := spec.settings()
	if src.format != nil {
		w.Format = src.format()
	}
	name := spec.Name
	if name == "" {
		text, err := json.Marshal(w)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(append([]byte(inputs.sum), text...))
		name = "run-" + hex.EncodeToString(sum[:6])
	}
	if w.Name == "" {
		w.Name = name
	}
	r := &Run{client: c, bucket: c.at(name)}
	wanted := record{Version: 1, Name: name, SHA256: inputs.sum, Settings: w, MaxJobs: spec.MaxJobs, Lines: src.format != nil, CreatedAt: c.clock.Now().UTC()}
	if err := r.found(ctx, wanted); err != nil {
		return nil, err
	}
	if !r.Resumed {
		if err := c.retried(ctx, func() error { return r.upload(ctx, wanted, inputs, "uploads/input"+src.ext) }); err != nil {
			return nil, explain(err, "create run %s", name)
		}
	}
	return r, r.start(ctx)
}

// found looks for an earlier run of the same name and takes it up.
func (r *Run) found(ctx context.Context, wanted record) error {
	there, err := r.client.readRecord(ctx, r.bucket)
	if errors.Is(err, batch.ErrNotFound) {
		return nil
	}
	if err != nil {
		return explain(err, "look for run %s", wanted.Name)
	}
	what := ""
	if there.SHA256 != wanted.SHA256 {
		what = "inputs"
	} else if !sameSettings(there.Settings, wanted.Settings) {
		what = "settings"
	}
	if what != "" {
		return conflict("create run "+wanted.Name, "take another name, or none", "a run of this name was started on %s with other %s", there.CreatedAt.Format(time.RFC3339), what)
	}
	there.MaxJobs = wanted.MaxJobs
	r.rec, r.id, r.Resumed = there, pipeline.SubmissionID(there.Upload), true
	return nil
}

func sameSettings(a, b workload.Workload) bool {
	var x, y any
	for _, s := range []struct {
		w   workload.Workload
		out *any
	}{{a, &x}, {b, &y}} {
		text, err := json.Marshal(s.w)
		if err != nil || json.Unmarshal(text, s.out) != nil {
			return false
		}
	}
	return reflect.DeepEqual(x, y)
}

func (c *Client) readRecord(ctx context.Context, b *below) (record, error) {
	var there record
	var body []byte
	err := c.retried(ctx, func() (err error) {
		body, _, err = b.Get(ctx, recordKey)
		return err
	})
	if err != nil {
		return there, err
	}
	if err := json.Unmarshal(body, &there); err != nil {
		return there, fmt.Errorf("read %s%s: %w", b.prefix, recordKey, err)
	}
	if there.Version != 1 {
		return there, fmt.Errorf("%s%s has version %d, this program knows 1: take a newer one: %w", b.prefix, recordKey, there.Version, batch.ErrInvalid)
	}
	return there, nil
}

// upload puts the inputs, then the record that makes them a run.
func (r *Run) upload(ctx context.Context, rec record, inputs *spooled, key string) error {
	if _, err := inputs.Seek(0, io.SeekStart); err != nil {
		return err
	}
	w, err := r.bucket.Create(ctx, key)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{inputs}, make([]byte, 256<<10)); err != nil {
		return err
	}
	if _, err := w.Commit(); err != nil {
		return err
	}
	object, err := r.bucket.Stat(ctx, key, "")
	if err != nil {
		return err
	}
	rec.Upload = pipeline.Upload{Bucket: r.client.opt.Bucket, Key: key, VersionID: object.Version, ETag: object.ETag, Size: object.Size}
	body, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if _, err := r.bucket.Put(ctx, recordKey, body, batch.Condition{IfAbsent: true}); err != nil && !errors.Is(err, batch.ErrPrecondition) {
		return err
	}
	// Somebody else may have been quicker with the same, or this very write
	// was repeated.
	if err := r.found(ctx, rec); err != nil {
		return err
	}
	r.Resumed = r.rec.Upload != rec.Upload
	return nil
}

// Open gives a handle on a run that was started before, by this program or
// another. batch.ErrNotFound if there is none.
func (c *Client) Open(ctx context.Context, name string) (*Run, error) {
	if !runName.MatchString(name) {
		return nil, invalid("open run", "%q is no name of a run", name)
	}
	r := &Run{client: c, bucket: c.at(name), Resumed: true}
	var err error
	if r.rec, err = c.readRecord(ctx, r.bucket); err != nil {
		return nil, explain(err, "open run %s", name)
	}
	r.id = pipeline.SubmissionID(r.rec.Upload)
	return r, nil
}

// Runs yields the names of the runs below the client's prefix.
func (c *Client) Runs(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		all := &below{bucket: c.bucket, name: c.opt.Bucket, prefix: c.opt.Prefix}
		for after := ""; ; {
			name := ""
			for object, err := range all.List(ctx, "", after) {
				if err != nil {
					yield("", explain(err, "list runs"))
					return
				}
				name, _, _ = strings.Cut(object.Key, "/")
				break
			}
			if name == "" || runName.MatchString(name) && !yield(name, nil) {
				return // what is no run's is not told
			}
			after = name + "/\xff"
		}
	}
}

// Name is the run's name.
func (r *Run) Name() string { return r.rec.Name }

// Settings are those that the run was started with.
func (r *Run) Settings() workload.Workload { return r.rec.Settings }

// StartedAt is when the run was created.
func (r *Run) StartedAt() time.Time { return r.rec.CreatedAt }

func (r *Run) view() pipeline.View { return pipeline.View{Output: r.bucket} }

// submission reads the run's state; nil if nothing is accepted yet.
func (r *Run) submission(ctx context.Context) (*pipeline.Submission, error) {
	var s *pipeline.Submission
	err := r.client.retried(ctx, func() (err error) {
		s, err = r.view().Submission(ctx, r.id)
		return err
	})
	if errors.Is(err, batch.ErrNotFound) {
		return nil, nil
	}
	return s, err
}

// lockDir is the folder of locks.
func (c *Client) lockDir() string {
	if c.opt.LockDir != "" {
		return c.opt.LockDir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "bedrock-batch", "runs")
}

// Cancel stops the run: its live jobs are stopped, nothing more starts. Wait
// then gathers what there is. It may be called twice, and while another
// process waits for the run.
func (r *Run) Cancel(ctx context.Context) error {
	s, err := r.submission(ctx)
	if err != nil {
		return explain(err, "cancel run %s", r.rec.Name)
	}
	if s == nil {
		return conflict("cancel run "+r.rec.Name, "start it first", "nothing of it has been accepted yet")
	}
	if s.State.Terminal() {
		return conflict("cancel run "+r.rec.Name, "", "it has ended: %s", s.State)
	}
	d := r.drive(random())
	err = d.submit.Stop(ctx, d.invocation(), r.id)
	if err != nil && !pipeline.Later(err) {
		return explain(err, "cancel run %s", r.rec.Name)
	}
	return nil
}
