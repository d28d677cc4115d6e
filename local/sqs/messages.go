package sqs

import (
	"slices"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

type sendIn struct {
	QueueUrl, MessageBody   string
	DelaySeconds            *int
	MessageAttributes       map[string]Attribute `query:"MessageAttribute,flat,Name,Value"`
	MessageSystemAttributes map[string]Attribute `query:"MessageSystemAttribute,flat,Name,Value"`
	MessageDeduplicationId  *string
	MessageGroupId          *string
}

type sendOut struct {
	MessageId              string
	MD5OfMessageBody       string
	MD5OfMessageAttributes string `json:",omitzero"`
}

func (in *sendIn) outgoing() (Outgoing, error) {
	o := Outgoing{Body: in.MessageBody, Attributes: in.MessageAttributes, Delay: seconds(in.DelaySeconds)}
	if in.MessageDeduplicationId != nil {
		return o, access.Errorf("InvalidParameterValue", "The request includes the parameter MessageDeduplicationId which is not valid for this queue type")
	}
	if in.MessageGroupId != nil {
		return o, access.Errorf("UnsupportedOperation", "MessageGroupId: fair queues are not part of the local services")
	}
	for name, a := range in.MessageSystemAttributes {
		if name != "AWSTraceHeader" || a.StringValue == nil {
			return o, access.Errorf("InvalidParameterValue", "Message system attribute name '%s' is invalid.", name)
		}
		o.TraceHeader = *a.StringValue
	}
	return o, nil
}

func (c call) sendMessage(in *sendIn) (*sendOut, error) {
	q, err := c.queueAt(in.QueueUrl, "SendMessage")
	if err != nil {
		return nil, err
	}
	return c.sendTo(q, in)
}

func (c call) sendTo(q *queue, in *sendIn) (*sendOut, error) {
	o, err := in.outgoing()
	if err != nil {
		return nil, err
	}
	m, err := q.send(c.user, o)
	if err != nil {
		return nil, err
	}
	return &sendOut{m.id, md5Hex(m.body), md5OfAttributes(m.attrs)}, nil
}

type batchError struct {
	Id, Code, Message string
	SenderFault       bool
}

func failed(id string, err error) batchError {
	e := access.AsAPIError(err)
	return batchError{id, e.Code, e.Message, e.HTTPStatus() < 500}
}

// checkBatch checks the ids of a batch's entries.
func checkBatch(ids []string) error {
	switch {
	case len(ids) == 0:
		return access.Errorf("EmptyBatchRequest", "There should be at least one entry in the request.")
	case len(ids) > 10:
		return access.Errorf("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent %d.", len(ids))
	}
	seen := map[string]bool{}
	for _, id := range ids {
		if id == "" || len(id) > 80 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			return access.Errorf("InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		}
		if seen[id] {
			return access.Errorf("BatchEntryIdsNotDistinct", "Id %s repeated.", id)
		}
		seen[id] = true
	}
	return nil
}

type sendEntry struct {
	Id, MessageBody         string
	DelaySeconds            *int
	MessageAttributes       map[string]Attribute `query:"MessageAttribute,flat,Name,Value"`
	MessageSystemAttributes map[string]Attribute `query:"MessageSystemAttribute,flat,Name,Value"`
	MessageDeduplicationId  *string
	MessageGroupId          *string
}

type sendBatchIn struct {
	QueueUrl string
	Entries  []sendEntry `query:"SendMessageBatchRequestEntry,flat"`
}

type sentEntry struct {
	Id, MessageId          string
	MD5OfMessageBody       string
	MD5OfMessageAttributes string `json:",omitzero"`
}

type sendBatchOut struct {
	Successful []sentEntry  `query:"SendMessageBatchResultEntry,flat"`
	Failed     []batchError `json:",omitzero" query:"BatchResultErrorEntry,flat"`
}

func (c call) sendMessageBatch(in *sendBatchIn) (*sendBatchOut, error) {
	q, err := c.queueAt(in.QueueUrl, "SendMessage")
	if err != nil {
		return nil, err
	}
	var ids []string
	total := 0
	for _, e := range in.Entries {
		ids = append(ids, e.Id)
		total += (&Outgoing{Body: e.MessageBody, Attributes: e.MessageAttributes}).size()
	}
	if err := checkBatch(ids); err != nil {
		return nil, err
	}
	if total > 1<<20 {
		return nil, access.Errorf("BatchRequestTooLong", "Batch requests cannot be longer than %d bytes. You have sent %d bytes.", 1<<20, total)
	}
	out := &sendBatchOut{Successful: []sentEntry{}}
	for _, e := range in.Entries {
		sent, err := c.sendTo(q, &sendIn{"", e.MessageBody, e.DelaySeconds, e.MessageAttributes, e.MessageSystemAttributes, e.MessageDeduplicationId, e.MessageGroupId})
		if err != nil {
			out.Failed = append(out.Failed, failed(e.Id, err))
			continue
		}
		out.Successful = append(out.Successful, sentEntry{e.Id, sent.MessageId, sent.MD5OfMessageBody, sent.MD5OfMessageAttributes})
	}
	return out, nil
}

type receiveIn struct {
	QueueUrl                    string
	AttributeNames              []string `query:"AttributeName,flat"`
	MessageSystemAttributeNames []string `query:"MessageSystemAttributeName,flat"`
	MessageAttributeNames       []string `query:"MessageAttributeName,flat"`
	MaxNumberOfMessages         *int
	VisibilityTimeout           *int
	WaitTimeSeconds             *int
	ReceiveRequestAttemptId     *string
}

type receiveOut struct {
	Messages []Message `json:",omitzero" query:"Message,flat"`
}

var systemAttributes = []string{
	"All", "SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp",
	"SequenceNumber", "MessageDeduplicationId", "MessageGroupId", "AWSTraceHeader", "DeadLetterQueueSourceArn",
}

func (c call) receiveMessage(in *receiveIn) (*receiveOut, error) {
	q, err := c.queueAt(in.QueueUrl, "ReceiveMessage")
	if err != nil {
		return nil, err
	}
	a := q.attributes()
	r := receive{max: 1, wait: a.wait, visibility: a.visibility}
	for _, p := range []struct {
		name     string
		given    *int
		min, max int
		set      func(n int)
	}{
		{"MaxNumberOfMessages", in.MaxNumberOfMessages, 1, 10, func(n int) { r.max = n }},
		{"VisibilityTimeout", in.VisibilityTimeout, 0, 43200, func(n int) { r.visibility = time.Duration(n) * time.Second }},
		{"WaitTimeSeconds", in.WaitTimeSeconds, 0, 20, func(n int) { r.wait = time.Duration(n) * time.Second }},
	} {
		if p.given == nil {
			continue
		}
		if *p.given < p.min || *p.given > p.max {
			return nil, access.Errorf("InvalidParameterValue", "Value %d for parameter %s is invalid. Reason: Must be between %d and %d, if provided.", *p.given, p.name, p.min, p.max)
		}
		p.set(*p.given)
	}
	if in.ReceiveRequestAttemptId != nil {
		return nil, access.Errorf("InvalidParameterValue", "The request includes the parameter ReceiveRequestAttemptId which is not valid for this queue type")
	}
	system := append(slices.Clone(in.AttributeNames), in.MessageSystemAttributeNames...)
	for _, n := range system {
		if !slices.Contains(systemAttributes, n) {
			return nil, access.Errorf("InvalidAttributeName", "Unknown Attribute %s.", n)
		}
	}
	messages, err := c.receive(c.ctx, q, r)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		messages[i].narrow(system, in.MessageAttributeNames)
	}
	return &receiveOut{messages}, nil
}

// narrow leaves only the attributes asked for.
func (m *Message) narrow(system, user []string) {
	if !slices.Contains(system, "All") {
		var keep map[string]string
		for k, v := range m.Attributes {
			if slices.Contains(system, k) {
				if keep == nil {
					keep = map[string]string{}
				}
				keep[k] = v
			}
		}
		m.Attributes = keep
	}
	var keep map[string]Attribute
	for k, v := range m.MessageAttributes {
		for _, n := range user {
			prefix, wild := strings.CutSuffix(n, "*")
			if n == k || n == "All" || n == ".*" || wild && strings.HasPrefix(k, prefix) {
				if keep == nil {
					keep = map[string]Attribute{}
				}
				keep[k] = v
			}
		}
	}
	m.MessageAttributes, m.MD5OfMessageAttributes = keep, md5OfAttributes(keep)
}

type deleteIn struct{ QueueUrl, ReceiptHandle string }

func (c call) deleteMessage(in *deleteIn) (*empty, error) {
	q, err := c.queueAt(in.QueueUrl, "DeleteMessage")
	if err != nil {
		return nil, err
	}
	return nil, q.delete(in.ReceiptHandle)
}

type doneEntry struct{ Id string }

type deleteEntry struct{ Id, ReceiptHandle string }

type deleteBatchIn struct {
	QueueUrl string
	Entries  []deleteEntry `query:"DeleteMessageBatchRequestEntry,flat"`
}

type deleteBatchOut struct {
	Successful []doneEntry  `query:"DeleteMessageBatchResultEntry,flat"`
	Failed     []batchError `json:",omitzero" query:"BatchResultErrorEntry,flat"`
}

func (c call) deleteMessageBatch(in *deleteBatchIn) (*deleteBatchOut, error) {
	q, err := c.queueAt(in.QueueUrl, "DeleteMessage")
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range in.Entries {
		ids = append(ids, e.Id)
	}
	if err := checkBatch(ids); err != nil {
		return nil, err
	}
	out := &deleteBatchOut{Successful: []doneEntry{}}
	for _, e := range in.Entries {
		if err := q.delete(e.ReceiptHandle); err != nil {
			out.Failed = append(out.Failed, failed(e.Id, err))
			continue
		}
		out.Successful = append(out.Successful, doneEntry{e.Id})
	}
	return out, nil
}

type visibilityIn struct {
	QueueUrl, ReceiptHandle string
	VisibilityTimeout       *int
}

func (c call) changeMessageVisibility(in *visibilityIn) (*empty, error) {
	q, err := c.queueAt(in.QueueUrl, "ChangeMessageVisibility")
	if err != nil {
		return nil, err
	}
	return nil, changeVisibility(q, in.ReceiptHandle, in.VisibilityTimeout)
}

func changeVisibility(q *queue, receipt string, n *int) error {
	if n == nil {
		return access.Errorf("MissingParameter", "The request must contain the parameter VisibilityTimeout.")
	}
	return q.changeVisibility(receipt, *seconds(n))
}

type visibilityEntry struct {
	Id, ReceiptHandle string
	VisibilityTimeout *int
}

type visibilityBatchIn struct {
	QueueUrl string
	Entries  []visibilityEntry `query:"ChangeMessageVisibilityBatchRequestEntry,flat"`
}

type visibilityBatchOut struct {
	Successful []doneEntry  `query:"ChangeMessageVisibilityBatchResultEntry,flat"`
	Failed     []batchError `json:",omitzero" query:"BatchResultErrorEntry,flat"`
}

func (c call) changeMessageVisibilityBatch(in *visibilityBatchIn) (*visibilityBatchOut, error) {
	q, err := c.queueAt(in.QueueUrl, "ChangeMessageVisibility")
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range in.Entries {
		ids = append(ids, e.Id)
	}
	if err := checkBatch(ids); err != nil {
		return nil, err
	}
	out := &visibilityBatchOut{Successful: []doneEntry{}}
	for _, e := range in.Entries {
		if err := changeVisibility(q, e.ReceiptHandle, e.VisibilityTimeout); err != nil {
			out.Failed = append(out.Failed, failed(e.Id, err))
			continue
		}
		out.Successful = append(out.Successful, doneEntry{e.Id})
	}
	return out, nil
}
