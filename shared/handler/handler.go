// Package handler is the door of the functions: a queue message in, one call
// on the pipeline, the decision about the message out.
//
// A message is answered by one of three ends. Done: it is gone. Later: a
// delayed copy is sent before it is acknowledged, so that waiting burns no
// receives. Failed: it is given back to its queue, and after the queue's limit
// of receives it stands in the dead-letter queue.
package handler

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// maxTries is how often a message is put off before it is given back to its
// queue for good: about a day with the delays of wait.
const maxTries = 100

// errJunk: the message is of no kind that is known here.
var errJunk = errors.New("not a message of this pipeline")

// queue is one function's end of its queue.
type queue struct {
	log    *slog.Logger
	resend pipeline.Queue
	// requests says that applications' requests come here.
	requests bool
	// route calls the pipeline for one message.
	route func(ctx context.Context, in pipeline.Invocation, m message) error
	now   func() time.Time
}

// Handle answers a batch of messages, as Lambda calls it.
func (q *queue) Handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	response := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	for i, record := range event.Records {
		in := pipeline.Invocation{ID: fmt.Sprintf("%s.%d", requestID(ctx), i), Deadline: deadline(ctx, q.now())}
		if err := q.message(ctx, in, []byte(record.Body), record.MessageId, "", 0); err != nil {
			attrs := []any{"message", record.MessageId, "error", err}
			if errors.Is(err, errJunk) {
				attrs = append(attrs, "bytes", len(record.Body), "members", members([]byte(record.Body)))
			}
			q.log.ErrorContext(ctx, "message failed", attrs...)
			response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: record.MessageId})
		}
	}
	return response, nil
}

// message handles one message body. Each object of an S3 notification is
// answered for itself. stamp is the id of the message in which a request that
// gives itself none came first; empty if that is this one.
func (q *queue) message(ctx context.Context, in pipeline.Invocation, body []byte, messageID, stamp string, tries int) error {
	m, err := parse(body)
	if err != nil {
		return err
	}
	if m.own.Do == pipeline.DoAgain && m.own.Message != nil {
		if tries > 0 {
			return fmt.Errorf("a message put off is itself a message put off: %w", errJunk)
		}
		return q.message(ctx, in, m.own.Message, messageID, cmp.Or(m.own.MessageID, messageID), m.own.Tries)
	}
	if m.kind == kindRequest && m.name == "" {
		if m.name = stamp; stamp == "" && q.requests {
			return q.stamp(ctx, body, messageID)
		}
	}
	var errs []error
	for n, one := range m.split() {
		call := in
		call.Due = one.own.Due
		if n > 0 {
			call.ID = fmt.Sprintf("%s.%d", in.ID, n)
		}
		err := q.route(ctx, call, one)
		if err == nil {
			continue
		}
		if !pipeline.Later(err) || tries >= maxTries {
			errs = append(errs, err)
			continue
		}
		q.log.WarnContext(ctx, "message put off", "kind", one.kind, "tries", tries+1, "error", err)
		again := pipeline.Message{Do: pipeline.DoAgain, Tries: tries + 1, Message: one.body}
		if one.kind == kindRequest {
			again.MessageID = one.name // its copy has another id
		}
		if err := q.resend.Send(ctx, again.Encode(), wait(tries)); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// stamp sends a request that gives itself no id again, with that of its message
// beside it. A dead letter that is put back is a new message to the queue, with
// an id of its own: it must not become a second submission.
func (q *queue) stamp(ctx context.Context, body []byte, messageID string) error {
	again := pipeline.Message{Do: pipeline.DoAgain, MessageID: messageID, Message: body}
	if err := q.resend.Send(ctx, again.Encode(), 0); err != nil {
		return fmt.Errorf("name a request by its message: %w", err)
	}
	return nil
}

// wait doubles from 5 seconds to 15 minutes.
func wait(tries int) time.Duration {
	return min(5*time.Second<<min(tries, 10), 15*time.Minute)
}

func requestID(ctx context.Context) string {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		return lc.AwsRequestID
	}
	return "local"
}

// deadline is when the invocation is killed; one without a limit gets the
// longest that a function can have.
func deadline(ctx context.Context, now time.Time) time.Time {
	if d, ok := ctx.Deadline(); ok {
		return d
	}
	return now.Add(15 * time.Minute)
}

// members are the names of a message's top-level members: enough to tell
// where junk comes from, and none of its content.
func members(body []byte) []string {
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil {
		return nil
	}
	names := make([]string, 0, len(object))
	for name := range object {
		if len(name) > 60 {
			name = name[:60]
		}
		names = append(names, name)
	}
	sort.Strings(names)
	return names[:min(len(names), 20)]
}
