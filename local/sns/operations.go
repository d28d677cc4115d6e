package sns

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

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

type subscribeIn struct {
	TopicArn, Protocol, Endpoint string
	Attributes                   map[string]string
	ReturnSubscriptionArn        bool
}

type subscriptionARN struct{ SubscriptionArn string }

func (c call) subscribe(in *subscribeIn) (*subscriptionARN, error) {
	c.mu.RLock()
	t := c.topics[in.TopicArn]
	var policy *access.Policy
	if t != nil {
		policy = t.policy
	}
	c.mu.RUnlock()
	err := c.cfg.Authority.Check(c.ctx, access.Call{
		Principal: c.user, Action: "sns:Subscribe", Resource: in.TopicArn, ResourcePolicy: policy,
		Context: map[string][]string{"sns:Protocol": {in.Protocol}, "sns:Endpoint": {in.Endpoint}},
	})
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, &access.APIError{Code: "NotFound", Status: http.StatusNotFound, Message: "Topic does not exist"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	sub, err := t.subscribe(in.Protocol, in.Endpoint, in.Attributes, false)
	if err != nil {
		return nil, err
	}
	if in.Protocol == "sqs" { // a queue of the same account confirms by itself
		sub.confirmed = true
	}
	if err := c.save(); err != nil {
		return nil, err
	}
	if !sub.confirmed {
		c.confirm(sub)
		if !in.ReturnSubscriptionArn {
			return &subscriptionARN{"pending confirmation"}, nil
		}
	}
	return &subscriptionARN{sub.arn}, nil
}

type confirmIn struct {
	TopicArn, Token           string
	AuthenticateOnUnsubscribe *string
}

// confirmSubscription needs no signature: whoever has the token was asked.
func (c call) confirmSubscription(in *confirmIn) (*subscriptionARN, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.topics[in.TopicArn]
	if t == nil {
		return nil, &access.APIError{Code: "NotFound", Status: http.StatusNotFound, Message: "Topic does not exist"}
	}
	for _, s := range t.subs {
		if in.Token != "" && s.token == in.Token {
			s.confirmed = true
			return &subscriptionARN{s.arn}, c.save()
		}
	}
	return nil, invalid("Token")
}

// subscriptionFor finds a subscription for a caller who may do the action on
// its topic.
func (c call) subscriptionFor(action, arn string) (*topic, *subscription, error) {
	at := strings.LastIndex(arn, ":")
	if at < 0 || !strings.HasPrefix(arn, ARN("")) {
		return nil, nil, invalid("SubscriptionArn Reason: %s is not a subscription of this account and region", arn)
	}
	t, err := c.authorised(c.ctx, c.user, action, arn[:at])
	if err != nil && access.AsAPIError(err).Code != "NotFound" {
		return nil, nil, err
	}
	if t != nil {
		c.mu.RLock()
		defer c.mu.RUnlock()
		for _, s := range t.subs {
			if s.arn == arn {
				return t, s, nil
			}
		}
	}
	return nil, nil, &access.APIError{Code: "NotFound", Status: http.StatusNotFound, Message: "Subscription does not exist"}
}

func (c call) unsubscribe(in *subscriptionARN) (*empty, error) {
	t, sub, err := c.subscriptionFor("Unsubscribe", in.SubscriptionArn)
	if err != nil {
		if access.AsAPIError(err).Code == "NotFound" {
			return nil, nil // gone already
		}
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t.subs = slices.DeleteFunc(t.subs, func(s *subscription) bool { return s == sub })
	t.deleted++
	return nil, c.save()
}

type subscriptionEntry struct{ TopicArn, Protocol, SubscriptionArn, Owner, Endpoint string }

type listSubscriptionsOut struct {
	Subscriptions []subscriptionEntry
	NextToken     string `json:",omitzero"`
}

func (c call) entries(arns []string, token string) (*listSubscriptionsOut, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var all []subscriptionEntry
	for _, arn := range arns {
		t := c.topics[arn]
		if t == nil {
			continue // deleted meanwhile
		}
		for _, s := range t.subs {
			id := s.arn
			if !s.confirmed {
				id = "PendingConfirmation"
			}
			all = append(all, subscriptionEntry{arn, s.protocol, id, access.Account, s.endpoint})
		}
	}
	start, err := from(token, len(all))
	if err != nil {
		return nil, err
	}
	out := &listSubscriptionsOut{Subscriptions: all[start:min(start+page, len(all))]}
	if start+page < len(all) {
		out.NextToken = strconv.Itoa(start + page)
	}
	return out, nil
}

func (c call) listSubscriptions(in *listIn) (*listSubscriptionsOut, error) {
	if err := c.check(c.ctx, c.user, "ListSubscriptions", "*", nil); err != nil {
		return nil, err
	}
	return c.entries(c.Names(), in.NextToken)
}

func (c call) listSubscriptionsByTopic(in *listIn) (*listSubscriptionsOut, error) {
	if _, err := c.authorised(c.ctx, c.user, "ListSubscriptionsByTopic", in.TopicArn); err != nil {
		return nil, err
	}
	return c.entries([]string{in.TopicArn}, in.NextToken)
}

func (c call) getSubscriptionAttributes(in *subscriptionARN) (*attributesOut, error) {
	_, s, err := c.subscriptionFor("GetSubscriptionAttributes", in.SubscriptionArn)
	if err != nil {
		return nil, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := map[string]string{
		"SubscriptionArn": s.arn, "TopicArn": s.topic, "Protocol": s.protocol, "Endpoint": s.endpoint, "Owner": access.Account,
		"PendingConfirmation": strconv.FormatBool(!s.confirmed), "ConfirmationWasAuthenticated": strconv.FormatBool(s.confirmed),
		"RawMessageDelivery": "false",
	}
	maps.Copy(out, s.attributes)
	if s.filter != nil && out["FilterPolicyScope"] == "" {
		out["FilterPolicyScope"] = "MessageAttributes"
	}
	return &attributesOut{out}, nil
}

func (c call) setSubscriptionAttributes(in *setAttributeIn) (*empty, error) {
	_, s, err := c.subscriptionFor("SetSubscriptionAttributes", in.SubscriptionArn)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.set(map[string]string{in.AttributeName: in.AttributeValue}); err != nil {
		return nil, err
	}
	return nil, c.save()
}

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
