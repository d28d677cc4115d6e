// Package clock lets the local services run faster than life. Dates stay those
// of the machine, so that they agree with what the functions see; only the
// durations that the services wait for (delays, visibility, job times,
// schedules) are divided by the speed.
package clock

import (
	"context"
	"fmt"
	"time"
)

// Clock tells the time and waits. The zero value runs at the speed of life.
type Clock struct {
	speed float64
}

// New makes a clock on which durations pass speed times faster; 1 is real time.
func New(speed float64) (*Clock, error) {
	if !(speed > 0) || speed > 1e9 {
		return nil, fmt.Errorf("clock speed %v: want a number above 0", speed)
	}
	return &Clock{speed: speed}, nil
}

// Real is a clock at the speed of life.
func Real() *Clock { return &Clock{speed: 1} }

// Now is the machine's time, in UTC.
func (c *Clock) Now() time.Time { return time.Now().UTC() }

// Speed is how many times faster than life durations pass.
func (c *Clock) Speed() float64 {
	if c == nil || c.speed == 0 {
		return 1
	}
	return c.speed
}

// Short is how long d takes on the machine's clock: a time limit of d that
// starts now ends at Now().Add(Short(d)).
func (c *Clock) Short(d time.Duration) time.Duration {
	if c.Speed() == 1 || d <= 0 {
		return d
	}
	return max(time.Duration(float64(d)/c.Speed()), time.Microsecond)
}

// After fires once when d has passed on this clock.
func (c *Clock) After(d time.Duration) <-chan time.Time { return time.After(c.Short(d)) }

// NewTimer is a timer that fires when d has passed on this clock. Reset it
// with Short.
func (c *Clock) NewTimer(d time.Duration) *time.Timer { return time.NewTimer(c.Short(d)) }

// AfterFunc calls f in its own goroutine when d has passed on this clock.
func (c *Clock) AfterFunc(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(c.Short(d), f)
}

// Sleep waits for d on this clock, or until ctx ends, whose error it returns.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := c.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
