package answer

import (
	"context"
	"errors"
	"io"
	"iter"
)

// Order reads the outputs of one part in one attempt and writes its rows in
// order. An error of a reader or writer ends it and is returned; bad lines are
// no errors.
func Order(ctx context.Context, job Job) (Tally, error) { return Tally{}, errors.ErrUnsupported }

// Merge joins the attempts of one part into its final streams.
func Merge(ctx context.Context, m Merging) (Merged, error) { return Merged{}, errors.ErrUnsupported }

// Errors writes a line of errors.jsonl for each failed row and returns how
// many it wrote.
func Errors(ctx context.Context, e Erring) (int64, error) { return 0, errors.ErrUnsupported }

// Failures reads a Failed stream. The failure yielded is valid until the next.
func Failures(r io.Reader) iter.Seq2[*Failure, error] {
	return func(yield func(*Failure, error) bool) {}
}

// Add joins the counts of another part or attempt into t.
func (t *Tally) Add(o Tally) {}

// AddErrors joins two lists, most common first, keeping the 20 most common.
func AddErrors(a, b []ErrorCount) []ErrorCount { return nil }
