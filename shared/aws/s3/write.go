package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// abortTime bounds the clean-up of an upload whose context has ended already.
const abortTime = 10 * time.Second

// Create implements batch.Files. What fits one part is put by one call at
// Commit; more becomes a multipart upload with several parts in flight. The
// writer works under ctx until Commit or Abort. The committed object's
// description lacks the time of modification, which the service does not
// tell.
func (b *Bucket) Create(ctx context.Context, key string) (batch.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("create %s: %w", b.uri(key), err)
	}
	w := &writer{bucket: b, key: key}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w, nil
}

// smallObject is how large an object may grow before it is given a part's
// buffer: most that are written beside records and results stay small.
const (
	smallObject = 2 << 20
	tinyObject  = 64 << 10 // and how large before it gets that much room
)

type writer struct {
	ctx    context.Context
	cancel context.CancelFunc
	bucket *Bucket
	key    string

	small  []byte  // all that was written, while it is little
	buf    *[]byte // being filled; nil: none
	n      int     // bytes in buf
	crc    uint32  // of the first summed bytes in buf
	summed int
	size   int64
	up     *upload // nil: all fits buf so far
	err    error
	done   chan outcome // of what Finish began; nil: it has not been called
	over   bool         // committed or aborted
}

// outcome is what came of a commit.
type outcome struct {
	object batch.Object
	err    error
}

func (w *writer) Write(p []byte) (int, error) {
	if w.over || w.done != nil {
		return 0, fmt.Errorf("write %s: after finish, commit or abort: %w", w.bucket.uri(w.key), batch.ErrInvalid)
	}
	if w.err != nil {
		return 0, w.err
	}
	total := 0
	if w.size+int64(len(p)) <= smallObject {
		if n := len(w.small) + len(p); n > cap(w.small) && n > tinyObject {
			w.small = append(make([]byte, 0, smallObject), w.small...)
		}
		w.small = append(w.small, p...)
		w.size += int64(len(p))
		return len(p), nil
	}
	for len(p) > 0 {
		if w.buf == nil {
			w.buf = w.bucket.buffer()
			w.n = copy(*w.buf, w.small)
			w.small = nil
		}
		if w.n == len(*w.buf) { // full, and more is coming
			if w.err = w.flush(); w.err != nil {
				return total, w.err
			}
			continue
		}
		n := copy((*w.buf)[w.n:], p)
		if w.n += n; w.n-w.summed >= sumEvery {
			w.sum()
		}
		p = p[n:]
		total += n
		w.size += int64(n)
	}
	return total, nil
}

// sumEvery is how many bytes are summed up at once: while they are still in
// the processor's cache.
const sumEvery = 64 << 10

// sum brings the CRC-32 up to what is in the buffer.
func (w *writer) sum() {
	w.crc = crc32.Update(w.crc, crc32.IEEETable, (*w.buf)[w.summed:w.n])
	w.summed = w.n
}

// flush hands the buffer to the upload.
func (w *writer) flush() error {
	if w.up == nil {
		up, err := w.bucket.begin(w.ctx, w.key, true)
		if err != nil {
			return err
		}
		w.up = up
	}
	w.sum()
	buf, data, sum := w.buf, (*w.buf)[:w.n], sumText(w.crc)
	w.buf, w.n, w.crc, w.summed = nil, 0, 0, 0
	return w.up.add(func(ctx context.Context, number int32) (types.CompletedPart, error) {
		defer w.bucket.free(buf)
		return w.up.send(ctx, number, data, sum)
	}, func() { w.bucket.free(buf) })
}

// Finish implements batch.Writer.
func (w *writer) Finish() {
	if w.over || w.done != nil || w.err != nil {
		return
	}
	w.done = make(chan outcome, 1)
	go func() {
		object, err := w.commit()
		w.done <- outcome{object, err}
	}()
}

// Commit implements batch.Writer.
func (w *writer) Commit() (batch.Object, error) {
	if w.over {
		return batch.Object{}, fmt.Errorf("commit %s: after commit or abort: %w", w.bucket.uri(w.key), batch.ErrInvalid)
	}
	if w.err != nil {
		return batch.Object{}, w.err
	}
	w.Finish()
	o := <-w.done
	if o.err != nil {
		w.err = o.err
		return batch.Object{}, o.err
	}
	w.over = true
	w.cancel()
	return o.object, nil
}

func (w *writer) commit() (batch.Object, error) {
	if w.up == nil {
		data := w.small
		if w.buf != nil {
			data = (*w.buf)[:w.n]
		}
		object, err := w.bucket.put(w.ctx, w.key, data)
		if err == nil {
			w.release()
		}
		return object, err
	}
	if w.buf != nil {
		if err := w.flush(); err != nil {
			return batch.Object{}, err
		}
	}
	return w.up.complete(w.size)
}

// Abort implements batch.Writer.
func (w *writer) Abort() {
	if w.over {
		return
	}
	w.over = true
	w.cancel()
	if w.done != nil && w.err == nil {
		<-w.done // it uses the buffer, and the upload
	}
	w.release()
	if w.up != nil {
		w.up.abort()
	}
}

func (w *writer) release() {
	if w.buf != nil {
		w.bucket.free(w.buf)
		w.buf = nil
	}
}

// put writes a whole object by one call.
func (b *Bucket) put(ctx context.Context, key string, data []byte) (batch.Object, error) {
	out, err := b.api.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: &key,
		Body:          bytes.NewReader(data),
		ContentLength: aws.Int64(int64(len(data))),
		ChecksumCRC32: checksum(data),
	}, unsigned)
	if err != nil {
		return batch.Object{}, fault.Of(ctx, err, "write %s", b.uri(key))
	}
	return batch.Object{Key: key, Version: aws.ToString(out.VersionId), ETag: unquote(out.ETag), Size: int64(len(data))}, nil
}

// upload is a multipart upload under way. Its parts are sent by a bounded
// number of goroutines; it is driven by one.
type upload struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	bucket *Bucket
	key    string
	id     string

	flying sync.WaitGroup
	parts  []*types.CompletedPart // each written by its own goroutine
	failed chan error             // the first failure
}

// begin starts a multipart upload; summed: its parts carry a CRC-32 of ours.
// Copied parts cannot.
func (b *Bucket) begin(ctx context.Context, key string, summed bool) (*upload, error) {
	in := &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: &key}
	options := []func(*s3.Options){plainParts}
	if summed {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmCrc32
		options = nil
	}
	out, err := b.api.CreateMultipartUpload(ctx, in, options...)
	if err != nil {
		return nil, fault.Of(ctx, err, "begin upload of %s", b.uri(key))
	}
	u := &upload{
		bucket: b, key: key, id: aws.ToString(out.UploadId),
		failed: make(chan error, 1),
	}
	u.ctx, u.cancel = context.WithCancelCause(ctx)
	return u, nil
}

// add runs send for the next part as soon as there is room, or drop if it
// never will. The error is an earlier part's.
func (u *upload) add(send func(ctx context.Context, number int32) (types.CompletedPart, error), drop func()) error {
	if len(u.parts) == maxParts {
		drop()
		return fmt.Errorf("write %s: over %d parts of %d bytes: choose larger parts: %w", u.bucket.uri(u.key), maxParts, u.bucket.set.PartBytes, batch.ErrInvalid)
	}
	select {
	case u.bucket.slots <- struct{}{}:
	case <-u.ctx.Done():
		drop()
		return u.failure()
	}
	place := new(types.CompletedPart)
	u.parts = append(u.parts, place)
	number := int32(len(u.parts))
	u.flying.Go(func() {
		defer func() { <-u.bucket.slots }()
		part, err := send(u.ctx, number)
		if err != nil {
			select {
			case u.failed <- err:
				u.cancel(err)
			default:
			}
			return
		}
		*place = part
	})
	return nil
}

// send uploads one part; sum is its CRC-32, nil if parts have none.
func (u *upload) send(ctx context.Context, number int32, data []byte, sum *string) (types.CompletedPart, error) {
	in := &s3.UploadPartInput{
		Bucket: &u.bucket.name, Key: &u.key, UploadId: &u.id, PartNumber: &number,
		Body:          bytes.NewReader(data),
		ContentLength: aws.Int64(int64(len(data))),
		ChecksumCRC32: sum,
	}
	option := plainParts
	if sum != nil {
		option = unsigned
	}
	out, err := u.bucket.api.UploadPart(ctx, in, option)
	if err != nil {
		return types.CompletedPart{}, u.fault(ctx, err, "upload part %d of %s", number, u.bucket.uri(u.key))
	}
	return types.CompletedPart{PartNumber: &number, ETag: out.ETag, ChecksumCRC32: in.ChecksumCRC32}, nil
}

// failure is the error of the part that failed first, or of the context.
func (u *upload) failure() error {
	select {
	case err := <-u.failed:
		u.failed <- err
		return err
	default:
	}
	if err := u.ctx.Err(); err != nil {
		return fmt.Errorf("write %s: %w", u.bucket.uri(u.key), err)
	}
	return nil
}

// complete waits for the parts and makes the object of them.
func (u *upload) complete(size int64) (batch.Object, error) {
	u.flying.Wait()
	if err := u.failure(); err != nil {
		return batch.Object{}, err
	}
	parts := make([]types.CompletedPart, len(u.parts))
	for i, place := range u.parts {
		parts[i] = *place
	}
	out, err := u.bucket.api.CompleteMultipartUpload(u.ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.bucket.name, Key: &u.key, UploadId: &u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if err != nil {
		return batch.Object{}, u.fault(u.ctx, err, "complete upload of %s", u.bucket.uri(u.key))
	}
	u.cancel(nil)
	return batch.Object{Key: u.key, Version: aws.ToString(out.VersionId), ETag: unquote(out.ETag), Size: size}, nil
}

// abort ends the parts in flight and forgets the upload, with time of its own:
// the usual reason is that the context has ended. What cannot be forgotten now
// is removed by the bucket's lifecycle rule for incomplete uploads.
func (u *upload) abort() {
	u.cancel(errAborted)
	u.flying.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), abortTime)
	defer cancel()
	_, _ = u.bucket.api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &u.bucket.name, Key: &u.key, UploadId: &u.id,
	})
}

var errAborted = errors.New("upload aborted")

// fault classifies the error of a call on the upload. An upload that is gone
// was ended by somebody: by the lifecycle rule, or by a first try of this very
// call, so that the object may be there.
func (u *upload) fault(ctx context.Context, err error, format string, args ...any) error {
	if ctx.Err() == nil && fault.Code(err) == "NoSuchUpload" {
		return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), &batch.ServiceError{
			Class: batch.ErrUnavailable, Code: "NoSuchUpload", Message: "the upload has ended already, perhaps by an earlier try of this call", Status: 404,
		})
	}
	return fault.Of(ctx, err, format, args...)
}

// checksum is the CRC-32 of data as S3 writes it.
func checksum(data []byte) *string { return sumText(crc32.ChecksumIEEE(data)) }

func sumText(crc uint32) *string {
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc)
	return aws.String(base64.StdEncoding.EncodeToString(sum[:]))
}
