package sqs

import (
	"container/heap"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/clock"
)

// queue is one queue. A message is in exactly one place: ready (visible),
// timed (delayed or in flight until its time), held (in flight without a
// time) or on its way to the dead-letter queue.
type queue struct {
	name    string
	clock   *clock.Clock
	reorder func(n int) int

	mu       sync.Mutex
	attrs    attributes
	tags     map[string]string
	created  time.Time
	modified time.Time
	purged   time.Time
	byID     map[string]*message
	ready    []*message
	timed    timed
	changed  chan struct{}
	journal  *journal
	gone     bool
}

// message is a stored message.
type message struct {
	id, body      string
	attrs         map[string]Attribute
	trace, sender string
	source        string // ARN of the queue a dead letter comes from
	sent, first   time.Time
	received      time.Time
	receives      int
	visible       time.Time
	receipt       string // nonce of the latest receive
	where         place
	index         int // in timed
}

type place int

const (
	ready place = iota
	delayed
	inFlight
	held
	leaving // to the dead-letter queue, or deleted
)

// receive is what a receiver asks for.
type receive struct {
	max              int
	wait, visibility time.Duration
}

func newQueue(name string, a attributes, tags map[string]string, c *clock.Clock) *queue {
	now := c.Now()
	return &queue{
		name: name, clock: c, reorder: func(int) int { return 0 },
		attrs: a, tags: maps.Clone(tags), created: now, modified: now,
		byID: map[string]*message{}, changed: make(chan struct{}),
	}
}

func (q *queue) attributes() attributes {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.attrs
}

func (q *queue) policy() *access.Policy { return q.attributes().policy }

// setAttributes replaces the attributes and, if not nil, the tags.
func (q *queue) setAttributes(a attributes, tags map[string]string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if tags != nil {
		q.tags = maps.Clone(tags)
	}
	q.attrs, q.modified = a, q.clock.Now()
	q.wake()
	return q.writeHead()
}

// wake lets the waiting receivers look again; q.mu is held.
func (q *queue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// send stores a new message.
func (q *queue) send(p *access.Principal, o Outgoing) (*message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := o.check(q.attrs.maxBytes); err != nil {
		return nil, err
	}
	now := q.clock.Now()
	m := &message{id: newID(), body: o.Body, attrs: o.Attributes, trace: o.TraceHeader, sender: senderOf(p), sent: now, visible: now}
	delay := q.attrs.delay
	if o.Delay != nil {
		delay = *o.Delay
	}
	if delay > 0 {
		m.visible = now.Add(q.clock.Short(delay))
	}
	return m, q.store(m)
}

// insert stores a message that comes from another queue, with its history.
func (q *queue) insert(m *message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := *m
	c.visible = q.clock.Now()
	return q.store(&c)
}

// store journals and places a message; q.mu is held.
func (q *queue) store(m *message) error {
	if q.gone {
		return access.Errorf("QueueDoesNotExist", "The specified queue does not exist.")
	}
	if err := q.journal.put(m); err != nil {
		return err
	}
	q.byID[m.id] = m
	q.place(m)
	return q.compact()
}

// place puts a message that is in no place where its time says; q.mu is held.
func (q *queue) place(m *message) {
	if m.visible.After(q.clock.Now()) {
		m.where = delayed
		if m.receives > 0 && m.receipt != "" {
			m.where = inFlight
		}
		heap.Push(&q.timed, m)
	} else {
		m.where = ready
		q.ready = append(q.ready, m)
	}
	q.wake() // a timed one too: a waiter may have to wake sooner
}

// promote makes visible what is due; q.mu is held.
func (q *queue) promote(now time.Time) {
	for len(q.timed) > 0 && !q.timed[0].visible.After(now) {
		m := heap.Pop(&q.timed).(*message)
		m.where = ready
		q.ready = append(q.ready, m)
	}
}

// take receives up to r.max visible messages. With dead letters to go to,
// messages received as often as allowed come back in dead instead: the caller
// buries them. changed is closed when it is worth looking again, which it also
// is at next, unless zero.
func (q *queue) take(r receive, deadLetters *queue) (out []Message, dead []*message, changed <-chan struct{}, next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock.Now()
	q.promote(now)
	for len(out) < r.max && len(q.ready) > 0 {
		m := q.pick()
		if m.where != ready {
			continue // deleted while visible
		}
		if q.clock.Short(q.attrs.retention) < now.Sub(m.sent) {
			q.erase(m)
			continue
		}
		if deadLetters != nil && m.receives >= int(q.attrs.redrive.MaxReceiveCount) {
			m.where = leaving
			dead = append(dead, m)
			continue
		}
		m.receives++
		m.received = now
		if m.first.IsZero() {
			m.first = now
		}
		m.receipt = nonce()
		m.visible = now.Add(q.clock.Short(r.visibility))
		m.where = inFlight
		heap.Push(&q.timed, m)
		if err := q.journal.got(m); err != nil {
			// The count is lost with a restart, no message is.
			q.journal.fail(err)
		}
		out = append(out, q.message(m))
	}
	if len(q.timed) > 0 {
		next = q.timed[0].visible
	}
	return out, dead, q.changed, next
}

// pick removes one of the ready messages, the oldest unless the weather says
// otherwise; q.mu is held.
func (q *queue) pick() *message {
	i := q.reorder(len(q.ready))
	m := q.ready[i]
	if i > 0 {
		q.ready[i] = q.ready[0]
	}
	q.ready[0] = nil
	q.ready = q.ready[1:]
	return m
}

// message is what a receiver sees; q.mu is held.
func (q *queue) message(m *message) Message {
	attrs := map[string]string{
		"SenderId":                         m.sender,
		"SentTimestamp":                    millis(m.sent),
		"ApproximateReceiveCount":          strconv.Itoa(m.receives),
		"ApproximateFirstReceiveTimestamp": millis(m.first),
	}
	if m.trace != "" {
		attrs["AWSTraceHeader"] = m.trace
	}
	if m.source != "" {
		attrs["DeadLetterQueueSourceArn"] = m.source
	}
	return Message{
		MessageId: m.id, ReceiptHandle: handle(q.name, m), Body: m.body, MD5OfBody: md5Hex(m.body),
		Attributes: attrs, MessageAttributes: m.attrs, MD5OfMessageAttributes: md5OfAttributes(m.attrs),
	}
}

// find resolves a receipt handle: nil for a message that is gone or that was
// received again since; q.mu is held.
func (q *queue) find(receipt string) (*message, error) {
	id, n, ok := parseHandle(q.name, receipt)
	if !ok {
		return nil, access.Errorf("ReceiptHandleIsInvalid", "The input receipt handle %q is not a valid receipt handle.", receipt)
	}
	m := q.byID[id]
	if m == nil || m.receipt != n {
		return nil, nil
	}
	return m, nil
}

// delete deletes a received message. It is no error if it is gone already, or
// was received again by somebody else: then it stays.
func (q *queue) delete(receipt string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	m, err := q.find(receipt)
	if err != nil || m == nil || m.where == leaving {
		return err
	}
	return q.erase(m)
}

// erase takes a message out of whatever place it is in; q.mu is held.
func (q *queue) erase(m *message) error {
	if m.where == delayed || m.where == inFlight {
		heap.Remove(&q.timed, m.index)
	}
	m.where = leaving // one in ready is skipped when its turn comes
	delete(q.byID, m.id)
	if err := q.journal.del(m.id); err != nil {
		return err
	}
	return q.compact()
}

// forget erases a buried message.
func (q *queue) forget(id string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m := q.byID[id]; m != nil {
		return q.erase(m)
	}
	return nil
}

// putBack makes a message visible again that could not be buried.
func (q *queue) putBack(m *message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.place(m)
	return nil
}

// changeVisibility sets the time of a message in flight, counted from now.
func (q *queue) changeVisibility(receipt string, d time.Duration) error {
	if d < 0 || d > maxVisibility {
		return access.Errorf("InvalidParameterValue", "Value %d for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200.", int64(d.Seconds()))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	m, err := q.find(receipt)
	if err != nil {
		return err
	}
	now := q.clock.Now()
	q.promote(now)
	if m == nil || (m.where != inFlight && m.where != held) {
		return access.Errorf("MessageNotInflight", "The message referred to is not in flight.")
	}
	visible := now.Add(q.clock.Short(d))
	if visible.Sub(m.received) > q.clock.Short(maxVisibility) {
		return access.Errorf("InvalidParameterValue", "Value %d for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds].", int64(d.Seconds()))
	}
	m.visible = visible
	if m.where == inFlight {
		heap.Fix(&q.timed, m.index)
		q.wake()
	}
	return nil
}

// hold takes a message in flight out of time until release.
func (q *queue) hold(receipt string) (release func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m, err := q.find(receipt)
	if err != nil || m == nil || m.where != inFlight {
		return func() {}
	}
	heap.Remove(&q.timed, m.index)
	m.where = held
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if m.where == held {
			q.place(m)
		}
	}
}

// purge deletes all messages.
func (q *queue) purge() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock.Now()
	if !q.purged.IsZero() && now.Sub(q.purged) < q.clock.Short(60*time.Second) {
		return access.Errorf("PurgeQueueInProgress", "Only one PurgeQueue operation on %s is allowed every 60 seconds.", q.name)
	}
	q.purged = now
	for _, m := range q.byID {
		m.where = leaving
	}
	clear(q.byID)
	q.ready, q.timed = nil, nil
	return q.rewrite()
}

// counts are the visible, in-flight and delayed messages; q.mu is held.
func (q *queue) counts() (visible, flying, waiting int) {
	q.promote(q.clock.Now())
	for _, m := range q.byID {
		switch m.where {
		case ready:
			visible++
		case inFlight, held:
			flying++
		case delayed:
			waiting++
		}
	}
	return
}

// describe is all attributes as the API has them.
func (q *queue) describe() map[string]string {
	q.mu.Lock()
	defer q.mu.Unlock()
	visible, flying, waiting := q.counts()
	seconds := func(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
	out := map[string]string{
		"QueueArn":                              ARN(q.name),
		"ApproximateNumberOfMessages":           strconv.Itoa(visible),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(flying),
		"ApproximateNumberOfMessagesDelayed":    strconv.Itoa(waiting),
		"CreatedTimestamp":                      strconv.FormatInt(q.created.Unix(), 10),
		"LastModifiedTimestamp":                 strconv.FormatInt(q.modified.Unix(), 10),
		"DelaySeconds":                          seconds(q.attrs.delay),
		"VisibilityTimeout":                     seconds(q.attrs.visibility),
		"MessageRetentionPeriod":                seconds(q.attrs.retention),
		"ReceiveMessageWaitTimeSeconds":         seconds(q.attrs.wait),
		"MaximumMessageSize":                    strconv.Itoa(q.attrs.maxBytes),
		"SqsManagedSseEnabled":                  "true",
	}
	for _, name := range []string{"Policy", "RedrivePolicy", "RedriveAllowPolicy", "SqsManagedSseEnabled", "KmsDataKeyReusePeriodSeconds"} {
		if v, ok := q.attrs.text[name]; ok {
			out[name] = v
		}
	}
	return out
}

// close ends the journal.
func (q *queue) close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.journal.close()
}
