package s3_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Each writer puts an object and deletes it at once, so that the folder they
// share is made and removed all the time.
func TestPutsIntoAFolderThatIsBeingEmptiedSucceed(t *testing.T) {
	bucket := aws.String("plain")
	s3c := client(shared.user)
	put(t, "plain", "source", "a body")
	cases := []struct {
		name   string
		rounds int
		put    func(ctx context.Context, key string) error
	}{
		{"a put", 50, func(ctx context.Context, key string) error {
			_, err := s3c.PutObject(ctx, &awss3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader("a body")})
			return err
		}},
		{"a put of nothing", 30, func(ctx context.Context, key string) error {
			_, err := s3c.PutObject(ctx, &awss3.PutObjectInput{Bucket: bucket, Key: &key})
			return err
		}},
		{"a put of a folder", 30, func(ctx context.Context, key string) error {
			_, err := s3c.PutObject(ctx, &awss3.PutObjectInput{Bucket: bucket, Key: aws.String(key + "/")})
			return err
		}},
		{"a copy", 40, func(ctx context.Context, key string) error {
			_, err := s3c.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: bucket, Key: &key, CopySource: aws.String("plain/source")})
			return err
		}},
		{"an upload in parts", 20, func(ctx context.Context, key string) error { return inParts(ctx, s3c, bucket, &key) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var writers sync.WaitGroup
			for w := range 8 {
				writers.Go(func() {
					for round := range c.rounds {
						key := fmt.Sprintf("waiting/%d/shared/%d-%d", round%3, w, round)
						if err := c.put(t.Context(), key); err != nil {
							t.Errorf("round %d: put %s: %v", round, key, err)
							return
						}
						if err := remove(t.Context(), s3c, bucket, key, w%2 == 0); err != nil {
							t.Errorf("round %d: delete %s: %v", round, key, err)
							return
						}
					}
				})
			}
			writers.Wait()
		})
	}
}

// remove deletes the key, and the folder of its name, alone or in one batch.
func remove(ctx context.Context, s3c *awss3.Client, bucket *string, key string, batch bool) error {
	if batch {
		out, err := s3c.DeleteObjects(ctx, &awss3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{
			Objects: []types.ObjectIdentifier{{Key: &key}, {Key: aws.String(key + "/")}},
		}})
		if err == nil && len(out.Errors) > 0 {
			err = fmt.Errorf("%s: %s", *out.Errors[0].Code, *out.Errors[0].Message)
		}
		return err
	}
	if _, err := s3c.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: bucket, Key: &key}); err != nil {
		return err
	}
	_, err := s3c.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: bucket, Key: aws.String(key + "/")})
	return err
}

func inParts(ctx context.Context, s3c *awss3.Client, bucket, key *string) error {
	up, err := s3c.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	part, err := s3c.UploadPart(ctx, &awss3.UploadPartInput{
		Bucket: bucket, Key: key, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("a part"),
	})
	if err != nil {
		return fmt.Errorf("part: %w", err)
	}
	_, err = s3c.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{
		Bucket: bucket, Key: key, UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag}}},
	})
	return err
}

func TestAKeyThatIsAFolderIsStillRefused(t *testing.T) {
	bucket := aws.String("plain")
	put(t, "plain", "source", "a body")
	put(t, "plain", "real/folder/object", "")
	_, err := client(shared.user).PutObject(t.Context(), &awss3.PutObjectInput{Bucket: bucket, Key: aws.String("real/folder"), Body: strings.NewReader("x")})
	if got := code(err); got != "ExistingObjectIsDirectory" {
		t.Errorf("put: %s", got)
	}
	_, err = client(shared.user).CopyObject(t.Context(), &awss3.CopyObjectInput{Bucket: bucket, Key: aws.String("real/folder"), CopySource: aws.String("plain/source")})
	if got := code(err); got != "ExistingObjectIsDirectory" {
		t.Errorf("copy: %s", got)
	}
}

func TestAnUploadWhoseBodyIsSlowDoesNotHoldUpDeletes(t *testing.T) {
	bucket := aws.String("plain")
	put(t, "plain", "slow/other", "")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	body := &slowBody{Reader: *strings.NewReader(strings.Repeat("a", 1<<20)), begun: make(chan struct{}), rest: make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		_, err := client(shared.user).PutObject(ctx, &awss3.PutObjectInput{Bucket: bucket, Key: aws.String("slow/object"), Body: body},
			awss3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware), func(o *awss3.Options) {
				o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired // reads the body only once
			})
		done <- err
	}()
	<-body.begun
	if err := remove(ctx, client(shared.user), bucket, "slow/other", false); err != nil {
		t.Errorf("delete while a body arrives: %v", err)
	}
	close(body.rest)
	if err := <-done; err != nil {
		t.Errorf("put: %v", err)
	}
}

// slowBody gives half of itself and the rest when told to.
type slowBody struct {
	strings.Reader
	begun, rest chan struct{}
	waited      bool
}

func (b *slowBody) Read(p []byte) (int, error) {
	half := b.Size() / 2
	if !b.waited && b.Len() <= int(half) {
		b.waited = true
		close(b.begun)
		<-b.rest
	}
	if left := b.Len() - int(half); left > 0 && len(p) > left {
		p = p[:left]
	}
	return b.Reader.Read(p)
}

// WriteTo would pass Read by.
func (b *slowBody) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{b}) }
