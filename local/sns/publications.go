package sns

import (
	"strings"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

type publishIn struct {
	TopicArn, TargetArn    string
	PhoneNumber            *string
	Message                string
	Subject                *string
	MessageStructure       string
	MessageAttributes      map[string]Attribute `query:"MessageAttributes,entry,Name,Value"`
	MessageDeduplicationId *string
	MessageGroupId         *string
}

type publishOut struct{ MessageId string }

func onlyFIFO(dedup, group *string) error {
	switch {
	case dedup != nil:
		return invalid("MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type")
	case group != nil:
		return invalid("MessageGroupId Reason: it is not part of the local services")
	}
	return nil
}

func (c call) publishOne(in *publishIn) (*publishOut, error) {
	if in.PhoneNumber != nil {
		return nil, invalid("PhoneNumber Reason: text messages are not part of the local services")
	}
	arn := in.TopicArn
	if arn == "" {
		arn = in.TargetArn
	}
	if arn == "" {
		return nil, invalid("TopicArn or TargetArn Reason: no value for required parameter")
	}
	t, err := c.authorised(c.ctx, c.user, "Publish", arn)
	if err != nil {
		return nil, err
	}
	if err := onlyFIFO(in.MessageDeduplicationId, in.MessageGroupId); err != nil {
		return nil, err
	}
	id, err := c.publish(t, Publication{in.Message, in.Subject, in.MessageStructure, in.MessageAttributes})
	if err != nil {
		return nil, err
	}
	return &publishOut{id}, nil
}

type batchEntry struct {
	Id, Message            string
	Subject                *string
	MessageStructure       string
	MessageAttributes      map[string]Attribute `query:"MessageAttributes,entry,Name,Value"`
	MessageDeduplicationId *string
	MessageGroupId         *string
}

type publishBatchIn struct {
	TopicArn                   string
	PublishBatchRequestEntries []batchEntry
}

type batchDone struct{ Id, MessageId string }

type batchFailed struct {
	Id, Code, Message string
	SenderFault       bool
}

type publishBatchOut struct {
	Successful []batchDone
	Failed     []batchFailed
}

func (c call) publishBatch(in *publishBatchIn) (*publishBatchOut, error) {
	t, err := c.authorised(c.ctx, c.user, "Publish", in.TopicArn)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	total := 0
	switch n := len(in.PublishBatchRequestEntries); {
	case n == 0:
		return nil, access.Errorf("EmptyBatchRequest", "The batch request doesn't contain any entries.")
	case n > 10:
		return nil, access.Errorf("TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible (10): %d.", n)
	}
	for _, e := range in.PublishBatchRequestEntries {
		if e.Id == "" || len(e.Id) > 80 || strings.Trim(e.Id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			return nil, access.Errorf("InvalidBatchEntryId", "The Id of a batch entry in a batch request doesn't abide by the specification.")
		}
		if seen[e.Id] {
			return nil, access.Errorf("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id: %s.", e.Id)
		}
		seen[e.Id] = true
		total += len(e.Message) + Publication{Attributes: e.MessageAttributes}.attributeBytes()
	}
	c.mu.RLock()
	limit := t.maxBytes
	c.mu.RUnlock()
	if total > limit {
		return nil, access.Errorf("BatchRequestTooLong", "The length of all the batch messages put together is more than the limit of %d bytes: %d.", limit, total)
	}
	out := &publishBatchOut{}
	for _, e := range in.PublishBatchRequestEntries {
		err := onlyFIFO(e.MessageDeduplicationId, e.MessageGroupId)
		var id string
		if err == nil {
			id, err = c.publish(t, Publication{e.Message, e.Subject, e.MessageStructure, e.MessageAttributes})
		}
		if err != nil {
			a := access.AsAPIError(err)
			out.Failed = append(out.Failed, batchFailed{e.Id, a.Code, a.Message, a.HTTPStatus() < 500})
			continue
		}
		out.Successful = append(out.Successful, batchDone{e.Id, id})
	}
	return out, nil
}
