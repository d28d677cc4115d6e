package batchtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// large is more than two of the largest pieces in which an adapter may want to
// move bytes, and divides into none of them.
const large = 20<<20 + 3

// Files is the contract of batch.Files, over a bucket whose Documents hold
// theirs. A bucket with versions shows it by the objects that it writes and is
// tested for them too.
func Files(t *testing.T, open func() batch.Bucket) {
	for name, test := range map[string]func(*testing.T, batch.Bucket){
		"stat describes the current version":                          statCurrent,
		"stat of an absent object is not found":                       statAbsent,
		"stat and open of a version read that one":                    versions,
		"a version that does not exist is not found":                  versionAbsent,
		"an object that was deleted is not found":                     deletedFile,
		"open reads any range":                                        openRanges,
		"open of an empty range reads nothing but finds the object":   openEmptyRange,
		"open of a range that is none is invalid":                     openInvalid,
		"open of an absent object is not found":                       openAbsent,
		"open reads an empty object":                                  openEmpty,
		"open reads a large object in order":                          openLarge,
		"open may be closed early":                                    openEarly,
		"nothing is visible before commit":                            createInvisible,
		"commit replaces what stood there":                            createReplaces,
		"commit describes the object":                                 createDescribes,
		"create writes objects of every size":                         createSizes,
		"abort gives up what was written":                             createAbort,
		"abort after commit does nothing":                             createAbortLate,
		"a writer is of no use after commit or abort":                 createOver,
		"what is finished is committed, or given up whole":            createFinish,
		"compose of no piece makes an empty object":                   composeNone,
		"compose writes the concatenation of pieces of every size":    composeSizes,
		"compose of many small pieces writes their concatenation":     composeMany,
		"compose may be called twice":                                 composeTwice,
		"compose takes pieces whatever their key":                     composeKeys,
		"compose of a piece that is not there is not found":           composeAbsent,
		"compose of a piece that was overwritten fails the condition": composeOverwritten,
		"a context that has ended ends every call":                    filesContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open()) })
	}
}

// write makes an object through the port.
func write(t *testing.T, b batch.Files, key string, body []byte) batch.Object {
	t.Helper()
	w, err := b.Create(t.Context(), key)
	must(t, err)
	defer w.Abort()
	// In unequal pieces, as callers write.
	for i, rest := 0, body; len(rest) > 0; i++ {
		n := min(len(rest), 1+i*i*1000)
		wrote, err := w.Write(rest[:n])
		must(t, err)
		equal(t, "bytes written", wrote, n)
		rest = rest[n:]
	}
	o, err := w.Commit()
	must(t, err)
	return o
}

func read(t *testing.T, b batch.Files, key, version string, off, end int64) []byte {
	t.Helper()
	r, err := b.Open(t.Context(), key, version, off, end)
	must(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	must(t, err)
	return got
}

func statCurrent(t *testing.T, b batch.Bucket) {
	key := folder(t) + "f"
	etag, err := b.Put(t.Context(), key, []byte("12345"), batch.Condition{})
	must(t, err)
	o, err := b.Stat(t.Context(), key, "")
	must(t, err)
	equal(t, "key", o.Key, key)
	equal(t, "size", o.Size, 5)
	equal(t, "tag", o.ETag, etag)
	equal(t, "absence of a time of modification", o.Modified.IsZero(), false)
	equal(t, "fraction of the second of modification", o.Modified.Nanosecond(), 0)
	_, got, err := b.Get(t.Context(), key)
	must(t, err)
	equal(t, "version", o.Version, got.Version)
}

func statAbsent(t *testing.T, b batch.Bucket) {
	_, err := b.Stat(t.Context(), folder(t)+"absent", "")
	is(t, err, batch.ErrNotFound)
}

func versions(t *testing.T, b batch.Bucket) {
	key := folder(t) + "f"
	first := write(t, b, key, []byte("first body"))
	second := write(t, b, key, []byte("second"))
	same(t, read(t, b, key, second.Version, 0, batch.Whole), []byte("second"))
	if first.Version == "" {
		equal(t, "version", second.Version, "")
		return
	}
	o, err := b.Stat(t.Context(), key, first.Version)
	must(t, err)
	equal(t, "size of the first", o.Size, 10)
	equal(t, "tag of the first", o.ETag, first.ETag)
	equal(t, "version of the first", o.Version, first.Version)
	same(t, read(t, b, key, first.Version, 0, batch.Whole), []byte("first body"))
	same(t, read(t, b, key, first.Version, 6, 9), []byte("bod"))
	o, err = b.Stat(t.Context(), key, "")
	must(t, err)
	equal(t, "current version", o.Version, second.Version)
	must(t, b.Compose(t.Context(), key+"-both", []batch.Object{first, second}))
	same(t, read(t, b, key+"-both", "", 0, batch.Whole), []byte("first bodysecond"))
}

func versionAbsent(t *testing.T, b batch.Bucket) {
	f := folder(t)
	mine := write(t, b, f+"mine", []byte("x"))
	other := write(t, b, f+"other", []byte("y"))
	if mine.Version == "" {
		return // there are none to get wrong
	}
	_, err := b.Stat(t.Context(), f+"mine", other.Version)
	is(t, err, batch.ErrNotFound)
	_, err = b.Open(t.Context(), f+"mine", other.Version, 0, batch.Whole)
	is(t, err, batch.ErrNotFound)
}

func deletedFile(t *testing.T, b batch.Bucket) {
	key := folder(t) + "f"
	o := write(t, b, key, []byte("body"))
	must(t, b.Delete(t.Context(), key))
	_, err := b.Stat(t.Context(), key, "")
	is(t, err, batch.ErrNotFound)
	_, err = b.Open(t.Context(), key, "", 0, batch.Whole)
	is(t, err, batch.ErrNotFound)
	if o.Version != "" {
		same(t, read(t, b, key, o.Version, 0, batch.Whole), []byte("body"))
	}
}

func openRanges(t *testing.T, b batch.Bucket) {
	key := folder(t) + "f"
	body := pattern(1000, 1)
	write(t, b, key, body)
	for _, c := range [][2]int64{{0, batch.Whole}, {0, 1}, {0, 1000}, {1, 999}, {999, batch.Whole}, {999, 1000}, {500, 501}, {500, 2000}} {
		end := min(c[1], 1000)
		if c[1] == batch.Whole {
			end = 1000
		}
		same(t, read(t, b, key, "", c[0], c[1]), body[c[0]:end])
	}
	same(t, read(t, b, key, "", 1000, batch.Whole), nil)
	same(t, read(t, b, key, "", 2000, 3000), nil)
}

func openEmptyRange(t *testing.T, b batch.Bucket) {
	f := folder(t)
	write(t, b, f+"f", []byte("body"))
	same(t, read(t, b, f+"f", "", 2, 2), nil)
	same(t, read(t, b, f+"f", "", 0, 0), nil)
	_, err := b.Open(t.Context(), f+"absent", "", 0, 0)
	is(t, err, batch.ErrNotFound)
}

func openInvalid(t *testing.T, b batch.Bucket) {
	key := folder(t) + "f"
	write(t, b, key, []byte("body"))
	for _, c := range [][2]int64{{3, 2}, {-1, 2}, {0, -2}} {
		_, err := b.Open(t.Context(), key, "", c[0], c[1])
		is(t, err, batch.ErrInvalid)
	}
}

func openAbsent(t *testing.T, b batch.Bucket) {
	_, err := b.Open(t.Context(), folder(t)+"absent", "", 0, batch.Whole)
	is(t, err, batch.ErrNotFound)
}

func openEmpty(t *testing.T, b batch.Bucket) {
	key := folder(t) + "f"
	write(t, b, key, nil)
	same(t, read(t, b, key, "", 0, batch.Whole), nil)
	o, err := b.Stat(t.Context(), key, "")
	must(t, err)
	equal(t, "size", o.Size, 0)
}

func openLarge(t *testing.T, b batch.Bucket) {
	key := folder(t) + "f"
	body := pattern(large, 2)
	o := write(t, b, key, body)
	same(t, read(t, b, key, "", 0, batch.Whole), body)
	same(t, read(t, b, key, o.Version, 7, large-1), body[7:large-1])
	same(t, read(t, b, key, "", 8<<20, 16<<20), body[8<<20:16<<20])
	r, err := b.Open(t.Context(), key, "", 1, batch.Whole)
	must(t, err)
	defer r.Close()
	must(t, iotest.TestReader(struct{ io.Reader }{iotest.HalfReader(io.LimitReader(r, 5000))}, body[1:5001]))
	rest, err := io.ReadAll(r)
	must(t, err)
	same(t, rest, body[5001:])
}

func openEarly(t *testing.T, b batch.Bucket) {
	key := folder(t) + "f"
	body := pattern(large, 3)
	write(t, b, key, body)
	for _, n := range []int{0, 10, 9 << 20} {
		r, err := b.Open(t.Context(), key, "", 0, batch.Whole)
		must(t, err)
		got := make([]byte, n)
		_, err = io.ReadFull(r, got)
		must(t, err)
		same(t, got, body[:n])
		must(t, r.Close())
		if _, err := r.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Fatalf("a read after close gives %v, want an error", err)
		}
	}
}

func createInvisible(t *testing.T, b batch.Bucket) {
	key := folder(t) + "f"
	for _, n := range []int{10, large} {
		w, err := b.Create(t.Context(), key)
		must(t, err)
		defer w.Abort()
		_, err = w.Write(pattern(n, 4))
		must(t, err)
		_, err = b.Stat(t.Context(), key, "")
		is(t, err, batch.ErrNotFound)
		equal(t, "listing", len(keys(t, b, key, "")), 0)
		_, err = w.Commit()
		must(t, err)
		o, err := b.Stat(t.Context(), key, "")
		must(t, err)
		equal(t, "size", o.Size, int64(n))
		must(t, b.Delete(t.Context(), key))
	}
}

func createReplaces(t *testing.T, b batch.Bucket) {
	key := folder(t) + "f"
	write(t, b, key, []byte("first"))
	w, err := b.Create(t.Context(), key)
	must(t, err)
	defer w.Abort()
	_, err = w.Write([]byte("second"))
	must(t, err)
	same(t, read(t, b, key, "", 0, batch.Whole), []byte("first"))
	_, err = w.Commit()
	must(t, err)
	same(t, read(t, b, key, "", 0, batch.Whole), []byte("second"))
}

func createDescribes(t *testing.T, b batch.Bucket) {
	f := folder(t)
	for _, n := range []int{0, 10, large} {
		key := fmt.Sprint(f, n)
		o := write(t, b, key, pattern(n, 5))
		stat, err := b.Stat(t.Context(), key, "")
		must(t, err)
		equal(t, "key", o.Key, key)
		equal(t, "size", o.Size, int64(n))
		equal(t, "tag", o.ETag, stat.ETag)
		equal(t, "version", o.Version, stat.Version)
	}
}

func createSizes(t *testing.T, b batch.Bucket) {
	f := folder(t)
	for _, n := range []int{0, 1, 8<<20 - 1, 8 << 20, 8<<20 + 1, 16 << 20} {
		key := fmt.Sprint(f, n)
		body := pattern(n, 6)
		write(t, b, key, body)
		same(t, read(t, b, key, "", 0, batch.Whole), body)
	}
}

func createAbort(t *testing.T, b batch.Bucket) {
	key := folder(t) + "f"
	write(t, b, key, []byte("stays"))
	for _, n := range []int{0, 10, large} {
		w, err := b.Create(t.Context(), key)
		must(t, err)
		_, err = w.Write(pattern(n, 7))
		must(t, err)
		w.Abort()
		w.Abort()
		same(t, read(t, b, key, "", 0, batch.Whole), []byte("stays"))
	}
}

func createAbortLate(t *testing.T, b batch.Bucket) {
	key := folder(t) + "f"
	w, err := b.Create(t.Context(), key)
	must(t, err)
	_, err = w.Write([]byte("stays"))
	must(t, err)
	_, err = w.Commit()
	must(t, err)
	w.Abort()
	same(t, read(t, b, key, "", 0, batch.Whole), []byte("stays"))
}

func createFinish(t *testing.T, b batch.Bucket) {
	f := folder(t)
	for _, n := range []int{0, 10, large} {
		body := pattern(n, 8)
		key := fmt.Sprint(f, "committed", n)
		w, err := b.Create(t.Context(), key)
		must(t, err)
		_, err = w.Write(body)
		must(t, err)
		w.Finish()
		w.Finish()
		_, err = w.Write([]byte("late"))
		is(t, err, batch.ErrInvalid)
		o, err := w.Commit()
		must(t, err)
		equal(t, "size", o.Size, int64(n))
		same(t, read(t, b, key, "", 0, batch.Whole), body)
		w.Finish()

		// It is there whole, or not at all.
		key = fmt.Sprint(f, "aborted", n)
		w, err = b.Create(t.Context(), key)
		must(t, err)
		_, err = w.Write(body)
		must(t, err)
		w.Finish()
		w.Abort()
		if _, err := b.Stat(t.Context(), key, ""); !errors.Is(err, batch.ErrNotFound) {
			must(t, err)
			same(t, read(t, b, key, "", 0, batch.Whole), body)
		}
		_, err = w.Commit()
		is(t, err, batch.ErrInvalid)
	}
}

func createOver(t *testing.T, b batch.Bucket) {
	f := folder(t)
	for name, end := range map[string]func(batch.Writer){
		"committed": func(w batch.Writer) { _, _ = w.Commit() },
		"aborted":   func(w batch.Writer) { w.Abort() },
	} {
		w, err := b.Create(t.Context(), f+name)
		must(t, err)
		end(w)
		_, err = w.Write([]byte("late"))
		is(t, err, batch.ErrInvalid)
		_, err = w.Commit()
		is(t, err, batch.ErrInvalid)
	}
}

func filesContext(t *testing.T, b batch.Bucket) {
	key := folder(t) + "f"
	o := write(t, b, key, pattern(large, 13))
	ctx := ended(t)
	_, err := b.Stat(ctx, key, "")
	is(t, err, context.Canceled)
	_, err = b.Open(ctx, key, "", 0, batch.Whole)
	is(t, err, context.Canceled)
	_, err = b.Create(ctx, key)
	is(t, err, context.Canceled)
	is(t, b.Compose(ctx, key+"-whole", []batch.Object{o}), context.Canceled)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := b.Open(ctx, key, "", 0, batch.Whole)
	must(t, err)
	defer r.Close()
	w, err := b.Create(ctx, key+"-new")
	must(t, err)
	defer w.Abort()
	_, err = w.Write(pattern(large, 14))
	must(t, err)
	cancel()
	_, err = io.Copy(io.Discard, r)
	is(t, err, context.Canceled)
	_, err = w.Commit()
	is(t, err, context.Canceled)
	w.Abort()
	_, err = b.Stat(t.Context(), key+"-new", "")
	is(t, err, batch.ErrNotFound)
}
