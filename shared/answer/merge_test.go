package answer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
)

func result(row int64, attempt int) string {
	return fmt.Sprintf(`{"recordId":%q,"row":%d,"output":"a%d","stopReason":"end_turn","usage":{},"attempt":%d}`+"\n", id(row), row, attempt, attempt)
}

func failure(row int64, attempt int) string {
	return fmt.Sprintf(`{"row":%d,"recordId":%q,"id":{"x":1,"modelInput":2},"off":0,"len":1,"code":"50%d","message":"m","retryable":true,"missing":false,"modelInput":{"p":"}"}}`+"\n", row, id(row), attempt)
}

func missing(row int64) string {
	return fmt.Sprintf(`{"row":%d,"recordId":%q,"off":0,"len":1,"code":"missing","message":"none","retryable":true,"missing":true}`+"\n", row, id(row))
}

func attempts(line string, n int) string {
	return strings.TrimSuffix(line, "}\n") + fmt.Sprintf(",\"attempts\":%d}\n", n)
}

func attempt(number int, results, failed string) answer.Attempt {
	return answer.Attempt{Number: number, Results: strings.NewReader(results), Failed: strings.NewReader(failed)}
}

func TestMergeDecidesRowByRow(t *testing.T) {
	for _, c := range []struct {
		name            string
		attempts        []answer.Attempt
		results, failed string
		merged          answer.Merged
	}{
		{
			name:     "one attempt",
			attempts: []answer.Attempt{attempt(1, result(10, 1), failure(11, 1)+missing(12))},
			results:  result(10, 1), failed: attempts(failure(11, 1), 1) + attempts(missing(12), 1),
			merged: answer.Merged{Answered: 1, Failed: 1, Missing: 1},
		},
		{
			name:     "a row answered the second time",
			attempts: []answer.Attempt{attempt(1, result(10, 1), failure(11, 1)), attempt(2, result(11, 2), "")},
			results:  result(10, 1) + result(11, 2),
			merged:   answer.Merged{Answered: 2, Recovered: 1},
		},
		{
			name:     "the earliest attempt that answered wins, whatever the order of the entries",
			attempts: []answer.Attempt{attempt(3, result(10, 3), ""), attempt(2, result(10, 2), ""), attempt(1, "", failure(10, 1))},
			results:  result(10, 2),
			merged:   answer.Merged{Answered: 1, Recovered: 1},
		},
		{
			name:     "the last error stays",
			attempts: []answer.Attempt{attempt(1, "", failure(10, 1)), attempt(2, "", failure(10, 2)), attempt(3, "", failure(10, 3))},
			failed:   attempts(failure(10, 3), 3),
			merged:   answer.Merged{Failed: 1},
		},
		{
			name:     "an error counts more than a line that is missing",
			attempts: []answer.Attempt{attempt(1, "", failure(10, 1)+missing(11)), attempt(2, "", missing(10)+failure(11, 2))},
			failed:   attempts(failure(10, 1), 2) + attempts(failure(11, 2), 2),
			merged:   answer.Merged{Failed: 2},
		},
		{
			name: "retry parts hold some rows of this part and rows of others",
			attempts: []answer.Attempt{
				attempt(1, result(10, 1)+result(12, 1), failure(11, 1)+failure(13, 1)),
				attempt(2, result(3, 2)+result(11, 2), failure(9, 2)),
				attempt(2, result(13, 2)+result(14, 2)+result(90, 2), failure(91, 2)),
			},
			results: result(10, 1) + result(11, 2) + result(12, 1) + result(13, 2),
			merged:  answer.Merged{Answered: 4, Recovered: 2},
		},
		{name: "nothing at all", attempts: []answer.Attempt{{Number: 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var results, failed bytes.Buffer
			merged, err := answer.Merge(t.Context(), answer.Merging{FirstRow: 10, LastRow: 13, Attempts: c.attempts, Results: &results, Failed: &failed})
			if err != nil {
				t.Fatal(err)
			}
			if results.String() != c.results || failed.String() != c.failed {
				t.Errorf("results\n%s\nfailed\n%s\nwant\n%s\n%s", &results, &failed, c.results, c.failed)
			}
			m := merged
			m.Errors = nil
			if fmt.Sprint(m) != fmt.Sprint(c.merged) {
				t.Errorf("merged %+v, want %+v", m, c.merged)
			}
			var counted int64
			for _, e := range merged.Errors {
				counted += e.Count
			}
			if counted != merged.Failed {
				t.Errorf("errors %+v", merged.Errors)
			}
			for f, err := range answer.Failures(&failed) {
				if err != nil || f.Attempts == 0 {
					t.Errorf("%+v, %v", f, err)
				}
			}
		})
	}
}

func TestMergeRefusesStreamsThatAreNotItsOwn(t *testing.T) {
	broken := errors.New("broken pipe")
	for _, c := range []struct {
		name    string
		attempt answer.Attempt
		is      error
	}{
		{"results out of order", attempt(1, result(11, 1)+result(10, 1), ""), nil},
		{"a row twice in one stream", attempt(1, "", failure(11, 1)+failure(11, 1)), nil},
		{"a line that is none", attempt(1, "hello\n", ""), nil},
		{"a stream that fails", answer.Attempt{Number: 1, Results: iotest.ErrReader(broken)}, broken},
		{"a failed line cut short", attempt(1, "", failure(11, 1)[:60]), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := answer.Merge(t.Context(), answer.Merging{FirstRow: 1, LastRow: 20, Attempts: []answer.Attempt{c.attempt}, Results: io.Discard, Failed: io.Discard})
			if err == nil || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Ordering attempts one by one and merging them must account for every row of
// every original part, whatever the parts of the retries.
func TestOrderingAndMergingAccountForEveryRow(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		total := int64(20 + r.IntN(200))
		var all, retried []int64
		expected := map[int64]int{} // the attempt that answered
		var lines [3][]string
		for row := int64(1); row <= total; row++ {
			all = append(all, row)
			if r.IntN(3) > 0 {
				expected[row] = 1
				lines[1] = append(lines[1], converse(row, "x"))
				continue
			}
			if r.IntN(2) == 0 {
				lines[1] = append(lines[1], failing(row, 500))
			}
			retried = append(retried, row)
			if r.IntN(2) == 0 {
				expected[row] = 2
				lines[2] = append(lines[2], converse(row, "y"))
			}
		}
		cut := int64(r.IntN(int(total))) + 1
		var streams []answer.Attempt
		for n, rows := range map[int][]int64{1: all, 2: retried} {
			r.Shuffle(len(lines[n]), func(i, j int) { lines[n][i], lines[n][j] = lines[n][j], lines[n][i] })
			got := order(t, answer.Job{Index: text(index(rows...)), Outputs: outputs(strings.Join(lines[n], "")), Attempt: n})
			streams = append(streams, attempt(n, got.results, got.failed))
		}
		rewind := func() {
			for _, s := range streams {
				s.Results.(io.Seeker).Seek(0, io.SeekStart)
				s.Failed.(io.Seeker).Seek(0, io.SeekStart)
			}
		}
		var results, failed bytes.Buffer
		var sum int64
		for _, span := range [][2]int64{{1, cut}, {cut + 1, total}} {
			rewind()
			m, err := answer.Merge(t.Context(), answer.Merging{FirstRow: span[0], LastRow: span[1], Attempts: streams, Results: &results, Failed: &failed})
			if err != nil {
				t.Fatal(err)
			}
			if n := m.Answered + m.Failed + m.Missing; n != span[1]-span[0]+1 {
				t.Fatalf("seed %d: rows %v: %+v", seed, span, m)
			}
			sum += m.Answered
		}
		var want strings.Builder
		for row := int64(1); row <= total; row++ {
			if n := expected[row]; n > 0 {
				fmt.Fprintf(&want, `{"recordId":%q,"row":%d,"output":"%s","stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2},"attempt":%d}`+"\n", id(row), row, []string{"", "x", "y"}[n], n)
			}
		}
		if results.String() != want.String() || sum != int64(len(expected)) {
			t.Fatalf("seed %d: results\n%s\nwant\n%s", seed, &results, &want)
		}
		if n := strings.Count(failed.String(), "\n"); n != int(total)-len(expected) {
			t.Fatalf("seed %d: %d failed lines", seed, n)
		}
	}
}

func TestLongLinesPassThroughMergeAndErrors(t *testing.T) {
	long := strings.Repeat("l", 300_000)
	line := fmt.Sprintf(`{"row":1,"recordId":"r0000000001","off":0,"len":1,"code":"500","message":%q,"retryable":true,"missing":false,"modelInput":{"p":%q}}`+"\n", long, long)
	var failed, errs bytes.Buffer
	m, err := answer.Merge(t.Context(), answer.Merging{FirstRow: 1, LastRow: 2, Attempts: []answer.Attempt{attempt(1, result(2, 1), line)}, Results: io.Discard, Failed: &failed})
	if err != nil || m.Failed != 1 || failed.String() != attempts(line, 1) {
		t.Fatal(m, err)
	}
	if len(m.Errors) != 1 || len(m.Errors[0].Message) != 200 {
		t.Errorf("errors %v", m.Errors)
	}
	n, err := answer.Errors(t.Context(), answer.Erring{Failed: &failed, Errors: &errs, Origin: func(context.Context, *answer.Failure) (answer.Origin, error) { return answer.Origin{}, nil }})
	if err != nil || n != 1 || !strings.Contains(errs.String(), `"message":"`+long+`"`) || !strings.Contains(errs.String(), `"modelInput":{"p":"`+long+`"}`) {
		t.Error(n, err)
	}
}
