package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// QueueOptions are a Queue's.
type QueueOptions struct {
	Name  string // default "queue"
	Clock *Clock
	Hook  Hook
	// Visibility is how long a received message is hidden: 30 seconds.
	Visibility time.Duration
	// MaxReceives is how often a message is received before it goes to the
	// dead letters: without end if 0.
	MaxReceives int
	DeadLetters *Queue
}

// Queue is a standard queue in memory. Send is its port; the other methods are
// the side of the service that receives.
type Queue struct {
	set QueueOptions

	mu       sync.Mutex
	messages []*message
	serial   int
}

// Message is a message as it is received.
type Message struct {
	// ID is the copy at hand, MessageID the message's own id, which a copy that
	// is delivered again and a dead letter have too.
	ID, MessageID string
	// Receipt is good until the message is received again.
	Receipt  string
	Body     []byte
	Receives int
	Sent     time.Time
}

type message struct {
	id, own  string
	body     []byte
	sent     time.Time
	visible  time.Time
	receives int
}

// NewQueue makes an empty queue.
func NewQueue(set QueueOptions) *Queue {
	set.Clock = orEpoch(set.Clock)
	set.Name = cmp.Or(set.Name, "queue")
	set.Visibility = cmp.Or(set.Visibility, 30*time.Second)
	return &Queue{set: set}
}

// Sender is the sending side of a queue through a hook of its own, as another
// invocation's.
type Sender struct {
	queue *Queue
	hook  Hook
}

// Hooked is the sending side through another hook.
func (q *Queue) Hooked(hook Hook) *Sender { return &Sender{queue: q, hook: hook} }

// Send puts a message onto the queue.
func (s *Sender) Send(ctx context.Context, body []byte, delay time.Duration) error {
	return around(ctx, s.hook, "Queue.Send", s.queue.set.Name, func() error {
		if delay < 0 || delay > 15*time.Minute || len(body) == 0 || len(body) > 1<<20 {
			return fmt.Errorf("send %d bytes to %s with a delay of %v: %w", len(body), s.queue.set.Name, delay, batch.ErrInvalid)
		}
		// Whole seconds, as the service counts.
		s.queue.Put(body, (delay + time.Second - 1).Truncate(time.Second))
		return nil
	})
}

// Send puts a message onto the queue, through the queue's own hook.
func (q *Queue) Send(ctx context.Context, body []byte, delay time.Duration) error {
	return q.Hooked(q.set.Hook).Send(ctx, body, delay)
}

// Put puts a message onto the queue without going through a Hook, as another
// service would, and returns its id. Any delay is taken.
func (q *Queue) Put(body []byte, delay time.Duration) string { return q.put(body, delay, "") }

// put is Put of a message that has an id already, if own is not empty.
func (q *Queue) put(body []byte, delay time.Duration, own string) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.serial++
	now := q.set.Clock.Now()
	m := &message{id: fmt.Sprintf("%s-%d", q.set.Name, q.serial), body: bytes.Clone(body), sent: now, visible: now.Add(delay)}
	m.own = cmp.Or(own, m.id)
	q.messages = append(q.messages, m)
	return m.id
}

// Ready are the ids of the messages that can be received now, the oldest
// first.
func (q *Queue) Ready() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.set.Clock.Now()
	var ids []string
	for _, m := range q.messages {
		if !m.visible.After(now) {
			ids = append(ids, m.id)
		}
	}
	return ids
}

// Next is when a message that is hidden now can be received, and whether there
// is one.
func (q *Queue) Next() (next time.Time, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.set.Clock.Now()
	for _, m := range q.messages {
		if m.visible.After(now) && (!ok || m.visible.Before(next)) {
			next, ok = m.visible, true
		}
	}
	return next, ok
}

// Receive takes the oldest message that is ready.
func (q *Queue) Receive() (Message, bool) {
	for {
		id, ok := q.first()
		if !ok {
			return Message{}, false
		}
		// One that goes to the dead letters is not ready any more.
		if m, ok := q.Take(id); ok {
			return m, true
		}
	}
}

// first is the oldest message that is ready.
func (q *Queue) first() (string, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.set.Clock.Now()
	for _, m := range q.messages {
		if !m.visible.After(now) {
			return m.id, true
		}
	}
	return "", false
}

// Take receives one message by id, if it is ready. One that was received often
// enough goes to the dead letters instead.
func (q *Queue) Take(id string) (Message, bool) {
	q.mu.Lock()
	i, m := q.find(id)
	now := q.set.Clock.Now()
	if m == nil || m.visible.After(now) {
		q.mu.Unlock()
		return Message{}, false
	}
	if q.set.MaxReceives > 0 && m.receives >= q.set.MaxReceives {
		q.messages = slices.Delete(q.messages, i, i+1)
		q.mu.Unlock()
		if q.set.DeadLetters != nil {
			q.set.DeadLetters.put(m.body, 0, m.own)
		}
		return Message{}, false
	}
	defer q.mu.Unlock()
	m.receives++
	m.visible = now.Add(q.set.Visibility)
	return Message{ID: m.id, MessageID: m.own, Receipt: receipt(m), Body: bytes.Clone(m.body), Receives: m.receives, Sent: m.sent}, true
}

// receipt says which receive of which message it was.
func receipt(m *message) string { return fmt.Sprintf("%s#%d", m.id, m.receives) }

func (q *Queue) find(id string) (int, *message) {
	i := slices.IndexFunc(q.messages, func(m *message) bool { return m.id == id })
	if i < 0 {
		return -1, nil
	}
	return i, q.messages[i]
}

// Delete removes a received message. With the receipt of an earlier receive it
// does nothing: whoever received it since works on it.
func (q *Queue) Delete(m Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i, now := q.find(m.ID); now != nil && receipt(now) == m.Receipt {
		q.messages = slices.Delete(q.messages, i, i+1)
	}
}

// Return makes a received message visible again after d, as a failed
// invocation does.
func (q *Queue) Return(m Message, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, now := q.find(m.ID); now != nil && receipt(now) == m.Receipt {
		now.visible = q.set.Clock.Now().Add(d)
	}
}

// Repeat puts a message a second time, as a queue that delivers at least once
// may.
func (q *Queue) Repeat(id string, delay time.Duration) {
	q.mu.Lock()
	_, m := q.find(id)
	q.mu.Unlock()
	if m != nil {
		q.put(m.body, delay, m.own)
	}
}

// Len is the number of messages on the queue, hidden ones included.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.messages)
}

// Bodies are the bodies of all messages on the queue, hidden ones included, in
// the order in which they were put.
func (q *Queue) Bodies() [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	bodies := make([][]byte, len(q.messages))
	for i, m := range q.messages {
		bodies[i] = bytes.Clone(m.body)
	}
	return bodies
}
