package answer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
)

// text is an output or index in memory.
func text(s string) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

func outputs(files ...string) []answer.Output {
	var all []answer.Output
	for _, f := range files {
		all = append(all, answer.Output{Open: text(f), Size: int64(len(f))})
	}
	return all
}

// index is an index of plain rows, each of ten bytes.
func index(rows ...int64) string {
	var b []byte
	for _, r := range rows {
		b = part.AppendEntry(b, part.Entry{Row: r, Off: r * 10, Len: 10, Source: part.NoSource})
	}
	return string(b)
}

func id(row int64) string { return fmt.Sprintf("r%010d", row) }

// converse is a line with an answer.
func converse(row int64, says string) string {
	return fmt.Sprintf(`{"recordId":%q,"modelInput":{"messages":[]},"modelOutput":{"output":{"message":{"role":"assistant","content":[{"text":%q}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2}}}`+"\n", id(row), says)
}

func failing(row int64, code int) string {
	return fmt.Sprintf(`{"recordId":%q,"modelInput":{"n":%d},"error":{"errorCode":%d,"errorMessage":"no"}}`+"\n", id(row), row, code)
}

type ordered struct {
	tally           answer.Tally
	results, failed string
}

func order(t testing.TB, job answer.Job) ordered {
	t.Helper()
	var results, failed bytes.Buffer
	job.Results, job.Failed = &results, &failed
	if job.Dir == "" {
		job.Dir = t.TempDir()
	}
	if job.Invocation == "" {
		job.Invocation = batch.Converse
	}
	tally, err := answer.Order(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	return ordered{tally, results.String(), failed.String()}
}
