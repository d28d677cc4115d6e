// Package s3 is one bucket of Amazon S3: small documents with conditional
// writes, and large files as streams in flat memory.
package s3

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

const (
	// minPart is the least size of a part that is not the last.
	minPart = 5 << 20
	// maxPart is the greatest size of a part, copied or uploaded.
	maxPart = 5 << 30
	// maxParts is the greatest number of parts of one object.
	maxParts = 10_000
	// deleteBatch is the greatest number of keys in one delete call.
	deleteBatch = 1000
)

// API is the part of the SDK's client that a Bucket uses.
type API interface {
	HeadObject(context.Context, *s3.HeadObjectInput, ...func(*s3.Options)) (*s3.HeadObjectOutput, error)
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	DeleteObjects(context.Context, *s3.DeleteObjectsInput, ...func(*s3.Options)) (*s3.DeleteObjectsOutput, error)
	ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (*s3.ListObjectsV2Output, error)
	CreateMultipartUpload(context.Context, *s3.CreateMultipartUploadInput, ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error)
	UploadPart(context.Context, *s3.UploadPartInput, ...func(*s3.Options)) (*s3.UploadPartOutput, error)
	UploadPartCopy(context.Context, *s3.UploadPartCopyInput, ...func(*s3.Options)) (*s3.UploadPartCopyOutput, error)
	CompleteMultipartUpload(context.Context, *s3.CompleteMultipartUploadInput, ...func(*s3.Options)) (*s3.CompleteMultipartUploadOutput, error)
	AbortMultipartUpload(context.Context, *s3.AbortMultipartUploadInput, ...func(*s3.Options)) (*s3.AbortMultipartUploadOutput, error)
}

// Settings bound memory and concurrency. The zero value stands for the
// defaults.
//
// An open reader holds at most Reads buffers of PartBytes, each writer one, and
// all writers and compositions of a Bucket together Writes more: with the
// defaults 24, 8 and 24 MiB. Buffers are pooled for the whole Bucket.
type Settings struct {
	// PartBytes is the size of a ranged read and of an uploaded part: 8 MiB,
	// not under 5 MiB. An object written as a stream has at most 10,000 parts.
	PartBytes int64
	// Reads is the number of ranged reads of one reader in flight: 3.
	Reads int
	// Writes is the number of uploads or copies in flight, of all writers of
	// the Bucket: 3.
	Writes int
}

func (s Settings) withDefaults() Settings {
	if s.PartBytes == 0 {
		s.PartBytes = 8 << 20
	}
	s.PartBytes = max(s.PartBytes, minPart)
	if s.Reads < 1 {
		s.Reads = 3
	}
	if s.Writes < 1 {
		s.Writes = 3
	}
	return s
}

// Bucket implements batch.Bucket. It may be used by any number of goroutines.
type Bucket struct {
	api     API
	name    string
	set     Settings
	buffers *sync.Pool    // of *[]byte with PartBytes
	slots   chan struct{} // held by each upload or copy in flight
}

var _ batch.Bucket = (*Bucket)(nil)

// New makes a Bucket from the SDK's configuration.
func New(cfg aws.Config, name string, settings Settings) *Bucket {
	return Over(NewClient(cfg), name, settings)
}

// NewClient makes a client that several Buckets can share. Bodies are sent
// with a CRC-32 of their own and are not hashed a second time for the
// signature: over TLS the SDK would not either, over plain HTTP it would cost
// more than everything else together.
func NewClient(cfg aws.Config) *s3.Client {
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.DisableLogOutputChecksumValidationSkipped = true
	})
}

// Over makes a Bucket over a client.
func Over(api API, name string, settings Settings) *Bucket {
	set := settings.withDefaults()
	return &Bucket{api: api, name: name, set: set, slots: make(chan struct{}, set.Writes), buffers: &sync.Pool{New: func() any {
		b := make([]byte, set.PartBytes)
		return &b
	}}}
}

// Name is the bucket's name.
func (b *Bucket) Name() string { return b.name }

func (b *Bucket) buffer() *[]byte       { return b.buffers.Get().(*[]byte) }
func (b *Bucket) free(buf *[]byte)      { b.buffers.Put(buf) }
func (b *Bucket) uri(key string) string { return "s3://" + b.name + "/" + key }

// versioned is uri with the version, for error messages.
func (b *Bucket) versioned(key, version string) string {
	if version == "" {
		return b.uri(key)
	}
	return b.uri(key) + "?versionId=" + version
}

// unsigned keeps the SDK from hashing the body for the signature.
func unsigned(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

// plainParts keeps the SDK from adding checksums to parts that stand among
// copied ones, which have none.
func plainParts(o *s3.Options) {
	unsigned(o)
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
}

// Stat implements batch.Files.
func (b *Bucket) Stat(ctx context.Context, key, version string) (batch.Object, error) {
	out, err := b.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key, VersionId: given(version)})
	if err != nil {
		return batch.Object{}, readFault(ctx, err, "stat %s", b.versioned(key, version))
	}
	return batch.Object{
		Key:      key,
		Version:  aws.ToString(out.VersionId),
		ETag:     unquote(out.ETag),
		Size:     aws.ToInt64(out.ContentLength),
		Modified: aws.ToTime(out.LastModified),
	}, nil
}

// readFault classifies the error of a read. A version that is a delete marker
// answers 405 and is as good as absent.
func readFault(ctx context.Context, err error, format string, args ...any) error {
	if ctx.Err() == nil && fault.Status(err) == 405 {
		return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), &batch.ServiceError{
			Class: batch.ErrNotFound, Code: "DeleteMarker", Message: "this version marks a deletion", Status: 405,
		})
	}
	return fault.Of(ctx, err, format, args...)
}

// unquote takes an entity tag out of its quotes.
func unquote(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }

func quote(etag string) *string {
	if etag == "" {
		return nil
	}
	return aws.String(`"` + etag + `"`)
}

func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
