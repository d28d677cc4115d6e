package batch

import (
	"context"
	"io"
	"iter"
	"time"
)

// Object is what is known of one version of one object.
type Object struct {
	Key      string
	Version  string // empty where the bucket keeps no versions
	ETag     string // without quotes; opaque
	Size     int64
	Modified time.Time // whole seconds
}

// Condition limits a Put. The zero value puts unconditionally.
type Condition struct {
	// IfAbsent: only if no object stands under the key.
	IfAbsent bool
	// IfMatch: only if the object standing under the key has this ETag.
	IfMatch string
}

// Documents are small objects (state, markers, settings) of one bucket: read
// whole, written whole. Reads and listings see every write that has returned.
type Documents interface {
	// Get reads an object whole with its description. ErrNotFound if there
	// is none; ErrAccess if the caller may not know.
	Get(ctx context.Context, key string) ([]byte, Object, error)
	// Put writes an object whole and returns its new ETag. ErrPrecondition
	// if cond does not hold; of several conditional writes at once exactly
	// one wins. After ErrUnavailable the write may have taken effect.
	Put(ctx context.Context, key string, body []byte, cond Condition) (etag string, err error)
	// Delete removes objects; one that is not there is no error. It may be
	// called twice. After an error some may be gone.
	Delete(ctx context.Context, keys ...string) error
	// List yields the objects whose key begins with prefix and comes after
	// the key after (may be empty), in byte order of their keys. An error
	// ends the sequence.
	List(ctx context.Context, prefix, after string) iter.Seq2[Object, error]
}

// Whole is the end of a range that goes to the object's end.
const Whole int64 = -1

// Files are large objects of one bucket: read and written as streams in flat
// memory.
type Files interface {
	// Stat describes a version of an object (the current one if version is
	// empty). ErrNotFound if the object or version does not exist or is a
	// delete marker.
	Stat(ctx context.Context, key, version string) (Object, error)
	// Open reads the bytes from off up to but not including end (Whole: to
	// the object's end). An empty range reads nothing. Errors as Stat; a
	// Read may fail at any byte with ErrUnavailable. Close it always.
	Open(ctx context.Context, key, version string, off, end int64) (io.ReadCloser, error)
	// Create begins an object. Nothing is visible under the key before
	// Commit returns nil; Commit replaces what stood there.
	Create(ctx context.Context, key string) (Writer, error)
	// Compose writes the concatenation of the pieces, objects of the same
	// bucket, under key, without the bytes passing through here where the
	// service can copy them itself. It may be called twice. No piece at all
	// makes an empty object.
	Compose(ctx context.Context, key string, pieces []Object) error
}

// Writer is an object being written. It is used by one goroutine.
type Writer interface {
	io.Writer
	// Finish says that all is written. What Commit waits for may begin, beside
	// what the caller does until then; the object may become visible.
	Finish()
	// Commit makes the object visible, whole. After ErrUnavailable it may
	// have taken effect.
	Commit() (Object, error)
	// Abort gives up what was written; after Commit it does nothing. Call it
	// always, deferred.
	Abort()
}

// Bucket is both views of one bucket.
type Bucket interface {
	Documents
	Files
}
