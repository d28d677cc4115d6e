package sqs

import (
	"context"
	"encoding/base64"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// moveTask moves the messages of a dead-letter queue back to their sources or
// to one destination.
type moveTask struct {
	handle, source, destination string
	perSecond                   int
	started                     time.Time
	cancel                      context.CancelFunc

	mu            sync.Mutex
	status        string // RUNNING COMPLETED CANCELLING CANCELLED FAILED
	moved, toMove int
	failure       string
}

type startMoveIn struct {
	SourceArn, DestinationArn    string
	MaxNumberOfMessagesPerSecond *int
}

type startMoveOut struct{ TaskHandle string }

func (c call) moveSource(action, arn string) (*queue, error) {
	if len(arn) <= len(ARN("")) || arn[:len(ARN(""))] != ARN("") {
		return nil, access.Errorf("ResourceNotFoundException", "The resource that you specified for the SourceArn parameter doesn't exist.")
	}
	q, err := c.authorised(c.ctx, c.user, action, arn[len(ARN("")):])
	if err != nil {
		if e := access.AsAPIError(err); e.Code == "QueueDoesNotExist" {
			return nil, access.Errorf("ResourceNotFoundException", "The resource that you specified for the SourceArn parameter doesn't exist.")
		}
		return nil, err
	}
	return q, nil
}

func (c call) startMessageMoveTask(in *startMoveIn) (*startMoveOut, error) {
	q, err := c.moveSource("StartMessageMoveTask", in.SourceArn)
	if err != nil {
		return nil, err
	}
	// The task reads and deletes here, and sends there, as the caller.
	for _, action := range []string{"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"} {
		if _, err := c.authorised(c.ctx, c.user, action, q.name); err != nil {
			return nil, err
		}
	}
	isDeadLetters := false
	for _, name := range c.Names() {
		if s, ok := c.queue(name); ok {
			if r := s.attributes().redrive; r != nil && r.DeadLetterTargetARN == in.SourceArn {
				isDeadLetters = true
				if in.DestinationArn == "" {
					if _, err := c.authorised(c.ctx, c.user, "SendMessage", name); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	if !isDeadLetters {
		return nil, access.Errorf("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
	}
	if in.DestinationArn != "" {
		d, ok := c.byARN(in.DestinationArn)
		if !ok {
			return nil, access.Errorf("ResourceNotFoundException", "The resource that you specified for the DestinationArn parameter doesn't exist.")
		}
		if d == q {
			return nil, access.Errorf("InvalidParameterValue", "Source queue arn and destination queue arn cannot be the same")
		}
		if _, err := c.authorised(c.ctx, c.user, "SendMessage", d.name); err != nil {
			return nil, err
		}
	}
	perSecond := 500
	if n := in.MaxNumberOfMessagesPerSecond; n != nil {
		if perSecond = *n; perSecond < 1 || perSecond > 500 {
			return nil, access.Errorf("InvalidParameterValue", "Value %d for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: Must be between 1 and 500.", perSecond)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.moves {
		if t.source == in.SourceArn && t.live() {
			return nil, access.Errorf("UnsupportedOperation", "There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
		}
	}
	ctx, cancel := context.WithCancel(c.running)
	q.mu.Lock()
	visible, _, _ := q.counts()
	q.mu.Unlock()
	t := &moveTask{
		handle: base64.StdEncoding.EncodeToString([]byte(`{"taskId":"` + newID() + `","sourceArn":"` + in.SourceArn + `"}`)),
		source: in.SourceArn, destination: in.DestinationArn, perSecond: perSecond,
		started: c.clock.Now(), cancel: cancel, status: "RUNNING", toMove: visible,
	}
	c.moves = append(c.moves, t)
	s, sender := c.Service, c.user
	s.background.Go(func() {
		defer cancel()
		s.move(ctx, t, q, sender)
	})
	return &startMoveOut{t.handle}, nil
}

func (t *moveTask) live() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status == "RUNNING" || t.status == "CANCELLING"
}

// move runs a task to its end: until no message is visible. Moved messages are
// new ones, with new ids and receive counts.
func (s *Service) move(ctx context.Context, t *moveTask, q *queue, p *access.Principal) {
	end := func(status, failure string) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.status, t.failure = status, failure
	}
	pause := time.Second / time.Duration(t.perSecond)
	for {
		if ctx.Err() != nil {
			end("CANCELLED", "")
			return
		}
		q.mu.Lock()
		q.promote(s.clock.Now())
		var m *message
		for m == nil && len(q.ready) > 0 {
			if m = q.pick(); m.where != ready {
				m = nil
			}
		}
		if m != nil {
			m.where = leaving
		}
		q.mu.Unlock()
		if m == nil {
			end("COMPLETED", "")
			return
		}
		target := t.destination
		if target == "" {
			target = m.source
		}
		err := error(access.Errorf("CouldNotDetermineMessageSource", "the message did not come from a queue's redrive, give a destination"))
		if target != "" {
			if d, ok := s.byARN(target); ok {
				_, err = d.send(p, Outgoing{Body: m.body, Attributes: m.attrs, TraceHeader: m.trace, Delay: new(time.Duration)})
			} else {
				err = access.Errorf("AWS.SimpleQueueService.NonExistentQueue", "the queue %s does not exist", target)
			}
		}
		if err == nil {
			err = q.forget(m.id)
		} else if back := q.putBack(m); back != nil {
			s.log.Error("sqs: put a message back", "queue", q.name, "error", back)
		}
		if err != nil {
			end("FAILED", access.AsAPIError(err).Code)
			return
		}
		t.mu.Lock()
		t.moved++
		t.mu.Unlock()
		_ = s.clock.Sleep(ctx, pause) // the loop looks at ctx
	}
}

type listMovesIn struct {
	SourceArn  string
	MaxResults *int
}

type moveResult struct {
	TaskHandle                        string `json:",omitzero"`
	Status                            string
	SourceArn                         string
	DestinationArn                    string `json:",omitzero"`
	MaxNumberOfMessagesPerSecond      int
	ApproximateNumberOfMessagesMoved  int
	ApproximateNumberOfMessagesToMove int
	FailureReason                     string `json:",omitzero"`
	StartedTimestamp                  int64
}

type listMovesOut struct {
	Results []moveResult `query:"ListMessageMoveTasksResultEntry,flat"`
}

func (c call) listMessageMoveTasks(in *listMovesIn) (*listMovesOut, error) {
	if _, err := c.moveSource("ListMessageMoveTasks", in.SourceArn); err != nil {
		return nil, err
	}
	limit := 1
	if in.MaxResults != nil {
		if limit = *in.MaxResults; limit < 1 || limit > 10 {
			return nil, access.Errorf("InvalidParameterValue", "Value %d for parameter MaxResults is invalid. Reason: Must be between 1 and 10.", limit)
		}
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := &listMovesOut{Results: []moveResult{}}
	for i := len(c.moves) - 1; i >= 0 && len(out.Results) < limit; i-- {
		t := c.moves[i]
		if t.source != in.SourceArn {
			continue
		}
		t.mu.Lock()
		r := moveResult{
			Status: t.status, SourceArn: t.source, DestinationArn: t.destination, MaxNumberOfMessagesPerSecond: t.perSecond,
			ApproximateNumberOfMessagesMoved: t.moved, ApproximateNumberOfMessagesToMove: t.toMove,
			FailureReason: t.failure, StartedTimestamp: t.started.UnixMilli(),
		}
		if t.status == "RUNNING" {
			r.TaskHandle = t.handle
		}
		t.mu.Unlock()
		out.Results = append(out.Results, r)
	}
	return out, nil
}

type cancelMoveIn struct{ TaskHandle string }

type cancelMoveOut struct{ ApproximateNumberOfMessagesMoved int }

func (c call) cancelMessageMoveTask(in *cancelMoveIn) (*cancelMoveOut, error) {
	c.mu.RLock()
	var task *moveTask
	for _, t := range c.moves {
		if t.handle == in.TaskHandle {
			task = t
		}
	}
	c.mu.RUnlock()
	if task == nil {
		return nil, access.Errorf("ResourceNotFoundException", "The resource that you specified for the TaskHandle parameter doesn't exist.")
	}
	if _, err := c.moveSource("CancelMessageMoveTask", task.source); err != nil {
		return nil, err
	}
	if !task.live() {
		return nil, access.Errorf("UnsupportedOperation", "Only active tasks can be cancelled.")
	}
	task.cancel()
	task.mu.Lock()
	defer task.mu.Unlock()
	return &cancelMoveOut{task.moved}, nil
}
