package bedrockbatch

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// Delay is how long to wait before the next try: First, doubled each time up
// to Longest, each time spread at random over its upper half.
type Delay struct {
	First, Longest time.Duration
	// Tries is how often in a row a call may fail before its error is
	// returned; 0: without end.
	Tries int
}

// next is the delay after the n-th failure in a row, from 1.
func (d Delay) next(n int) time.Duration {
	wait := d.First
	for range n - 1 {
		if wait *= 2; wait >= d.Longest {
			break
		}
	}
	wait = min(wait, d.Longest)
	return wait/2 + rand.N(wait/2+1)
}

// Backoff is how failures that may pass are borne, by class of error, and how
// often jobs are looked at. The SDK's own three tries come before.
type Backoff struct {
	// Throttled is for batch.ErrThrottled, Unavailable for
	// batch.ErrUnavailable and lost conditional writes, Quota for
	// batch.ErrQuota: no slot is free.
	Throttled, Unavailable, Quota Delay
	// Poll lies between two looks at jobs that run; it begins anew when
	// something has changed.
	Poll Delay
}

// DefaultBackoff suits jobs of minutes to hours.
func DefaultBackoff() Backoff {
	return Backoff{
		Throttled:   Delay{First: 2 * time.Second, Longest: time.Minute, Tries: 30},
		Unavailable: Delay{First: time.Second, Longest: 30 * time.Second, Tries: 10},
		Quota:       Delay{First: 30 * time.Second, Longest: 5 * time.Minute},
		Poll:        Delay{First: 5 * time.Second, Longest: time.Minute},
	}
}

// of is the delay for an error's class.
func (b Backoff) of(err error) Delay {
	switch {
	case errors.Is(err, batch.ErrThrottled):
		return b.Throttled
	case errors.Is(err, batch.ErrQuota):
		return b.Quota
	}
	return b.Unavailable
}
