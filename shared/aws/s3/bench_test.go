package s3_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/s3"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// drain stands in for S3 as cheaply as HTTP allows: it serves one object and
// throws away what is written.
func drain(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		query := r.URL.Query()
		switch {
		case r.Method == http.MethodGet:
			from, to := 0, len(body)-1
			if span, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
				_, _ = fmt.Sscanf(span, "%d-%d", &from, &to)
				to = min(to, len(body)-1)
			}
			w.Header().Set("ETag", `"one"`)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(body)))
			w.Header().Set("Content-Length", strconv.Itoa(to-from+1))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(body[from : to+1])
		case r.Method == http.MethodPost && query.Has("uploads"):
			_, _ = io.WriteString(w, `<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>`)
		case r.Method == http.MethodPost:
			_, _ = io.WriteString(w, `<CompleteMultipartUploadResult><ETag>"whole"</ETag></CompleteMultipartUploadResult>`)
		default:
			w.Header().Set("ETag", `"part"`)
		}
	}
}

// BenchmarkCopy streams 256 MiB out of one object into another; client and
// stand-in share the process.
func BenchmarkCopy(b *testing.B) {
	body := numbers(256 << 20)
	server := httptest.NewServer(drain(body))
	defer server.Close()
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}
	for _, inFlight := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("%d in flight", inFlight), func(b *testing.B) {
			bucket := s3.New(cfg, "b", s3.Settings{Reads: inFlight, Writes: inFlight})
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := copyObject(b, bucket); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func copyObject(b *testing.B, bucket *s3.Bucket) error {
	r, err := bucket.Open(b.Context(), "from", "", 0, batch.Whole)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := bucket.Create(b.Context(), "to")
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	_, err = w.Commit()
	return err
}
