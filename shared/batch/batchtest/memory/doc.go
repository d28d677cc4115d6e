// Package memory holds the outside world in memory, for tests: buckets,
// batch inference, models, queues and topics that pass the contract suites of
// package batchtest.
//
// Nothing in here starts a goroutine, looks at the wall clock or draws a
// random number, so that a test that drives all of it with one seed is
// repeated exactly. Every call that would leave the process goes through a
// Hook, before and after its effect, also the calls inside streams.
package memory

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Hook stands before and after every call that would leave the process. A nil
// Hook does nothing.
//
// Call is the port and its method, as "Bucket.Put", "Bucket.Read" (each Read
// of an open object), "Bucket.List" (each page), "Bucket.Write" (each part of
// an object being written), "Jobs.Create", "Model.Answer", "Queue.Send",
// "Topic.Publish"; Calls lists them. Key says on what: bucket and key, job
// name or ARN, model, queue.
//
// A crash is a panic with a value of the test's own. No lock is held while a
// Hook runs. What a crashed caller's deferred functions still call comes here
// too; a test that wants them without effect returns errors from then on.
type Hook interface {
	// Before may prevent the call: its error is what the caller sees, and
	// nothing has happened.
	Before(ctx context.Context, call, key string) error
	// After sees the call's own error, its effect (if any) done, and returns
	// what the caller sees instead.
	After(ctx context.Context, call, key string, err error) error
}

// Calls lists every call that a Hook can see.
func Calls() []string {
	return []string{
		"Bucket.Get", "Bucket.Put", "Bucket.Delete", "Bucket.List",
		"Bucket.Stat", "Bucket.Open", "Bucket.Read",
		"Bucket.Create", "Bucket.Write", "Bucket.Commit", "Bucket.Abort", "Bucket.Compose",
		"Jobs.Create", "Jobs.Get", "Jobs.List", "Jobs.Stop",
		"Model.Answer", "Queue.Send", "Topic.Publish",
	}
}

// around runs effect between the two halves of a hook.
func around(ctx context.Context, hook Hook, call, key string, effect func() error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", call, key, err)
	}
	if hook == nil {
		return effect()
	}
	if err := hook.Before(ctx, call, key); err != nil {
		return err
	}
	return hook.After(ctx, call, key, effect())
}

// Clock is a clock that stands still until it is moved.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock makes a clock that shows start.
func NewClock(start time.Time) *Clock { return &Clock{now: start} }

// Now is the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(max(d, 0))
}

// AdvanceTo moves the clock on to t, if that lies ahead.
func (c *Clock) AdvanceTo(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.now) {
		c.now = t
	}
}

// orEpoch makes a clock where a test gave none.
func orEpoch(c *Clock) *Clock {
	if c == nil {
		return NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	return c
}
