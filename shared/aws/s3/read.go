package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// resumes is how often a body that breaks off is continued where it broke.
const resumes = 2

// Open implements batch.Files. A range that reaches beyond the object's end is
// read to the end. What fits one part is one call; more is read ahead by
// several ranged calls at once, in order and within the memory of Settings.
// All calls after the first insist on the first one's entity tag, so that an
// object overwritten while it is read is noticed: batch.ErrUnavailable, as
// opening it again helps.
func (b *Bucket) Open(ctx context.Context, key, version string, off, end int64) (io.ReadCloser, error) {
	name := b.versioned(key, version)
	if off < 0 || (end != batch.Whole && end < off) {
		return nil, fmt.Errorf("open %s: range from %d to %d: %w", name, off, end, batch.ErrInvalid)
	}
	if off == end {
		if _, err := b.Stat(ctx, key, version); err != nil {
			return nil, err
		}
		return empty{}, nil
	}
	src := &source{bucket: b, name: name, key: key, version: version}
	first := off + b.set.PartBytes
	if end != batch.Whole {
		first = min(first, end)
	}
	body, total, err := src.get(ctx, off, first)
	if err != nil {
		if fault.Status(err) == 416 && ctx.Err() == nil {
			return empty{}, nil // nothing of the object lies within the range
		}
		return nil, readFault(ctx, err, "open %s", name)
	}
	stop := total
	if end != batch.Whole {
		stop = min(end, total)
	}
	first = min(first, stop)
	ctx, cancel := context.WithCancelCause(ctx)
	lead := &ranged{ctx: ctx, src: src, body: body, off: off, end: first}
	if first == stop {
		return &single{ranged: lead, cancel: cancel}, nil
	}
	r := &ahead{
		ctx: ctx, cancel: cancel, src: src, lead: lead,
		queue: make(chan *chunk, b.set.Reads),
		slots: make(chan struct{}, b.set.Reads),
		done:  make(chan struct{}),
	}
	go r.schedule(first, stop)
	return r, nil
}

// source is one version of one object, as the first answer described it.
type source struct {
	bucket  *Bucket
	name    string
	key     string
	version string
	etag    string // set by the first get, read-only afterwards
}

// get asks for the bytes from off up to end and returns them with the size of
// the whole object.
func (s *source) get(ctx context.Context, off, end int64) (io.ReadCloser, int64, error) {
	out, err := s.bucket.api.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &s.bucket.name, Key: &s.key, VersionId: given(s.version),
		Range:   aws.String("bytes=" + strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(end-1, 10)),
		IfMatch: quote(s.etag),
	})
	if err != nil {
		return nil, 0, err
	}
	if s.etag == "" {
		s.etag = unquote(out.ETag)
	}
	total := off + aws.ToInt64(out.ContentLength)
	if _, size, ok := strings.Cut(aws.ToString(out.ContentRange), "/"); ok {
		if n, err := strconv.ParseInt(size, 10, 64); err == nil {
			total = n
		}
	} else if off > 0 {
		out.Body.Close()
		return nil, 0, fmt.Errorf("the service ignored the range from %d", off)
	}
	return out.Body, total, nil
}

// fault words the error of a later call.
func (s *source) fault(ctx context.Context, err error, off int64) error {
	if ctx.Err() != nil {
		return fmt.Errorf("read %s at %d: %w", s.name, off, ended(ctx))
	}
	if fault.Status(err) == 412 {
		return fmt.Errorf("read %s at %d: %w", s.name, off, &batch.ServiceError{
			Class: batch.ErrUnavailable, Code: "Overwritten", Message: "the object was overwritten while it was read; open it again", Status: 412,
		})
	}
	return readFault(ctx, err, "read %s at %d", s.name, off)
}

// ranged reads one range and goes on where a body broke off.
type ranged struct {
	ctx      context.Context
	src      *source
	body     io.ReadCloser // nil: to be asked for
	off, end int64
	broken   int
}

func (r *ranged) Read(p []byte) (int, error) {
	for {
		if r.off >= r.end {
			return 0, io.EOF
		}
		if r.body == nil {
			body, _, err := r.src.get(r.ctx, r.off, r.end)
			if err != nil {
				return 0, r.src.fault(r.ctx, err, r.off)
			}
			r.body = body
		}
		if int64(len(p)) > r.end-r.off {
			p = p[:r.end-r.off]
		}
		n, err := r.body.Read(p)
		r.off += int64(n)
		if n > 0 || err == nil {
			return n, nil // the error, if it stays, comes with the next call
		}
		r.close()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // short of what was announced
		}
		if r.broken++; r.broken > resumes || r.ctx.Err() != nil {
			return 0, r.src.fault(r.ctx, err, r.off)
		}
	}
}

func (r *ranged) close() {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
}

// errClosed is the cause of calls that Close broke off.
var errClosed = errors.New("reader closed")

// ended says why ctx has ended: by Close, or by its owner.
func ended(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, errClosed) {
		return cause
	}
	return ctx.Err()
}

// single is a range read by one call.
type single struct {
	*ranged
	cancel context.CancelCauseFunc
}

func (s *single) Close() error {
	s.cancel(errClosed)
	s.ranged.close()
	return nil
}

// chunk is a piece that is read ahead.
type chunk struct {
	off   int64
	buf   *[]byte
	data  []byte
	err   error
	ready chan struct{}
}

// ahead reads the first part as it comes in and the next ones ahead.
type ahead struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	src    *source
	lead   *ranged
	queue  chan *chunk   // in order of the object
	slots  chan struct{} // one for each chunk alive
	done   chan struct{} // closed when the scheduler has ended

	current *chunk
	rest    []byte
	err     error
}

func (r *ahead) schedule(off, end int64) {
	defer close(r.done)
	defer close(r.queue)
	part := r.src.bucket.set.PartBytes
	for ; off < end; off += part {
		select {
		case r.slots <- struct{}{}:
		case <-r.ctx.Done():
			return
		}
		c := &chunk{off: off, buf: r.src.bucket.buffer(), ready: make(chan struct{})}
		c.data = (*c.buf)[:min(part, end-off)]
		r.queue <- c // never blocks: there are as many places as slots
		go r.fetch(c)
	}
}

func (r *ahead) fetch(c *chunk) {
	defer close(c.ready)
	from := &ranged{ctx: r.ctx, src: r.src, off: c.off, end: c.off + int64(len(c.data))}
	defer from.close()
	_, c.err = io.ReadFull(from, c.data)
}

func (r *ahead) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.lead != nil {
		n, err := r.lead.Read(p)
		if err == nil {
			return n, nil
		}
		r.lead.close()
		r.lead = nil
		if err != io.EOF {
			r.err = err
			return 0, err
		}
	}
	if err := r.fill(); err != nil {
		return 0, err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Discard passes over n bytes, as bufio.Reader's does, without touching them.
func (r *ahead) Discard(n int) (passed int, err error) {
	if r.lead != nil && r.err == nil {
		part, err := io.CopyN(io.Discard, r.lead, int64(n))
		if passed = int(part); err != nil && err != io.EOF {
			r.err = err
			return passed, err
		}
	}
	for passed < n {
		if r.err != nil {
			return passed, r.err
		}
		if r.lead != nil {
			r.lead.close()
			r.lead = nil
		}
		if err := r.fill(); err != nil {
			return passed, err
		}
		step := min(n-passed, len(r.rest))
		r.rest = r.rest[step:]
		passed += step
	}
	return passed, nil
}

// WriteTo spares io.Copy a buffer between the chunks and w.
func (r *ahead) WriteTo(w io.Writer) (total int64, err error) {
	if r.lead != nil {
		buf := r.src.bucket.buffer()
		defer r.src.bucket.free(buf)
		for r.lead != nil && r.err == nil {
			n, err := r.Read((*buf)[:64<<10])
			wrote, werr := w.Write((*buf)[:n])
			total += int64(wrote)
			if werr != nil {
				return total, werr
			}
			if err != nil {
				break
			}
		}
	}
	for {
		if r.err == nil {
			err = r.fill()
		} else {
			err = r.err
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		n, err := w.Write(r.rest)
		total += int64(n)
		r.rest = r.rest[n:]
		if err != nil {
			return total, err
		}
	}
}

// fill makes sure that there is a rest to read.
func (r *ahead) fill() error {
	for len(r.rest) == 0 {
		r.release()
		c, ok := <-r.queue
		if !ok {
			r.err = io.EOF
			if r.ctx.Err() != nil {
				r.err = fmt.Errorf("read %s: %w", r.src.name, ended(r.ctx))
			}
			return r.err
		}
		<-c.ready
		r.current = c
		if c.err != nil {
			r.err = c.err
			r.cancel(c.err)
			return r.err
		}
		r.rest = c.data
	}
	return nil
}

// release gives the buffer of the chunk that was read back.
func (r *ahead) release() {
	if r.current == nil {
		return
	}
	r.src.bucket.free(r.current.buf)
	r.current, r.rest = nil, nil
	<-r.slots
}

// Close ends the calls in flight and waits until their buffers are free.
func (r *ahead) Close() error {
	r.cancel(errClosed)
	if r.lead != nil {
		r.lead.close()
		r.lead = nil
	}
	if r.err == nil {
		r.err = fmt.Errorf("read %s: %w", r.src.name, errClosed)
	}
	r.release()
	for c := range r.queue {
		<-c.ready
		r.src.bucket.free(c.buf)
	}
	<-r.done
	return nil
}

type empty struct{}

func (empty) Read([]byte) (int, error) { return 0, io.EOF }
func (empty) Close() error             { return nil }
