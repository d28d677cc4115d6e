package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/s3"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// object answers ranged reads of one object; calls that it does not know
// panic.
type object struct {
	s3.API
	mu    sync.Mutex
	body  []byte
	etag  string
	calls int
	// breaks says after how many bytes the body of a call (counted from 1)
	// breaks off; negative: not at all.
	breaks       func(call int) int
	flying, most atomic.Int64
}

func (o *object) GetObject(_ context.Context, in *awss3.GetObjectInput, _ ...func(*awss3.Options)) (*awss3.GetObjectOutput, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls++
	var off, last int
	if _, err := fmt.Sscanf(*in.Range, "bytes=%d-%d", &off, &last); err != nil {
		return nil, err
	}
	if in.IfMatch != nil && strings.Trim(*in.IfMatch, `"`) != o.etag {
		return nil, &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: 412}},
			Err:      &smithy.GenericAPIError{Code: "PreconditionFailed"},
		}}
	}
	end := min(last+1, len(o.body))
	if now := o.flying.Add(1); now > o.most.Load() {
		o.most.Store(now)
	}
	body := &broken{rest: o.body[off:end], left: -1, o: o}
	if o.breaks != nil {
		body.left = o.breaks(o.calls)
	}
	return &awss3.GetObjectOutput{
		Body: body, ETag: aws.String(`"` + o.etag + `"`), ContentLength: aws.Int64(int64(end - off)),
		ContentRange: aws.String(fmt.Sprintf("bytes %d-%d/%d", off, end-1, len(o.body))),
	}, nil
}

type broken struct {
	rest []byte
	left int
	o    *object
	once sync.Once
}

func (b *broken) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	if b.left == 0 {
		return 0, errors.New("connection reset by peer")
	}
	n := min(len(p), len(b.rest))
	if b.left > 0 {
		n = min(n, b.left)
		b.left -= n
	}
	copy(p, b.rest[:n])
	b.rest = b.rest[n:]
	return n, nil
}

func (b *broken) Close() error {
	b.once.Do(func() { b.o.flying.Add(-1) })
	return nil
}

func numbers(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return out
}

func TestABodyThatBreaksOffIsContinuedWhereItBroke(t *testing.T) {
	for _, size := range []int{100, 23<<20 + 5} {
		o := &object{body: numbers(size), etag: "one", breaks: func(call int) int {
			if call%2 == 1 {
				return size / 50 // every other call breaks
			}
			return -1
		}}
		r, err := s3.Over(o, "b", s3.Settings{}).Open(t.Context(), "k", "", 0, batch.Whole)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, o.body) {
			t.Fatalf("%d bytes of %d (%v)", len(got), size, err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestABodyThatKeepsBreakingIsUnavailable(t *testing.T) {
	o := &object{body: numbers(1000), etag: "one", breaks: func(int) int { return 10 }}
	r, err := s3.Over(o, "b", s3.Settings{}).Open(t.Context(), "k", "", 0, batch.Whole)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if !errors.Is(err, batch.ErrUnavailable) || !strings.Contains(err.Error(), "read s3://b/k at 30") {
		t.Fatalf("error is %v", err)
	}
	if !bytes.Equal(got, o.body[:30]) {
		t.Fatalf("%d bytes came before the error, want 30", len(got))
	}
}

func TestAnObjectOverwrittenWhileItIsReadIsNoticed(t *testing.T) {
	o := &object{body: numbers(64 << 20), etag: "one"}
	r, err := s3.Over(o, "b", s3.Settings{Reads: 1}).Open(t.Context(), "k", "", 0, batch.Whole)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	o.mu.Lock()
	o.etag = "two"
	o.mu.Unlock()
	_, err = io.Copy(io.Discard, r)
	if !errors.Is(err, batch.ErrUnavailable) || !strings.Contains(err.Error(), "overwritten while it was read") {
		t.Fatalf("error is %v", err)
	}
}

func TestReadingAheadStaysWithinItsBound(t *testing.T) {
	o := &object{body: numbers(96 << 20), etag: "one"}
	r, err := s3.Over(o, "b", s3.Settings{PartBytes: 5 << 20, Reads: 3}).Open(t.Context(), "k", "", 0, batch.Whole)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, o.body) {
		t.Fatalf("%d bytes (%v)", len(got), err)
	}
	if most := o.most.Load(); most > 4 { // the first body and three ahead
		t.Fatalf("%d calls in flight", most)
	}
	if o.calls != 20 {
		t.Fatalf("%d calls, want 20", o.calls)
	}
}

func TestCopyingOutOfAReaderGivesTheSameBytesAndErrors(t *testing.T) {
	o := &object{body: numbers(23<<20 + 5), etag: "one"}
	bucket := s3.Over(o, "b", s3.Settings{})
	for _, ahead := range []int{0, 1, 9 << 20} {
		r, err := bucket.Open(t.Context(), "k", "", 0, batch.Whole)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var got bytes.Buffer
		if _, err := io.CopyN(&got, struct{ io.Reader }{r}, int64(ahead)); err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(&got, r)
		if err != nil || n != int64(len(o.body)-ahead) || !bytes.Equal(got.Bytes(), o.body) {
			t.Fatalf("%d bytes (%v)", n, err)
		}
	}
	o.calls = 0
	o.breaks = func(call int) int {
		if call > 1 {
			return 0
		}
		return -1
	}
	r, err := bucket.Open(t.Context(), "k", "", 0, batch.Whole)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, r); n != 8<<20 || !errors.Is(err, batch.ErrUnavailable) {
		t.Fatalf("%d bytes (%v)", n, err)
	}
}

func TestBytesThatArePassedOverAreNotRead(t *testing.T) {
	const size = 23<<20 + 5
	o := &object{body: numbers(size), etag: "one"}
	for _, steps := range [][]int{
		{0, 10, 5 << 20, 3 << 20, 1, 9 << 20, size}, // the first part, and several at once
		{8 << 20, 8 << 20, 7<<20 + 5, 1},            // at the borders of parts
		{1, 1, 23 << 20, 3, 1},                      // to the very end
	} {
		r, err := s3.Over(o, "b", s3.Settings{}).Open(t.Context(), "k", "", 0, batch.Whole)
		if err != nil {
			t.Fatal(err)
		}
		at, two := 0, make([]byte, 2)
		for _, n := range steps {
			passed, err := r.(interface{ Discard(int) (int, error) }).Discard(n)
			if at += passed; passed != min(n, size-at+passed) || (passed == n) != (err == nil) || err != nil && err != io.EOF {
				t.Fatalf("%d of %d bytes passed over, up to %d: %v", passed, n, at, err)
			}
			got, err := io.ReadFull(r, two)
			if !bytes.Equal(two[:got], o.body[at:min(at+2, size)]) || got < 2 && err == nil {
				t.Fatalf("at %d: % x (%v)", at, two[:got], err)
			}
			at += got
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
