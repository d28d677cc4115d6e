package sns

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/sqs/query"
)

const namespace = "http://sns.amazonaws.com/doc/2010-03-31/"

type call struct {
	*Service
	ctx  context.Context
	user *access.Principal
}

type operation func(c call, form url.Values) (any, error)

func op[In, Out any](run func(call, *In) (*Out, error)) operation {
	return func(c call, form url.Values) (any, error) {
		in := new(In)
		if err := query.Decode(form, in); err != nil {
			return nil, access.Errorf("InvalidParameter", "%v", err)
		}
		out, err := run(c, in)
		if err != nil {
			return nil, err
		}
		if out == nil {
			return nil, nil
		}
		return out, nil
	}
}

var operations = map[string]operation{
	"CreateTopic":               op(call.createTopic),
	"DeleteTopic":               op(call.deleteTopic),
	"ListTopics":                op(call.listTopics),
	"GetTopicAttributes":        op(call.getTopicAttributes),
	"SetTopicAttributes":        op(call.setTopicAttributes),
	"Subscribe":                 op(call.subscribe),
	"ConfirmSubscription":       op(call.confirmSubscription),
	"Unsubscribe":               op(call.unsubscribe),
	"ListSubscriptions":         op(call.listSubscriptions),
	"ListSubscriptionsByTopic":  op(call.listSubscriptionsByTopic),
	"GetSubscriptionAttributes": op(call.getSubscriptionAttributes),
	"SetSubscriptionAttributes": op(call.setSubscriptionAttributes),
	"Publish":                   op(call.publishOne),
	"PublishBatch":              op(call.publishBatch),
	"TagResource":               op(call.tagResource),
	"UntagResource":             op(call.untagResource),
	"ListTagsForResource":       op(call.listTags),
}

// Operations lists what the service answers, sorted.
func Operations() []string { return slices.Sorted(maps.Keys(operations)) }

// ServeHTTP answers the query protocol, which all SDKs speak with SNS. The
// caller is the request's principal.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := newID()
	w.Header().Set("X-Amzn-Requestid", id)
	w.Header().Set("Content-Type", "text/xml")
	action, out, err := s.serve(w, r)
	if err != nil {
		e := access.AsAPIError(err)
		w.WriteHeader(e.HTTPStatus())
		w.Write(query.Error(namespace, e.Code, e.Message, id, e.HTTPStatus()))
		return
	}
	w.Write(query.Response(namespace, action, id, out))
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request) (action string, out any, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
	if err != nil {
		return "", nil, invalid("read the request: %v", err)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", nil, invalid("read the request: %v", err)
	}
	for k, v := range r.URL.Query() {
		if !strings.HasPrefix(k, "X-Amz-") {
			form[k] = v
		}
	}
	action = form.Get("Action")
	run, ok := operations[action]
	if !ok {
		return action, nil, access.Errorf("InvalidAction", "SNS operation %q is not part of the local services (there are: %s)", action, strings.Join(Operations(), ", "))
	}
	out, err = run(call{s, r.Context(), access.PrincipalFrom(r.Context())}, form)
	return action, out, err
}
