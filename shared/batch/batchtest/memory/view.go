package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// view is a bucket through one hook.
type view struct {
	*Bucket
	hook Hook
}

func (w *view) around(ctx context.Context, call, key string, effect func() error) error {
	name := w.Name() + "/" + key
	return around(ctx, w.hook, "Bucket."+call, name, func() error {
		if err := effect(); err != nil {
			return fmt.Errorf("%s %s: %w", strings.ToLower(call), name, err)
		}
		return nil
	})
}

func (w *view) Get(ctx context.Context, key string) (body []byte, o batch.Object, err error) {
	err = w.around(ctx, "Get", key, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		v := w.find(key, "")
		if v == nil {
			return batch.ErrNotFound
		}
		body, o = bytes.Clone(v.data), v.object(key)
		if body == nil {
			body = []byte{}
		}
		return nil
	})
	if err != nil {
		return nil, batch.Object{}, err
	}
	return body, o, nil
}

func (w *view) Put(ctx context.Context, key string, body []byte, cond batch.Condition) (string, error) {
	var o batch.Object
	err := w.around(ctx, "Put", key, func() (err error) {
		o, err = w.put(key, bytes.Clone(body), cond, tag(body))
		return err
	})
	if err != nil {
		return "", err
	}
	return o.ETag, nil
}

func (w *view) Delete(ctx context.Context, keys ...string) error {
	for some := range slices.Chunk(keys, 1000) {
		if err := w.around(ctx, "Delete", some[0], func() error {
			for _, key := range some {
				w.remove(key)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func (w *view) List(ctx context.Context, prefix, after string) iter.Seq2[batch.Object, error] {
	return func(yield func(batch.Object, error) bool) {
		last := after
		for {
			var page []batch.Object
			more := false
			if err := w.around(ctx, "List", prefix, func() error {
				page, more = w.page(prefix, last)
				return nil
			}); err != nil {
				yield(batch.Object{}, err)
				return
			}
			for _, o := range page {
				if !yield(o, nil) {
					return
				}
				last = o.Key
			}
			if !more {
				return
			}
		}
	}
}

// page lists without versions, as S3 does.
func (b *Bucket) page(prefix, after string) (page []batch.Object, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	from, _ := slices.BinarySearch(b.keys, max(prefix, after))
	for _, key := range b.keys[from:] {
		if !strings.HasPrefix(key, prefix) {
			break
		}
		if key <= after {
			continue
		}
		if len(page) == b.set.Page {
			return page, true
		}
		o := b.find(key, "").object(key)
		o.Version = ""
		page = append(page, o)
	}
	return page, false
}

func (w *view) Stat(ctx context.Context, key, id string) (o batch.Object, err error) {
	err = w.around(ctx, "Stat", key, func() error {
		v, err := w.at(key, id)
		if err == nil {
			o = v.object(key)
		}
		return err
	})
	if err != nil {
		return batch.Object{}, err
	}
	return o, nil
}

func (b *Bucket) at(key, id string) (*version, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if v := b.find(key, id); v != nil {
		return v, nil
	}
	return nil, batch.ErrNotFound
}

func (w *view) Open(ctx context.Context, key, id string, off, end int64) (io.ReadCloser, error) {
	r := &reader{ctx: ctx, view: w, key: key}
	err := w.around(ctx, "Open", key, func() error {
		if off < 0 || end != batch.Whole && end < off {
			return fmt.Errorf("range from %d to %d: %w", off, end, batch.ErrInvalid)
		}
		v, err := w.at(key, id)
		if err != nil {
			return err
		}
		size := int64(len(v.data))
		if end == batch.Whole || end > size {
			end = size
		}
		r.rest = v.data[min(off, end):end]
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

type reader struct {
	ctx    context.Context
	view   *view
	key    string
	rest   []byte
	err    error
	closed bool
}

func (r *reader) Read(p []byte) (n int, err error) {
	if r.closed {
		return 0, fmt.Errorf("read %s: closed: %w", r.key, batch.ErrInvalid)
	}
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	// The end is no error of the call, so a Hook does not see it as one.
	r.err = r.view.around(r.ctx, "Read", r.key, func() error {
		n = copy(p[:min(len(p), r.view.set.Piece)], r.rest)
		r.rest = r.rest[n:]
		return nil
	})
	if r.err == nil && n == 0 {
		r.err = io.EOF
	}
	if r.err != nil {
		return 0, r.err
	}
	return n, nil
}

func (r *reader) Close() error {
	r.closed = true
	return nil
}

func (w *view) Create(ctx context.Context, key string) (batch.Writer, error) {
	if err := w.around(ctx, "Create", key, func() error { return nil }); err != nil {
		return nil, err
	}
	return &writer{ctx: ctx, view: w, key: key}, nil
}

type writer struct {
	ctx   context.Context
	view  *view
	key   string
	parts [][]byte // whole parts that were sent
	rest  []byte
	err   error
	ended bool // Finish was called
	over  bool
}

func (w *writer) Write(p []byte) (int, error) {
	if w.over || w.ended {
		return 0, fmt.Errorf("write %s: after finish, commit or abort: %w", w.key, batch.ErrInvalid)
	}
	total := 0
	for len(p) > 0 {
		if w.err != nil {
			return total, w.err
		}
		if len(w.rest) == w.view.set.Part {
			w.send()
			continue
		}
		n := min(len(p), w.view.set.Part-len(w.rest))
		w.rest = append(w.rest, p[:n]...)
		p = p[n:]
		total += n
	}
	return total, nil
}

func (w *writer) send() {
	w.err = w.view.around(w.ctx, "Write", w.key, func() error {
		w.parts = append(w.parts, w.rest)
		w.rest = nil
		return nil
	})
}

// Finish begins nothing: schedules of calls are to be the same each time.
func (w *writer) Finish() { w.ended = true }

func (w *writer) Commit() (batch.Object, error) {
	if w.over {
		return batch.Object{}, fmt.Errorf("commit %s: after commit or abort: %w", w.key, batch.ErrInvalid)
	}
	if w.err == nil && len(w.parts) > 0 && len(w.rest) > 0 {
		w.send()
	}
	if w.err != nil {
		return batch.Object{}, w.err
	}
	var o batch.Object
	w.err = w.view.around(w.ctx, "Commit", w.key, func() (err error) {
		data, etag := w.rest, tag(w.rest)
		if len(w.parts) > 0 {
			data, etag = bytes.Join(w.parts, nil), partsTag(w.parts)
		}
		o, err = w.view.put(w.key, data, batch.Condition{}, etag)
		return err
	})
	if w.err != nil {
		return batch.Object{}, w.err
	}
	w.over = true
	o.Modified = time.Time{} // the service does not tell
	return o, nil
}

func (w *writer) Abort() {
	if w.over {
		return
	}
	w.over = true
	// What stands in the way of forgetting an upload changes nothing that
	// anybody can see.
	_ = w.view.around(context.WithoutCancel(w.ctx), "Abort", w.key, func() error { return nil })
}

func (w *view) Compose(ctx context.Context, key string, pieces []batch.Object) error {
	return w.around(ctx, "Compose", key, func() error {
		parts := make([][]byte, 0, len(pieces))
		for _, piece := range pieces {
			v, err := w.at(piece.Key, piece.Version)
			if err != nil {
				return fmt.Errorf("piece %s: %w", piece.Key, err)
			}
			if piece.ETag != "" && piece.ETag != v.etag {
				return fmt.Errorf("piece %s was overwritten: %w", piece.Key, batch.ErrPrecondition)
			}
			parts = append(parts, v.data)
		}
		data := bytes.Join(parts, nil)
		etag := tag(data)
		if len(data) > w.set.Part {
			etag = partsTag(parts)
		}
		_, err := w.put(key, data, batch.Condition{}, etag)
		return err
	})
}
