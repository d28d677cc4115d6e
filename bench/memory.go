package main

import (
	"context"
	"fmt"

	"github.com/bedrock-batch/bedrock-batch/bench/data"
)

// memory compares the high-water marks of both halves at a tenth of the large
// upload and at the whole of it, and at rows of a megabyte.
func memory(ctx context.Context, s *session, p plan, say func(string, ...any)) error {
	var peaks [2][2]int64
	for i, size := range []int64{p.large / 10, p.large} {
		in, out, err := s.peaks(ctx, data.Prompt, size*1e6)
		if err != nil {
			return err
		}
		peaks[i] = [2]int64{in, out}
		say("bench: prepare-peak-%dMB value=%d unit=MB", size, mb(in))
		say("bench: collect-peak-%dMB value=%d unit=MB", size, mb(out))
	}
	say("bench: prepare-growth value=%.2f unit=ratio", float64(peaks[1][0])/float64(peaks[0][0]))
	say("bench: collect-growth value=%.2f unit=ratio", float64(peaks[1][1])/float64(peaks[0][1]))
	in, out, err := s.peaks(ctx, data.Documents, 300e6)
	if err != nil {
		return err
	}
	say("bench: prepare-peak-megabyte-rows value=%d unit=MB", mb(in))
	say("bench: collect-peak-megabyte-rows value=%d unit=MB", mb(out))
	return nil
}

// peaks are the high-water marks of preparing and collecting an upload.
func (s *session) peaks(ctx context.Context, shape data.Shape, size int64) (in, out int64, err error) {
	u, err := s.drop(ctx, shape, size, 0, "")
	if err != nil {
		return 0, 0, err
	}
	defer u.discard()
	r, err := s.own(ctx, u.fresh(), true, "prepare", shape.Key())
	if err != nil {
		return 0, 0, err
	}
	in = r.PeakBytes
	if err := s.answer(ctx, u); err != nil {
		return 0, 0, err
	}
	r, err = s.own(ctx, u.ended(), true, "collect", u.id, string(shape))
	if err != nil {
		return 0, 0, fmt.Errorf("collect: %w", err)
	}
	return in, r.PeakBytes, nil
}
