package bedrock_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/bedrock/types"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/bedrock"
)

// endless is an ObjectStore whose one input object is made while it is read
// and whose outputs are counted and forgotten.
type endless struct {
	records int
	size    int
	written atomic.Int64
	text    string
}

func (e *endless) record(i int) string {
	return fmt.Sprintf(`{"recordId":"r%010d","modelInput":{"messages":[{"role":"user","content":[{"text":"%s"}]}]}}`+"\n", i, e.text)
}

func (e *endless) List(context.Context, string, string) iter.Seq2[bedrock.Object, error] {
	return func(yield func(bedrock.Object, error) bool) {
		yield(bedrock.Object{Key: "staged/large/in/0.jsonl", Size: int64(e.records * e.size)}, nil)
	}
}

func (e *endless) Open(context.Context, string, string) (io.ReadCloser, error) {
	reader, writer := io.Pipe()
	go func() {
		for i := range e.records {
			if _, err := io.WriteString(writer, e.record(i)); err != nil {
				return // the reader has enough
			}
		}
		writer.Close()
	}()
	return reader, nil
}

func (e *endless) Put(_ context.Context, _, _ string, body io.Reader) error {
	n, err := io.Copy(io.Discard, body)
	e.written.Add(n)
	return err
}

func (e *endless) MayPut(context.Context, string, string) error { return nil }

func TestMemoryIsFlatInTheSizeOfTheInput(t *testing.T) {
	large := &endless{records: 10_000, size: 10_000} // 100 MB
	w := newWorld(t, func(c *bedrock.Config) {
		c.JobTime = time.Millisecond
		c.Objects = func(*access.Principal) bedrock.ObjectStore { return large }
	})
	large.text = strings.Repeat("word ", large.size/5)
	arn := w.create("large", nil)
	runtime.GC() // what other tests left
	var peak uint64
	for deadline := time.Now().Add(2 * time.Minute); ; runtime.Gosched() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapInuse)
		got := w.get(arn)
		if got.Status == types.ModelInvocationJobStatusCompleted {
			break
		}
		if time.Now().After(deadline) || got.EndTime != nil {
			t.Fatalf("the job is %s", got.Status)
		}
		<-time.After(10 * time.Millisecond) // look again, not too often
	}
	if written := large.written.Load(); written < 100e6 {
		t.Errorf("%d bytes written", written)
	}
	if peak > 80<<20 {
		t.Errorf("%d MB of heap for 100 MB of input", peak>>20)
	}
	t.Logf("peak of the heap: %d MB", peak>>20)
}
