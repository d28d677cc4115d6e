package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/request"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// KindRequest is the kind of a submission that an application asked for by a
// message.
const KindRequest = "request"

// promptsName is how the format of prompts in a message is recognised.
const promptsName = "prompts.jsonl"

// RequestID names the submission of a request: however often it comes under
// one name, it meets the same state. 26 hex digits.
func RequestID(name string) string {
	h := sha256.Sum256([]byte("request:" + name))
	return hex.EncodeToString(h[:])[:26]
}

// promptsKey is where the prompts of a message are staged, one row a line.
func promptsKey(id string) string { return stagedPrefix(id) + "src/" + promptsName }

// Requested takes an application's message. name is the application's id for
// the request, or that of the queue's message; bucket is the input bucket's
// name.
func (s *Submit) Requested(ctx context.Context, in Invocation, name, bucket string, body []byte) error {
	r := s.begin(in)
	r.intake = true
	id := RequestID(name)
	if known, err := r.known(ctx, id); known || err != nil {
		return err
	}
	m := marker{Kind: KindRequest, Request: name, Message: string(body), Upload: Upload{Bucket: bucket}}
	if err := r.open(ctx, id, m); err != nil {
		return err
	}
	return r.proceed(ctx, id)
}

// known carries on the submission of an id if there is one.
func (r *submitRun) known(ctx context.Context, id string) (bool, error) {
	s, _, err := r.load(ctx, id)
	switch {
	case errors.Is(err, batch.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case !s.State.Terminal() && s.Lease != nil && r.clock.Now().Before(s.Lease.Until):
		return true, nil // delivered again while it is being worked on
	}
	return true, r.proceed(ctx, id)
}

// unpack reads the message of a request: its prompts are staged as an upload
// of our own, its object is looked up. It returns the settings that the
// message gives. A request that cannot be followed has its end decided.
func (r *submitRun) unpack(ctx context.Context, h *hold) (workload.Workload, error) {
	m, err := r.marked(ctx, h.ID)
	if err != nil {
		return workload.Workload{}, err
	}
	asked, wrong := request.Parse([]byte(m.Message))
	var upload Upload
	why := ""
	switch {
	case wrong != nil:
		why = wrong.Error()
	case asked.Key == "":
		rows, err := asked.Rows()
		if err != nil {
			return workload.Workload{}, err
		}
		if _, err := r.output.Put(ctx, promptsKey(h.ID), rows, batch.Condition{}); err != nil {
			return workload.Workload{}, fmt.Errorf("stage prompts of request %s: %w", m.Request, err)
		}
		upload.Size = int64(len(rows))
	default:
		if h.Upload.Key == asked.Key && asked.Version == "" {
			asked.Version = h.Upload.VersionID // the one that was there first
		}
		if upload, why, err = r.object(ctx, m.Bucket, asked); err != nil {
			return workload.Workload{}, err
		}
	}
	return asked.Settings, h.change(ctx, func(s *Submission) error {
		inline := asked.Key == "" && wrong == nil
		if s.Upload == upload && s.Inline == inline && maps.Equal(s.Attributes, asked.Attributes) && why == "" {
			return errUnchanged
		}
		s.Upload, s.Inline, s.Attributes = upload, inline, asked.Attributes
		if why != "" && s.Ending == nil {
			s.Ending = &Ending{State: Rejected, Reason: cut(why, noticeReason)}
		}
		return nil
	})
}

// object looks up the object that a request names. What a message says is not
// trusted: it reaches only into the input bucket, to what intake would accept
// or leaves alone for its name.
func (r *submitRun) object(ctx context.Context, bucket string, asked request.Request) (u Upload, why string, err error) {
	u = Upload{Bucket: asked.Bucket, Key: asked.Key, VersionID: asked.Version}
	name := asked.Key[strings.LastIndexByte(asked.Key, '/')+1:]
	if ignored(asked.Key) != "" && !strings.HasPrefix(name, "_") {
		return u, "the object of s3Uri is none whose rows could be asked for", nil
	}
	if asked.Bucket != bucket {
		return u, fmt.Sprintf("s3Uri is not in the input bucket, %s", bucket), nil
	}
	o, err := r.input.Stat(ctx, asked.Key, version(u))
	switch {
	case errors.Is(err, batch.ErrNotFound), errors.Is(err, batch.ErrInvalid):
		return u, "the object of s3Uri is not there in this version; put it first, then send the request", nil
	case err != nil:
		return u, "", fmt.Errorf("look at object %s: %w", asked.Key, err)
	}
	u.VersionID, u.ETag, u.Size = o.Version, o.ETag, o.Size
	return u, "", nil
}

// openRows reads the rows of a submission of one object: a version of an
// upload, or the prompts of a message.
func (r *run) openRows(ctx context.Context, s *Submission, off, end int64) (io.ReadCloser, error) {
	if s.Inline {
		return r.output.Open(ctx, promptsKey(s.ID), "", off, end)
	}
	return r.input.Open(ctx, s.Upload.Key, version(s.Upload), off, end)
}

// headOfRows are the first bytes by which a format is recognised.
func (r *run) headOfRows(ctx context.Context, s *Submission) ([]byte, error) {
	body, err := r.openRows(ctx, s, 0, min(s.Upload.Size, dataset.HeadSize))
	return readHead(body, err, s.Label())
}

// Label tells people what a submission is about: the key of its upload or
// folder, or the name of its request.
func (s *Submission) Label() string {
	if s.Kind == KindRequest {
		return "request " + s.Request
	}
	return s.Upload.Key
}

// place is below which folder of the results a submission's are.
func (s *Submission) place() string {
	if s.Kind == KindRequest {
		return "requests/" + s.Request
	}
	return s.Upload.Key
}
