package bedrockbatch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

// dry is a bucket for looking at what would happen: one upload that is a local
// file, documents in memory, and everything that is staged thrown away, but
// for the first set-aside rows.
type dry struct {
	upload string // the key of the local file
	file   *os.File
	size   int64

	mu     sync.Mutex
	serial int
	docs   map[string]document
	aside  bytes.Buffer
}

type document struct {
	body []byte
	etag string
}

// keptAside is how much is kept of the rows that are set aside.
const keptAside = 1 << 20

var _ batch.Bucket = (*dry)(nil)

// Get implements batch.Documents.
func (d *dry) Get(_ context.Context, key string) ([]byte, batch.Object, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	doc, ok := d.docs[key]
	if !ok {
		return nil, batch.Object{}, fmt.Errorf("get %s: %w", key, batch.ErrNotFound)
	}
	return doc.body, batch.Object{Key: key, ETag: doc.etag, Size: int64(len(doc.body))}, nil
}

// Put implements batch.Documents.
func (d *dry) Put(_ context.Context, key string, body []byte, cond batch.Condition) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	doc, ok := d.docs[key]
	if cond.IfAbsent && ok || cond.IfMatch != "" && doc.etag != cond.IfMatch {
		return "", fmt.Errorf("put %s: %w", key, batch.ErrPrecondition)
	}
	d.serial++
	etag := strconv.Itoa(d.serial)
	d.docs[key] = document{bytes.Clone(body), etag}
	return etag, nil
}

// Delete implements batch.Documents.
func (d *dry) Delete(_ context.Context, keys ...string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range keys {
		delete(d.docs, key)
	}
	return nil
}

// List implements batch.Documents.
func (d *dry) List(_ context.Context, prefix, after string) iter.Seq2[batch.Object, error] {
	d.mu.Lock()
	var found []batch.Object
	for key, doc := range d.docs {
		if strings.HasPrefix(key, prefix) && key > after {
			found = append(found, batch.Object{Key: key, ETag: doc.etag, Size: int64(len(doc.body))})
		}
	}
	d.mu.Unlock()
	slices.SortFunc(found, func(a, b batch.Object) int { return strings.Compare(a.Key, b.Key) })
	return func(yield func(batch.Object, error) bool) {
		for _, o := range found {
			if !yield(o, nil) {
				return
			}
		}
	}
}

// Stat implements batch.Files.
func (d *dry) Stat(_ context.Context, key, _ string) (batch.Object, error) {
	if key == d.upload {
		return batch.Object{Key: key, ETag: "local", Size: d.size}, nil
	}
	return batch.Object{Key: key}, nil
}

// Open implements batch.Files.
func (d *dry) Open(_ context.Context, key, _ string, off, end int64) (io.ReadCloser, error) {
	if key != d.upload {
		return io.NopCloser(strings.NewReader("")), nil
	}
	if end == batch.Whole || end > d.size {
		end = d.size
	}
	return io.NopCloser(io.NewSectionReader(d.file, off, end-off)), nil
}

// Create implements batch.Files.
func (d *dry) Create(_ context.Context, key string) (batch.Writer, error) {
	return &thrown{dry: d, key: key, keep: strings.HasPrefix(key, config.Staged) && strings.Contains(key, "/aside/")}, nil
}

// Compose implements batch.Files.
func (d *dry) Compose(context.Context, string, []batch.Object) error { return nil }

// thrown is an object that nobody will read.
type thrown struct {
	dry  *dry
	key  string
	keep bool
	size int64
}

func (w *thrown) Write(p []byte) (int, error) {
	w.size += int64(len(p))
	if w.keep {
		w.dry.mu.Lock()
		defer w.dry.mu.Unlock()
		if room := keptAside - w.dry.aside.Len(); room > 0 {
			w.dry.aside.Write(p[:min(room, len(p))])
		}
	}
	return len(p), nil
}

func (w *thrown) Finish() {}

func (w *thrown) Commit() (batch.Object, error) { return batch.Object{Key: w.key, Size: w.size}, nil }

func (w *thrown) Abort() {}

// noJobs is an account whose slots are all taken.
type noJobs struct{}

func (noJobs) Create(context.Context, batch.JobSpec) (string, error) { return "", batch.ErrQuota }

func (noJobs) Get(_ context.Context, arn string) (batch.Job, error) {
	return batch.Job{}, fmt.Errorf("job %s: %w", arn, batch.ErrNotFound)
}

func (noJobs) List(context.Context, batch.JobFilter) iter.Seq2[batch.Job, error] {
	return func(func(batch.Job, error) bool) {}
}

func (noJobs) Stop(context.Context, string) error { return batch.ErrConflict }

// noModel is never asked: what is staged reads as empty.
type noModel struct{}

func (noModel) Answer(context.Context, string, batch.Invocation, []byte) ([]byte, error) {
	return nil, fmt.Errorf("a model was asked while nothing was to be run: %w", batch.ErrInvalid)
}
