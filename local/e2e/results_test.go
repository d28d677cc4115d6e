package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// result is a line of results.jsonl.
type result struct {
	RecordID   string
	Row        int64
	ID         any
	Source     string
	Output     string
	StopReason string
	Usage      struct{ InputTokens, OutputTokens int64 }
	Attempt    int
	Known      string
}

// subject is a word that the answer to row n repeats, so that an answer shows
// whose it is.
func subject(n int) string { return fmt.Sprintf("subject%09d", n) }

// prompts are n rows of the shape {"prompt": ...}.
func prompts(n int) []byte { return promptsFrom(1, n) }

func promptsFrom(first, n int) []byte {
	var b bytes.Buffer
	for i := first; i < first+n; i++ {
		fmt.Fprintf(&b, `{"id":"u%d","prompt":"Say it in few words: %s."}`+"\n", i, subject(i))
	}
	return b.Bytes()
}

// natives are n rows of an Anthropic model's own shape.
func natives(n int) []byte {
	var b bytes.Buffer
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, `{"recordId":"mine-%d","modelInput":{"anthropic_version":"bedrock-2023-05-31","max_tokens":200,"messages":[{"role":"user","content":"Say it: %s"}]}}`+"\n", i, subject(i))
	}
	return b.Bytes()
}

// answered streams results.jsonl and checks that it holds exactly the rows
// given, in this order, each with its own answer.
func (u *user) answered(n notice, rows func(yield func(row int64, subject string) bool)) {
	u.t.Helper()
	if n.Results.Results == "" {
		u.t.Fatalf("notice of %s names no results: %s", n.Upload.Key, n.Raw)
	}
	body := u.open(n.Results.Results)
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 64<<20)
	var count int64
	for row, subject := range rows {
		if !lines.Scan() {
			u.t.Fatalf("results of %s end after %d rows, row %d is missing (%v)", n.Upload.Key, count, row, lines.Err())
		}
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			u.t.Fatalf("line %d of the results of %s: %v", count+1, n.Upload.Key, err)
		}
		count++
		if r.Row != row || r.RecordID != fmt.Sprintf("r%010d", row) {
			u.t.Fatalf("line %d of the results of %s is row %d (%s), want row %d", count, n.Upload.Key, r.Row, r.RecordID, row)
		}
		if !strings.Contains(r.Output, subject) || r.StopReason != "end_turn" || r.Usage.InputTokens == 0 || r.Usage.OutputTokens == 0 {
			u.t.Fatalf("row %d of %s: %.400s, want an answer about %s", row, n.Upload.Key, lines.Bytes(), subject)
		}
	}
	if lines.Scan() {
		u.t.Fatalf("results of %s have more than %d rows: %.200s", n.Upload.Key, count, lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		u.t.Fatal(err)
	}
	if n.Rows.Answered != count {
		u.t.Errorf("notice of %s says %d rows are answered, the results have %d", n.Upload.Key, n.Rows.Answered, count)
	}
}

// upTo are the rows 1 to n with their subjects.
func upTo(n int) func(yield func(int64, string) bool) {
	return func(yield func(int64, string) bool) {
		for i := 1; i <= n; i++ {
			if !yield(int64(i), subject(i)) {
				return
			}
		}
	}
}

// only are some rows, each about its own number.
func only(rows ...int) func(yield func(int64, string) bool) {
	return func(yield func(int64, string) bool) {
		for _, i := range rows {
			if !yield(int64(i), subject(i)) {
				return
			}
		}
	}
}

// completed waits for an upload's notice, wants it Completed with n rows and
// checks every result.
func (u *user) completed(key string, n int) notice {
	u.t.Helper()
	got := u.notice(key)
	if got.Status != "Completed" || got.Rows.Total != int64(n) || got.Rows.Answered != int64(n) {
		u.t.Fatalf("notice on %s: %s, want Completed with %d rows", key, got.Raw, n)
	}
	u.answered(got, upTo(n))
	return got
}

// lines reads a JSON lines file of the output bucket.
func lines[T any](u *user, uri string) []T {
	u.t.Helper()
	var all []T
	for line := range bytes.Lines(u.read(uri)) {
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			u.t.Fatalf("line %d of %s: %v", len(all)+1, uri, err)
		}
		all = append(all, v)
	}
	return all
}
