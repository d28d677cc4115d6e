package bedrockbatch

import (
	"context"
	"iter"
)

// Process runs inputs to their end: Create, then Wait. Killed and called again
// with the same inputs it goes on where it stood. A run whose rows were not
// all answered is no error of Process: Outcome.Err tells, and Answers what
// became of each input.
func (c *Client) Process(ctx context.Context, spec Spec, src Source, progress func(Progress)) (*Run, *Outcome, error) {
	r, err := c.Create(ctx, spec, src)
	if err != nil {
		return r, nil, err
	}
	o, err := r.Wait(ctx, progress)
	return r, o, err
}

// Collect reads a sequence into a slice, for those small enough.
func Collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for v, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}
