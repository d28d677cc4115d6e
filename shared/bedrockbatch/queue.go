package bedrockbatch

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// post holds the messages that the two halves of the pipeline send to
// themselves and to each other while this process drives them. It is lost with
// the process: who starts again looks at the state instead.
type post struct {
	clock Clock
	mu    sync.Mutex
	held  []letter
}

type letter struct {
	at      time.Time
	message pipeline.Message
}

// Send implements pipeline.Queue. Messages name what is to be done, so both
// halves' queues are one.
func (p *post) Send(_ context.Context, body []byte, delay time.Duration) error {
	var m pipeline.Message
	if err := json.Unmarshal(body, &m); err != nil {
		return fmt.Errorf("read own message: %w", err)
	}
	p.put(m, delay)
	return nil
}

// put holds a message back for delay. One that waits already comes at the
// earlier time, once.
func (p *post) put(m pipeline.Message, delay time.Duration) {
	at := p.clock.Now().Add(delay)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.held {
		if h := &p.held[i]; h.message.Do == m.Do && h.message.Submission == m.Submission && h.message.Model == m.Model && h.message.Folder == m.Folder {
			if at.Before(h.at) {
				h.at = at
			}
			return
		}
	}
	p.held = append(p.held, letter{at, m})
}

// take gives the message that is due for the longest time.
func (p *post) take() (pipeline.Message, bool) {
	now := p.clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	best := -1
	for i, h := range p.held {
		if !h.at.After(now) && (best < 0 || h.at.Before(p.held[best].at)) {
			best = i
		}
	}
	if best < 0 {
		return pipeline.Message{}, false
	}
	m := p.held[best].message
	p.held = append(p.held[:best], p.held[best+1:]...)
	return m, true
}

// next is when the next message is due.
func (p *post) next() (at time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.held {
		if !ok || h.at.Before(at) {
			at, ok = h.at, true
		}
	}
	return at, ok
}
