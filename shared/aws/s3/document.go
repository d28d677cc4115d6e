package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// Get implements batch.Documents.
func (b *Bucket) Get(ctx context.Context, key string) ([]byte, batch.Object, error) {
	out, err := b.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return nil, batch.Object{}, readFault(ctx, err, "get %s", b.uri(key))
	}
	defer out.Body.Close()
	var body bytes.Buffer
	body.Grow(int(aws.ToInt64(out.ContentLength)) + bytes.MinRead)
	if _, err := io.Copy(&body, out.Body); err != nil {
		return nil, batch.Object{}, fault.Of(ctx, err, "read %s", b.uri(key))
	}
	return body.Bytes(), batch.Object{
		Key:      key,
		Version:  aws.ToString(out.VersionId),
		ETag:     unquote(out.ETag),
		Size:     int64(body.Len()),
		Modified: aws.ToTime(out.LastModified),
	}, nil
}

// Put implements batch.Documents. The SDK repeats a call whose answer was
// lost, so that a conditional Put may lose against its own first try:
// batch.ErrPrecondition then does not say whose write stands there. The caller
// tells by reading it.
func (b *Bucket) Put(ctx context.Context, key string, body []byte, cond batch.Condition) (string, error) {
	if cond.IfAbsent && cond.IfMatch != "" {
		return "", fmt.Errorf("put %s: both IfAbsent and IfMatch are set: %w", b.uri(key), batch.ErrInvalid)
	}
	in := &s3.PutObjectInput{
		Bucket: &b.name, Key: &key,
		Body:          bytes.NewReader(body),
		ContentLength: aws.Int64(int64(len(body))),
		ChecksumCRC32: checksum(body),
		IfMatch:       quote(cond.IfMatch),
	}
	if cond.IfAbsent {
		in.IfNoneMatch = aws.String("*")
	}
	out, err := b.api.PutObject(ctx, in, unsigned)
	if err != nil {
		// There is nothing that could match.
		if cond.IfMatch != "" && fault.Code(err) == "NoSuchKey" && ctx.Err() == nil {
			return "", fmt.Errorf("put %s: %w", b.uri(key), &batch.ServiceError{
				Class: batch.ErrPrecondition, Code: "NoSuchKey", Message: "the object to replace is not there", Status: fault.Status(err),
			})
		}
		return "", fault.Of(ctx, err, "put %s", b.uri(key))
	}
	return unquote(out.ETag), nil
}

// Delete implements batch.Documents, a thousand keys a call.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	for some := range slices.Chunk(keys, deleteBatch) {
		ids := make([]types.ObjectIdentifier, len(some))
		for i := range some {
			ids[i].Key = &some[i]
		}
		out, err := b.api.DeleteObjects(ctx, &s3.DeleteObjectsInput{
			Bucket: &b.name,
			Delete: &types.Delete{Objects: ids, Quiet: aws.Bool(true)},
		})
		if err != nil {
			return fault.Of(ctx, err, "delete %d objects from %s, the first %s", len(some), b.name, some[0])
		}
		if err := b.undeleted(out.Errors); err != nil {
			return err
		}
	}
	return nil
}

// undeleted is the error of a call that succeeded for some keys only. It names
// the first few.
func (b *Bucket) undeleted(failed []types.Error) error {
	const named = 3
	var errs []error
	for _, f := range failed {
		code, message := aws.ToString(f.Code), aws.ToString(f.Message)
		class := fault.Class(code, message, statusOf(code), false)
		if errors.Is(class, batch.ErrNotFound) && code != "NoSuchBucket" {
			continue
		}
		if len(errs) < named {
			errs = append(errs, fmt.Errorf("delete %s: %w", b.uri(aws.ToString(f.Key)), &batch.ServiceError{Class: class, Code: code, Message: message}))
		}
	}
	if len(errs) == named && len(failed) > named {
		errs = append(errs, fmt.Errorf("%d of the keys could not be deleted", len(failed)))
	}
	return errors.Join(errs...)
}

// statusOf stands in for the HTTP status that errors inside an answer lack.
func statusOf(code string) int {
	if code == "InternalError" || code == "ServiceUnavailable" {
		return 500
	}
	return 400
}

// List implements batch.Documents. The listed objects carry no version.
func (b *Bucket) List(ctx context.Context, prefix, after string) iter.Seq2[batch.Object, error] {
	return func(yield func(batch.Object, error) bool) {
		in := &s3.ListObjectsV2Input{
			Bucket: &b.name, Prefix: given(prefix), StartAfter: given(after),
			// XML cannot carry every key that S3 can.
			EncodingType: types.EncodingTypeUrl,
		}
		for {
			out, err := b.api.ListObjectsV2(ctx, in)
			if err != nil {
				yield(batch.Object{}, fault.Of(ctx, err, "list %s", b.uri(prefix)))
				return
			}
			for _, entry := range out.Contents {
				key := aws.ToString(entry.Key)
				// Not every server of this API honours the encoding.
				if out.EncodingType == types.EncodingTypeUrl {
					if key, err = url.QueryUnescape(key); err != nil {
						yield(batch.Object{}, fmt.Errorf("list %s: key %q: %w: %w", b.uri(prefix), aws.ToString(entry.Key), err, batch.ErrInvalid))
						return
					}
				}
				object := batch.Object{
					Key:      key,
					ETag:     unquote(entry.ETag),
					Size:     aws.ToInt64(entry.Size),
					Modified: aws.ToTime(entry.LastModified),
				}
				if !yield(object, nil) {
					return
				}
			}
			if !aws.ToBool(out.IsTruncated) {
				return
			}
			in.ContinuationToken = out.NextContinuationToken
		}
	}
}

// copySource writes a source as the copy header wants it: every byte that
// could mean something is escaped, '+' too.
func copySource(bucket, key, version string) string {
	const hex = "0123456789ABCDEF"
	var s strings.Builder
	s.WriteString(bucket)
	s.WriteByte('/')
	for i := range len(key) {
		c := key[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("/-_.~", c) >= 0:
			s.WriteByte(c)
		default:
			s.WriteByte('%')
			s.WriteByte(hex[c>>4])
			s.WriteByte(hex[c&15])
		}
	}
	if version != "" {
		s.WriteString("?versionId=" + url.QueryEscape(version))
	}
	return s.String()
}
