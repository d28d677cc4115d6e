package memory

import (
	"context"
	"slices"
	"sync"
)

// Topic is a ledger of what was published. P is the publication's type, which
// belongs to whoever publishes.
type Topic[P any] struct {
	hook   Hook
	shared *ledger[P]
}

type ledger[P any] struct {
	mu        sync.Mutex
	published []P
}

// NewTopic makes a topic on which nothing was published, through a hook (nil:
// none).
func NewTopic[P any](hook Hook) *Topic[P] {
	return &Topic[P]{hook: hook, shared: new(ledger[P])}
}

// Hooked is the same topic through another hook.
func (t *Topic[P]) Hooked(hook Hook) *Topic[P] { return &Topic[P]{hook: hook, shared: t.shared} }

// Publish notes a publication.
func (t *Topic[P]) Publish(ctx context.Context, p P) error {
	return around(ctx, t.hook, "Topic.Publish", "topic", func() error {
		t.shared.mu.Lock()
		defer t.shared.mu.Unlock()
		t.shared.published = append(t.shared.published, p)
		return nil
	})
}

// Published is all that was published, in order.
func (t *Topic[P]) Published() []P {
	t.shared.mu.Lock()
	defer t.shared.mu.Unlock()
	return slices.Clone(t.shared.published)
}
