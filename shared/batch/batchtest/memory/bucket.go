package memory

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// BucketOptions are a Bucket's. The zero value is an unversioned bucket with
// the page and part sizes of S3.
type BucketOptions struct {
	Name      string // default "bucket"
	Versioned bool
	Clock     *Clock
	Hook      Hook
	// Page is the most objects of one page of a listing: 1000.
	Page int
	// Piece is the most bytes that one Read returns: 64 KiB. Smaller ones
	// put more calls of the Hook into a stream.
	Piece int
	// Part is how many bytes of an object being written make one call: 8 MiB.
	Part int
}

// Bucket is a batch.Bucket in memory: strongly consistent, with conditional
// writes, entity tags like S3's (equal bytes written in one call have equal
// tags) and, where asked, versions and delete markers.
type Bucket struct {
	set BucketOptions

	mu      sync.Mutex
	keys    []string // with a current object, sorted
	objects map[string][]*version
	serial  int
	watch   []func(batch.Object)
}

var _ batch.Bucket = (*Bucket)(nil)

type version struct {
	id       string
	data     []byte // never changed
	etag     string
	modified time.Time
	marker   bool
}

// NewBucket makes an empty bucket.
func NewBucket(set BucketOptions) *Bucket {
	set.Clock = orEpoch(set.Clock)
	set.Name = cmp.Or(set.Name, "bucket")
	set.Page = cmp.Or(set.Page, 1000)
	set.Piece = cmp.Or(set.Piece, 64<<10)
	set.Part = cmp.Or(set.Part, 8<<20)
	return &Bucket{set: set, objects: make(map[string][]*version)}
}

// Name is the bucket's name.
func (b *Bucket) Name() string { return b.set.Name }

// Hooked is the same bucket seen through another hook, as by another
// invocation.
func (b *Bucket) Hooked(hook Hook) batch.Bucket { return &view{b, hook} }

// Watch has f called after every object that comes to stand in the bucket, by
// whoever wrote it, before the writer sees its call return.
func (b *Bucket) Watch(f func(batch.Object)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watch = append(b.watch, f)
}

// Set puts an object without going through a Hook, as somebody else would.
func (b *Bucket) Set(key string, data []byte) batch.Object {
	o, _ := b.put(key, bytes.Clone(data), batch.Condition{}, tag(data))
	return o
}

// Bytes is the current object under key; nil if there is none.
func (b *Bucket) Bytes(key string) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if v := b.find(key, ""); v != nil {
		return bytes.Clone(v.data)
	}
	return nil
}

// Keys are the keys of all current objects below prefix, in order.
func (b *Bucket) Keys(prefix string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	from, _ := slices.BinarySearch(b.keys, prefix)
	var keys []string
	for _, key := range b.keys[from:] {
		if !strings.HasPrefix(key, prefix) {
			break
		}
		keys = append(keys, key)
	}
	return keys
}

// find is the version of key, nil if it does not exist or marks a deletion.
// The lock is held.
func (b *Bucket) find(key, id string) *version {
	all := b.objects[key]
	if id == "" {
		if n := len(all); n > 0 && !all[n-1].marker {
			return all[n-1]
		}
		return nil
	}
	for _, v := range all {
		if v.id == id && !v.marker {
			return v
		}
	}
	return nil
}

func (v *version) object(key string) batch.Object {
	return batch.Object{Key: key, Version: v.id, ETag: v.etag, Size: int64(len(v.data)), Modified: v.modified}
}

// put makes data, which is handed over, the current object.
func (b *Bucket) put(key string, data []byte, cond batch.Condition, etag string) (batch.Object, error) {
	if key == "" || len(key) > 1024 {
		return batch.Object{}, fmt.Errorf("a key of %d bytes: %w", len(key), batch.ErrInvalid)
	}
	if cond.IfAbsent && cond.IfMatch != "" {
		return batch.Object{}, fmt.Errorf("both IfAbsent and IfMatch: %w", batch.ErrInvalid)
	}
	b.mu.Lock()
	now := b.find(key, "")
	switch {
	case cond.IfAbsent && now != nil, cond.IfMatch != "" && (now == nil || now.etag != cond.IfMatch):
		b.mu.Unlock()
		return batch.Object{}, batch.ErrPrecondition
	}
	v := &version{data: data, etag: etag, modified: b.set.Clock.Now().Truncate(time.Second)}
	if b.set.Versioned {
		b.serial++
		v.id = fmt.Sprintf("v%010d", b.serial)
		b.objects[key] = append(b.objects[key], v)
	} else {
		b.objects[key] = []*version{v}
	}
	if i, found := slices.BinarySearch(b.keys, key); !found {
		b.keys = slices.Insert(b.keys, i, key)
	}
	o, watch := v.object(key), slices.Clone(b.watch)
	b.mu.Unlock()
	for _, f := range watch {
		f(o)
	}
	return o, nil
}

func (b *Bucket) remove(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, found := slices.BinarySearch(b.keys, key)
	if !found {
		return
	}
	b.keys = slices.Delete(b.keys, i, i+1)
	if !b.set.Versioned {
		delete(b.objects, key)
		return
	}
	b.serial++
	b.objects[key] = append(b.objects[key], &version{id: fmt.Sprintf("v%010d", b.serial), marker: true})
}

// tag is the entity tag of an object written in one call.
func tag(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

// partsTag is the entity tag of an object made of parts.
func partsTag(parts [][]byte) string {
	whole := md5.New()
	for _, part := range parts {
		sum := md5.Sum(part)
		whole.Write(sum[:])
	}
	return hex.EncodeToString(whole.Sum(nil)) + "-" + strconv.Itoa(len(parts))
}

// The methods of the ports go through the bucket's own hook.

// Get implements batch.Documents.
func (b *Bucket) Get(ctx context.Context, key string) ([]byte, batch.Object, error) {
	return b.own().Get(ctx, key)
}

// Put implements batch.Documents.
func (b *Bucket) Put(ctx context.Context, key string, body []byte, cond batch.Condition) (string, error) {
	return b.own().Put(ctx, key, body, cond)
}

// Delete implements batch.Documents.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	return b.own().Delete(ctx, keys...)
}

// List implements batch.Documents.
func (b *Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[batch.Object, error] {
	return b.own().List(ctx, prefix, after)
}

// Stat implements batch.Files.
func (b *Bucket) Stat(ctx context.Context, key, version string) (batch.Object, error) {
	return b.own().Stat(ctx, key, version)
}

// Open implements batch.Files.
func (b *Bucket) Open(ctx context.Context, key, version string, off, end int64) (io.ReadCloser, error) {
	return b.own().Open(ctx, key, version, off, end)
}

// Create implements batch.Files.
func (b *Bucket) Create(ctx context.Context, key string) (batch.Writer, error) {
	return b.own().Create(ctx, key)
}

// Compose implements batch.Files.
func (b *Bucket) Compose(ctx context.Context, key string, pieces []batch.Object) error {
	return b.own().Compose(ctx, key, pieces)
}

func (b *Bucket) own() *view { return &view{b, b.set.Hook} }
