package sns

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

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
	AuthenticateOnUnsubscribe bool
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
			s.confirmed, s.mustSign = true, in.AuthenticateOnUnsubscribe
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

// unsubscribeByLink needs no signature unless the endpoint asked for one when
// it confirmed.
func (c call) unsubscribeByLink(arn string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.topics {
		i := slices.IndexFunc(t.subs, func(s *subscription) bool { return s.arn == arn })
		if i < 0 {
			continue
		}
		if t.subs[i].mustSign {
			return &access.APIError{Code: "AuthorizationError", Status: http.StatusForbidden, Message: "This subscription ends by a signed request only"}
		}
		t.subs = slices.Delete(t.subs, i, i+1)
		t.deleted++
		return c.save()
	}
	return nil // gone already
}

func (c call) unsubscribe(in *subscriptionARN) (*empty, error) {
	if c.user == nil {
		return nil, c.unsubscribeByLink(in.SubscriptionArn)
	}
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
