package sns

import (
	"maps"
	"slices"
	"strconv"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// page is how many topics or subscriptions an answer lists.
const page = 100

type empty struct{}

type tag struct{ Key, Value string }

type createTopicIn struct {
	Name                 string
	Attributes           map[string]string
	Tags                 []tag
	DataProtectionPolicy *string
}

type topicARN struct{ TopicArn string }

func (c call) createTopic(in *createTopicIn) (*topicARN, error) {
	if err := c.check(c.ctx, c.user, "CreateTopic", ARN(in.Name), nil); err != nil {
		return nil, err
	}
	if in.DataProtectionPolicy != nil {
		return nil, invalid("DataProtectionPolicy is not part of the local services")
	}
	if err := validTopicName(in.Name); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.topics[ARN(in.Name)]; t != nil {
		for k, v := range in.Attributes {
			if t.attributes[k] != v {
				return nil, invalid("Attributes Reason: Topic already exists with different attributes")
			}
		}
		return &topicARN{t.arn()}, nil
	}
	t := newTopic(in.Name)
	if err := t.set(in.Attributes); err != nil {
		return nil, err
	}
	for _, g := range in.Tags {
		t.tags[g.Key] = g.Value
	}
	c.topics[t.arn()] = t
	return &topicARN{t.arn()}, c.save()
}

func (c call) deleteTopic(in *topicARN) (*empty, error) {
	if _, err := c.authorised(c.ctx, c.user, "DeleteTopic", in.TopicArn); err != nil {
		if access.AsAPIError(err).Code == "NotFound" {
			return nil, nil // gone already
		}
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.topics, in.TopicArn)
	return nil, c.save()
}

type listIn struct{ NextToken, TopicArn string }

type listTopicsOut struct {
	Topics    []topicARN
	NextToken string `json:",omitzero"`
}

// from reads a token: the number of entries to leave out.
func from(token string, length int) (int, error) {
	if token == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(token)
	if err != nil || n < 0 {
		return 0, invalid("NextToken")
	}
	return min(n, length), nil
}

func (c call) listTopics(in *listIn) (*listTopicsOut, error) {
	if err := c.check(c.ctx, c.user, "ListTopics", "*", nil); err != nil {
		return nil, err
	}
	all := c.Names()
	start, err := from(in.NextToken, len(all))
	if err != nil {
		return nil, err
	}
	out := &listTopicsOut{}
	for _, arn := range all[start:min(start+page, len(all))] {
		out.Topics = append(out.Topics, topicARN{arn})
	}
	if start+page < len(all) {
		out.NextToken = strconv.Itoa(start + page)
	}
	return out, nil
}

type attributesOut struct{ Attributes map[string]string }

func (c call) getTopicAttributes(in *topicARN) (*attributesOut, error) {
	t, err := c.authorised(c.ctx, c.user, "GetTopicAttributes", in.TopicArn)
	if err != nil {
		return nil, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	confirmed, pending := 0, 0
	for _, s := range t.subs {
		if s.confirmed {
			confirmed++
		} else {
			pending++
		}
	}
	out := map[string]string{
		"TopicArn": t.arn(), "Owner": access.Account, "DisplayName": "",
		"SubscriptionsConfirmed": strconv.Itoa(confirmed), "SubscriptionsPending": strconv.Itoa(pending), "SubscriptionsDeleted": strconv.Itoa(t.deleted),
	}
	maps.Copy(out, t.attributes)
	return &attributesOut{out}, nil
}

type setAttributeIn struct {
	TopicArn, SubscriptionArn     string
	AttributeName, AttributeValue string
}

func (c call) setTopicAttributes(in *setAttributeIn) (*empty, error) {
	t, err := c.authorised(c.ctx, c.user, "SetTopicAttributes", in.TopicArn)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := t.set(map[string]string{in.AttributeName: in.AttributeValue}); err != nil {
		return nil, err
	}
	return nil, c.save()
}

type tagsIn struct {
	ResourceArn string
	Tags        []tag
	TagKeys     []string
}

type tagsOut struct{ Tags []tag }

func (c call) tagResource(in *tagsIn) (*empty, error) {
	t, err := c.authorised(c.ctx, c.user, "TagResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range in.Tags {
		t.tags[g.Key] = g.Value
	}
	return &empty{}, c.save()
}

func (c call) untagResource(in *tagsIn) (*empty, error) {
	t, err := c.authorised(c.ctx, c.user, "UntagResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range in.TagKeys {
		delete(t.tags, k)
	}
	return &empty{}, c.save()
}

func (c call) listTags(in *tagsIn) (*tagsOut, error) {
	t, err := c.authorised(c.ctx, c.user, "ListTagsForResource", in.ResourceArn)
	if err != nil {
		return nil, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := &tagsOut{}
	for _, k := range slices.Sorted(maps.Keys(t.tags)) {
		out.Tags = append(out.Tags, tag{k, t.tags[k]})
	}
	return out, nil
}
