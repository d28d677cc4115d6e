package lambda

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/sqs"
)

// mapping polls a queue for a function.
type mapping struct {
	Mapping
	id string
	f  *function
}

// Map connects a queue to a function. Polling begins with Start.
func (s *Service) Map(m Mapping) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("mapping of %s to function %s: %s", m.QueueARN, m.FunctionName, fmt.Sprintf(format, args...))
	}
	m.FunctionName = plainName(m.FunctionName)
	m.BatchSize = cmp.Or(m.BatchSize, 10)
	switch {
	case m.BatchSize < 1 || m.BatchSize > 10000:
		return fail("batch size %d is not between 1 and 10000", m.BatchSize)
	case m.Window < 0 || m.Window > 300*time.Second:
		return fail("batching window %v is not between 0 and 300 seconds", m.Window)
	case m.BatchSize > 10 && m.Window < time.Second:
		return fail("a batch size over 10 needs a batching window of at least 1 second")
	case m.MaximumConcurrency != 0 && (m.MaximumConcurrency < 2 || m.MaximumConcurrency > 1000):
		return fail("maximum concurrency %d is not between 2 and 1000", m.MaximumConcurrency)
	}
	m.MaximumConcurrency = cmp.Or(m.MaximumConcurrency, 10)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.functions[m.FunctionName]
	if f == nil {
		return fail("no such function")
	}
	s.mappings = append(s.mappings, &mapping{Mapping: m, id: newID(), f: f})
	return nil
}

// Start begins to poll. A queue whose visibility timeout is below the
// function's time limit is refused, as in the cloud. A role that lacks a right
// is no error here: the denial is logged at every attempt.
func (s *Service) Start(ctx context.Context) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, m := range s.mappings {
		if m.Disabled {
			continue
		}
		attrs, err := s.cfg.Queues.AttributesAs(ctx, m.f.Role, m.QueueARN)
		if err != nil && !denied(err) {
			return fmt.Errorf("mapping of %s to function %s: %w", m.QueueARN, m.FunctionName, err)
		}
		if n, err := strconv.Atoi(attrs["VisibilityTimeout"]); err == nil && time.Duration(n)*time.Second < m.f.Timeout {
			return fmt.Errorf("mapping of %s to function %s: queue visibility timeout: %d seconds is less than function timeout: %.0f seconds", m.QueueARN, m.FunctionName, n, m.f.Timeout.Seconds())
		}
	}
	for _, m := range s.mappings {
		if !m.Disabled {
			s.background.Go(func() { m.poll(s) })
		}
	}
	return nil
}

func denied(err error) bool {
	var d *access.Denial
	return errors.As(err, &d)
}

// poll receives batches and runs them, as many at a time as allowed, until the
// service stops.
func (m *mapping) poll(s *Service) {
	slots := make(chan struct{}, m.MaximumConcurrency)
	for s.running.Err() == nil {
		select {
		case slots <- struct{}{}:
		case <-s.running.Done():
			return
		}
		batch, err := m.gather(s)
		if err != nil {
			<-slots
			if s.running.Err() != nil {
				return
			}
			s.log.Error("lambda: poll", "queue", m.QueueARN, "function", m.FunctionName, "error", err)
			_ = s.clock.Sleep(s.running, 10*time.Second) // the loop looks at running
			continue
		}
		if len(batch) == 0 {
			<-slots
			continue
		}
		s.background.Go(func() {
			defer func() { <-slots }()
			m.run(s, batch)
		})
	}
}

// received is a message and what lets its visibility timeout go on.
type received struct {
	sqs.Message
	release func()
}

// maxBatchBytes keeps an event with its envelope under the payload limit.
const maxBatchBytes = maxPayload - 1<<20

// gather receives up to a batch, waiting for it to fill for the window.
func (m *mapping) gather(s *Service) ([]received, error) {
	var batch []received
	wait, bytes := 20*time.Second, 0
	var end time.Time
	for {
		got, err := s.cfg.Queues.ReceiveAs(s.running, m.f.Role, m.QueueARN, min(10, m.BatchSize-len(batch)), wait)
		if err != nil {
			if len(batch) > 0 {
				break // run what there is; the error comes again
			}
			return nil, err
		}
		for _, g := range got {
			bytes += 2*len(g.Body) + 1024
			batch = append(batch, received{g, s.cfg.Queues.Hold(m.QueueARN, g.ReceiptHandle)})
		}
		if len(batch) == 0 || len(batch) >= m.BatchSize || m.Window == 0 || bytes >= maxBatchBytes/2 {
			break
		}
		if end.IsZero() {
			end = s.clock.Now().Add(s.clock.Short(m.Window))
		}
		left := end.Sub(s.clock.Now())
		if left <= 0 || s.running.Err() != nil {
			break
		}
		wait = min(20*time.Second, time.Duration(float64(left)*s.clock.Speed()))
	}
	return batch, nil
}

// record is a message as functions get it.
type record struct {
	MessageID      string                     `json:"messageId"`
	ReceiptHandle  string                     `json:"receiptHandle"`
	Body           string                     `json:"body"`
	Attributes     map[string]string          `json:"attributes"`
	MessageAttrs   map[string]recordAttribute `json:"messageAttributes"`
	MD5OfAttrs     string                     `json:"md5OfMessageAttributes,omitzero"`
	MD5OfBody      string                     `json:"md5OfBody"`
	EventSource    string                     `json:"eventSource"`
	EventSourceARN string                     `json:"eventSourceARN"`
	Region         string                     `json:"awsRegion"`
}

type recordAttribute struct {
	StringValue *string  `json:"stringValue,omitzero"`
	BinaryValue []byte   `json:"binaryValue,omitzero"`
	StringList  []string `json:"stringListValues"`
	BinaryList  [][]byte `json:"binaryListValues"`
	DataType    string   `json:"dataType"`
}

func (m *mapping) event(batch []received) ([]byte, error) {
	records := make([]record, 0, len(batch))
	for _, b := range batch {
		attrs := map[string]recordAttribute{}
		for k, a := range b.MessageAttributes {
			attrs[k] = recordAttribute{a.StringValue, a.BinaryValue, []string{}, [][]byte{}, a.DataType}
		}
		records = append(records, record{
			b.MessageId, b.ReceiptHandle, b.Body, b.Attributes, attrs, b.MD5OfMessageAttributes, b.MD5OfBody,
			"aws:sqs", m.QueueARN, access.Region,
		})
	}
	return json.Marshal(map[string]any{"Records": records})
}

// run invokes the function with a batch and deletes what it has done. The rest
// is left to the visibility timeout.
func (m *mapping) run(s *Service, batch []received) {
	defer func() {
		for _, b := range batch {
			b.release()
		}
	}()
	event, err := m.event(batch)
	if err != nil {
		s.log.Error("lambda: make the event", "function", m.FunctionName, "error", err)
		return
	}
	res, err := m.f.invoke(newID(), event)
	if err != nil {
		s.log.Warn("lambda: invoke for a queue", "queue", m.QueueARN, "function", m.FunctionName, "error", err)
		return
	}
	if res.FunctionError != "" {
		s.log.Warn("lambda: function failed, its messages come back after their visibility timeout",
			"function", m.FunctionName, "request", res.RequestID, "messages", len(batch), "errorType", errorType(res.Payload))
		return
	}
	keep := map[string]bool{}
	if m.ReportBatchItemFailures {
		var ok bool
		if keep, ok = itemFailures(res.Payload, batch); !ok {
			s.log.Warn("lambda: the answer names item failures that cannot be understood: the whole batch counts as failed",
				"function", m.FunctionName, "request", res.RequestID)
			return
		}
	}
	// Deleting outlives the stop of the service: done work is not done again.
	ctx := context.WithoutCancel(s.running)
	for _, b := range batch {
		if keep[b.MessageId] {
			continue
		}
		if err := s.cfg.Queues.DeleteAs(ctx, m.f.Role, m.QueueARN, b.ReceiptHandle); err != nil {
			s.log.Error("lambda: delete a handled message", "queue", m.QueueARN, "function", m.FunctionName, "error", err)
		}
	}
}

// itemFailures reads a partial batch response. Nothing, null and an empty list
// are success; an id that is not in the batch fails the whole batch (false).
func itemFailures(payload []byte, batch []received) (failed map[string]bool, ok bool) {
	failed = map[string]bool{}
	if p := bytes.TrimSpace(payload); len(p) == 0 || string(p) == "null" || string(p) == `""` {
		return failed, true
	}
	var answer struct {
		Failures []struct {
			ID *string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(payload, &answer); err != nil {
		return nil, false
	}
	known := map[string]bool{}
	for _, b := range batch {
		known[b.MessageId] = true
	}
	for _, f := range answer.Failures {
		if f.ID == nil || !known[*f.ID] {
			return nil, false
		}
		failed[*f.ID] = true
	}
	return failed, true
}

// errorType is the kind of an error document; its message could quote data.
func errorType(payload []byte) string {
	var doc struct {
		Type string `json:"errorType"`
	}
	if err := json.Unmarshal(payload, &doc); err != nil {
		return ""
	}
	return doc.Type
}
