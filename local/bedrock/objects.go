package bedrock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// S3 reaches the S3 endpoint with the keys of whoever is asked for; it is what
// Config.Objects wants.
func S3(endpoint string) func(*access.Principal) ObjectStore {
	// One transport for all: jobs come and go.
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8, DisableCompression: true}}
	return func(p *access.Principal) ObjectStore {
		return &objects{s3.New(s3.Options{
			BaseEndpoint:               aws.String(endpoint),
			Region:                     access.Region,
			UsePathStyle:               true,
			Credentials:                credentials.NewStaticCredentialsProvider(p.AccessKeyID, p.Secret, ""),
			HTTPClient:                 client,
			RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		})}
	}
}

type objects struct{ api *s3.Client }

// because maps the API's errors onto this package's.
func because(what string, err error) error {
	if err == nil {
		return nil
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "AccessDenied", "Forbidden", "AllAccessDisabled":
			return fmt.Errorf("%s: %w: %s", what, ErrDenied, api.ErrorMessage())
		case "NoSuchKey", "NoSuchBucket", "NotFound":
			return fmt.Errorf("%s: %w", what, ErrAbsent)
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// List yields the objects below prefix.
func (o *objects) List(ctx context.Context, bucket, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		pages := s3.NewListObjectsV2Paginator(o.api, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Object{}, because("list s3://"+bucket+"/"+prefix, err))
				return
			}
			for _, item := range page.Contents {
				if !yield(Object{Key: aws.ToString(item.Key), Size: aws.ToInt64(item.Size)}, nil) {
					return
				}
			}
		}
	}
}

// Open streams an object.
func (o *objects) Open(ctx context.Context, bucket, key string) (io.ReadCloser, error) {
	out, err := o.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, because("get s3://"+bucket+"/"+key, err)
	}
	return out.Body, nil
}

// MayPut writes on the condition that the object is there with an ETag that no
// object has: rights are looked at before the condition, and nothing is stored.
func (o *objects) MayPut(ctx context.Context, bucket, key string) error {
	_, err := o.api.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key,
		Body: strings.NewReader("{}"), IfMatch: aws.String(`"00000000000000000000000000000000"`)})
	var api smithy.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "PreconditionFailed", "NoSuchKey", "NotFound":
			return nil
		}
	}
	return because("put s3://"+bucket+"/"+key, err)
}

// partSize is a part of a multipart upload, and all that is held in memory.
const partSize = 8 << 20

// Put stores body, in parts if it is longer than one.
func (o *objects) Put(ctx context.Context, bucket, key string, body io.Reader) error {
	what := "put s3://" + bucket + "/" + key
	buf := make([]byte, partSize)
	n, err := io.ReadFull(body, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		_, err := o.api.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(buf[:n])})
		return because(what, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	upload, err := o.api.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return because(what, err)
	}
	if err := o.parts(ctx, upload, buf, n, body); err != nil {
		_, abortErr := o.api.AbortMultipartUpload(context.WithoutCancel(ctx), &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: upload.UploadId})
		return errors.Join(because(what, err), because("abort "+what, abortErr))
	}
	return nil
}

func (o *objects) parts(ctx context.Context, upload *s3.CreateMultipartUploadOutput, buf []byte, n int, body io.Reader) error {
	var done []types.CompletedPart
	for last := false; ; {
		number := aws.Int32(int32(len(done) + 1))
		out, err := o.api.UploadPart(ctx, &s3.UploadPartInput{Bucket: upload.Bucket, Key: upload.Key, UploadId: upload.UploadId,
			PartNumber: number, Body: bytes.NewReader(buf[:n])})
		if err != nil {
			return err
		}
		done = append(done, types.CompletedPart{ETag: out.ETag, PartNumber: number})
		if last {
			break
		}
		n, err = io.ReadFull(body, buf)
		switch {
		case errors.Is(err, io.EOF):
			n = 0
		case errors.Is(err, io.ErrUnexpectedEOF):
			last = true
		case err != nil:
			return err
		}
		if n == 0 {
			break
		}
	}
	_, err := o.api.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: upload.Bucket, Key: upload.Key,
		UploadId: upload.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done}})
	return err
}
