package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/s3"
)

// The floor's own ways: what the product's reader and writer do, without a
// byte being looked at or moved within memory.
const (
	copyPart  = 8 << 20
	copyReads = 3
)

// bareCopy copies objects of the bucket, one after the other, by ranged reads
// into pooled buffers that are uploaded as they are: the least that any
// pipeline over this client can cost.
func bareCopy(ctx context.Context, endpoint string, keys []string) error {
	client := s3.NewClient(awsConfig(endpoint))
	start := time.Now()
	var total int64
	for i, key := range keys {
		bucket, name, _ := strings.Cut(key, "/")
		n, err := copyObject(ctx, client, bucket, name, fmt.Sprintf("copy/%d", i))
		if err != nil {
			return fmt.Errorf("copy %s: %w", key, err)
		}
		total += n
	}
	return Report{Bytes: total}.finish(start)
}

func copyObject(ctx context.Context, client *sdk.Client, bucket, key, to string) (int64, error) {
	head, err := client.HeadObject(ctx, &sdk.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return 0, err
	}
	size, out := *head.ContentLength, outBucket
	up, err := client.CreateMultipartUpload(ctx, &sdk.CreateMultipartUploadInput{Bucket: &out, Key: &to, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
	if err != nil {
		return 0, err
	}
	type chunk struct {
		number int32
		buf    *[]byte
		n      int64
	}
	count := int32((size + copyPart - 1) / copyPart)
	numbers, read := make(chan int32), make(chan chunk, copyReads)
	pool := sync.Pool{New: func() any { b := make([]byte, copyPart); return &b }}
	parts := make([]types.CompletedPart, count)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var readers, writers sync.WaitGroup
	go func() {
		defer close(numbers)
		for n := range count {
			select {
			case numbers <- n + 1:
			case <-ctx.Done():
				return
			}
		}
	}()
	for range copyReads {
		readers.Go(func() {
			for number := range numbers {
				buf := pool.Get().(*[]byte)
				from := int64(number-1) * copyPart
				n := min(copyPart, size-from)
				span := fmt.Sprintf("bytes=%d-%d", from, from+n-1)
				got, err := client.GetObject(ctx, &sdk.GetObjectInput{Bucket: &bucket, Key: &key, Range: &span})
				if err == nil {
					_, err = io.ReadFull(got.Body, (*buf)[:n])
					got.Body.Close()
				}
				if err != nil {
					cancel(err)
					continue
				}
				read <- chunk{number, buf, n}
			}
		})
		writers.Go(func() {
			for c := range read {
				data := (*c.buf)[:c.n]
				var sum [4]byte
				binary.BigEndian.PutUint32(sum[:], crc32.ChecksumIEEE(data))
				check := base64.StdEncoding.EncodeToString(sum[:])
				done, err := client.UploadPart(ctx, &sdk.UploadPartInput{
					Bucket: &out, Key: &to, UploadId: up.UploadId, PartNumber: &c.number,
					Body: bytes.NewReader(data), ContentLength: &c.n, ChecksumCRC32: &check,
				}, sdk.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware))
				pool.Put(c.buf)
				if err != nil {
					cancel(err)
					continue
				}
				parts[c.number-1] = types.CompletedPart{PartNumber: &c.number, ETag: done.ETag, ChecksumCRC32: &check}
			}
		})
	}
	readers.Wait()
	close(read)
	writers.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return 0, err
	}
	_, err = client.CompleteMultipartUpload(ctx, &sdk.CompleteMultipartUploadInput{
		Bucket: &out, Key: &to, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	return size, err
}
