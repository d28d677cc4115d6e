package sqs

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// call is one request: who asks and the service that answers.
type call struct {
	*Service
	ctx  context.Context
	user *access.Principal
}

// queueAt finds the queue of a URL for a caller who may do the action on it.
func (c call) queueAt(url, action string) (*queue, error) {
	if url == "" {
		return nil, access.Errorf("MissingParameter", "The request must contain the parameter QueueUrl.")
	}
	// Only the path counts: the same queue has one URL per name of the host.
	i := strings.LastIndex(url, "/")
	if i < 0 || !strings.HasSuffix(url[:i], "/"+access.Account) {
		return nil, access.Errorf("InvalidAddress", "The address %s is not valid for this endpoint.", url)
	}
	return c.authorised(c.ctx, c.user, action, url[i+1:])
}

type empty struct{}

type createQueueIn struct {
	QueueName  string
	Attributes map[string]string `query:"Attribute,flat,Name,Value"`
	Tags       map[string]string `json:"tags" query:"Tag,flat,Key,Value"`
}

type queueURL struct{ QueueUrl string }

func (c call) createQueue(in *createQueueIn) (*queueURL, error) {
	if err := c.cfg.Authority.Check(c.ctx, access.Call{Principal: c.user, Action: "sqs:CreateQueue", Resource: ARN(in.QueueName)}); err != nil {
		return nil, err
	}
	if err := validName(in.QueueName); err != nil {
		return nil, err
	}
	a, err := parseAttributes(defaultAttributes(), in.Attributes)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if q := c.queues[in.QueueName]; q != nil {
		have := q.describe()
		for k, v := range in.Attributes {
			if have[k] != v && (v != "" || have[k] != "") {
				return nil, access.Errorf("QueueNameExists", "A queue already exists with the same name and a different value for attribute %s", k)
			}
		}
		return &queueURL{c.URL(in.QueueName)}, nil
	}
	if _, err := c.add(in.QueueName, a, in.Tags); err != nil {
		return nil, err
	}
	return &queueURL{c.URL(in.QueueName)}, nil
}

type getQueueURLIn struct{ QueueName, QueueOwnerAWSAccountId string }

func (c call) getQueueURL(in *getQueueURLIn) (*queueURL, error) {
	if in.QueueOwnerAWSAccountId != "" && in.QueueOwnerAWSAccountId != access.Account {
		return nil, access.Errorf("QueueDoesNotExist", "The specified queue does not exist.")
	}
	if _, err := c.authorised(c.ctx, c.user, "GetQueueUrl", in.QueueName); err != nil {
		return nil, err
	}
	return &queueURL{c.URL(in.QueueName)}, nil
}

type listQueuesIn struct {
	QueueNamePrefix, NextToken string
	MaxResults                 *int
}

type listQueuesOut struct {
	QueueUrls []string `json:",omitzero" query:"QueueUrl,flat"`
	NextToken string   `json:",omitzero"`
}

func (c call) listQueues(in *listQueuesIn) (*listQueuesOut, error) {
	if err := c.cfg.Authority.Check(c.ctx, access.Call{Principal: c.user, Action: "sqs:ListQueues", Resource: "*"}); err != nil {
		return nil, err
	}
	limit := 1000
	if in.MaxResults != nil {
		if limit = *in.MaxResults; limit < 1 || limit > 1000 {
			return nil, access.Errorf("InvalidParameterValue", "Value %d for parameter MaxResults is invalid. Reason: Must be between 1 and 1000.", limit)
		}
	}
	out := &listQueuesOut{}
	last := ""
	for _, name := range c.Names() {
		if !strings.HasPrefix(name, in.QueueNamePrefix) || name <= in.NextToken {
			continue
		}
		if len(out.QueueUrls) == limit {
			if in.MaxResults != nil { // without it AWS gives the first 1000 and no token
				out.NextToken = last
			}
			break
		}
		out.QueueUrls = append(out.QueueUrls, c.URL(name))
		last = name
	}
	return out, nil
}

type getAttributesIn struct {
	QueueUrl       string
	AttributeNames []string `query:"AttributeName,flat"`
}

type attributesOut struct {
	Attributes map[string]string `json:",omitzero" query:"Attribute,flat,Name,Value"`
}

func (c call) getQueueAttributes(in *getAttributesIn) (*attributesOut, error) {
	q, err := c.queueAt(in.QueueUrl, "GetQueueAttributes")
	if err != nil {
		return nil, err
	}
	all := q.describe()
	if slices.Contains(in.AttributeNames, "All") {
		return &attributesOut{all}, nil
	}
	out := &attributesOut{}
	for _, n := range in.AttributeNames {
		v, ok := all[n]
		if !ok {
			switch n {
			case "Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "FifoQueue",
				"ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit":
				continue // known, not set
			}
			return nil, access.Errorf("InvalidAttributeName", "Unknown Attribute %s.", n)
		}
		if out.Attributes == nil {
			out.Attributes = map[string]string{}
		}
		out.Attributes[n] = v
	}
	return out, nil
}

type setAttributesIn struct {
	QueueUrl   string
	Attributes map[string]string `query:"Attribute,flat,Name,Value"`
}

func (c call) setQueueAttributes(in *setAttributesIn) (*empty, error) {
	q, err := c.queueAt(in.QueueUrl, "SetQueueAttributes")
	if err != nil {
		return nil, err
	}
	a, err := parseAttributes(q.attributes(), in.Attributes)
	if err != nil {
		return nil, err
	}
	return nil, q.setAttributes(a, nil)
}

func (c call) purgeQueue(in *queueURL) (*empty, error) {
	q, err := c.queueAt(in.QueueUrl, "PurgeQueue")
	if err != nil {
		return nil, err
	}
	return nil, q.purge()
}

func (c call) deleteQueue(in *queueURL) (*empty, error) {
	q, err := c.queueAt(in.QueueUrl, "DeleteQueue")
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.queues, q.name)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gone = true
	q.wake()
	if q.journal == nil {
		return nil, nil
	}
	if err := q.journal.close(); err != nil {
		return nil, err
	}
	err = os.Remove(q.journal.path)
	q.journal = nil
	return nil, err
}

type tagsIn struct {
	QueueUrl string
	Tags     map[string]string `query:"Tag,flat,Key,Value"`
}

type untagIn struct {
	QueueUrl string
	TagKeys  []string `query:"TagKey,flat"`
}

type tagsOut struct {
	Tags map[string]string `json:",omitzero" query:"Tag,flat,Key,Value"`
}

func (c call) tagQueue(in *tagsIn) (*empty, error) {
	q, err := c.queueAt(in.QueueUrl, "TagQueue")
	if err != nil {
		return nil, err
	}
	return nil, q.retag(func(t map[string]string) { maps.Copy(t, in.Tags) })
}

func (c call) untagQueue(in *untagIn) (*empty, error) {
	q, err := c.queueAt(in.QueueUrl, "UntagQueue")
	if err != nil {
		return nil, err
	}
	return nil, q.retag(func(t map[string]string) {
		for _, k := range in.TagKeys {
			delete(t, k)
		}
	})
}

func (c call) listQueueTags(in *queueURL) (*tagsOut, error) {
	q, err := c.queueAt(in.QueueUrl, "ListQueueTags")
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return &tagsOut{maps.Clone(q.tags)}, nil
}

func (q *queue) retag(change func(map[string]string)) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.tags == nil {
		q.tags = map[string]string{}
	}
	change(q.tags)
	return q.writeHead()
}

type sourcesIn struct {
	QueueUrl, NextToken string
	MaxResults          *int
}

type sourcesOut struct {
	QueueUrls []string `json:"queueUrls" query:"QueueUrl,flat"`
	NextToken string   `json:",omitzero"`
}

func (c call) listDeadLetterSourceQueues(in *sourcesIn) (*sourcesOut, error) {
	q, err := c.queueAt(in.QueueUrl, "ListDeadLetterSourceQueues")
	if err != nil {
		return nil, err
	}
	out := &sourcesOut{QueueUrls: []string{}}
	for _, name := range c.Names() {
		source, ok := c.queue(name)
		if !ok {
			continue // deleted meanwhile
		}
		if r := source.attributes().redrive; r != nil && r.DeadLetterTargetARN == ARN(q.name) {
			out.QueueUrls = append(out.QueueUrls, c.URL(name))
		}
	}
	return out, nil
}

func seconds(n *int) *time.Duration {
	if n == nil {
		return nil
	}
	d := time.Duration(*n) * time.Second
	return &d
}
