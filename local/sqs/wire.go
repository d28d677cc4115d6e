package sqs

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/sqs/query"
)

const (
	namespace = "http://queue.amazonaws.com/doc/2012-11-05/"
	// maxRequest is above what ten messages of the greatest size can take.
	maxRequest = 16 << 20
)

// operation decodes its input by the given function and runs.
type operation func(c call, decode func(into any) error) (any, error)

func op[In, Out any](run func(call, *In) (*Out, error)) operation {
	return func(c call, decode func(any) error) (any, error) {
		in := new(In)
		if err := decode(in); err != nil {
			return nil, err
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
	"CreateQueue":                  op(call.createQueue),
	"GetQueueUrl":                  op(call.getQueueURL),
	"ListQueues":                   op(call.listQueues),
	"GetQueueAttributes":           op(call.getQueueAttributes),
	"SetQueueAttributes":           op(call.setQueueAttributes),
	"PurgeQueue":                   op(call.purgeQueue),
	"DeleteQueue":                  op(call.deleteQueue),
	"TagQueue":                     op(call.tagQueue),
	"UntagQueue":                   op(call.untagQueue),
	"ListQueueTags":                op(call.listQueueTags),
	"ListDeadLetterSourceQueues":   op(call.listDeadLetterSourceQueues),
	"SendMessage":                  op(call.sendMessage),
	"SendMessageBatch":             op(call.sendMessageBatch),
	"ReceiveMessage":               op(call.receiveMessage),
	"DeleteMessage":                op(call.deleteMessage),
	"DeleteMessageBatch":           op(call.deleteMessageBatch),
	"ChangeMessageVisibility":      op(call.changeMessageVisibility),
	"ChangeMessageVisibilityBatch": op(call.changeMessageVisibilityBatch),
	"StartMessageMoveTask":         op(call.startMessageMoveTask),
	"ListMessageMoveTasks":         op(call.listMessageMoveTasks),
	"CancelMessageMoveTask":        op(call.cancelMessageMoveTask),
}

// Operations lists what the service answers, sorted.
func Operations() []string { return slices.Sorted(maps.Keys(operations)) }

// ServeHTTP answers the JSON protocol of today's SDKs and the query protocol
// of older ones. The caller is the request's principal (access.PrincipalFrom).
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := newID()
	w.Header().Set("X-Amzn-Requestid", requestID)
	c := call{Service: s, ctx: r.Context(), user: access.PrincipalFrom(r.Context())}
	// The whole body is read first: only then does the server notice a client
	// that goes away during a long poll.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		writeJSONError(w, access.Errorf("RequestTooLong", "read the request: %v", err))
		return
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		out, err := c.serveJSON(strings.TrimPrefix(target, "AmazonSQS."), body)
		if c.ctx.Err() != nil {
			return // nobody listens
		}
		writeJSON(w, out, err)
		return
	}
	action, out, err := c.serveQuery(r, body)
	if c.ctx.Err() != nil {
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	if err != nil {
		e := access.AsAPIError(err)
		w.WriteHeader(e.HTTPStatus())
		w.Write(query.Error(namespace, queryCode(e.Code), e.Message, requestID, e.HTTPStatus()))
		return
	}
	w.Write(query.Response(namespace, action, requestID, out))
}

func find(action string) (operation, error) {
	run, ok := operations[action]
	if !ok {
		return nil, access.Errorf("UnsupportedOperation", "SQS operation %q is not part of the local services (there are: %s)", action, strings.Join(Operations(), ", "))
	}
	return run, nil
}

func (c call) serveJSON(action string, body []byte) (any, error) {
	run, err := find(action)
	if err != nil {
		return nil, err
	}
	return run(c, func(into any) error {
		if len(bytes.TrimSpace(body)) == 0 {
			return nil
		}
		if err := json.Unmarshal(body, into, json.RejectUnknownMembers(true)); err != nil {
			return access.Errorf("InvalidParameterValue", "%s: %v", action, err)
		}
		return nil
	})
}

func (c call) serveQuery(r *http.Request, body []byte) (action string, out any, err error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", nil, access.Errorf("MalformedQueryString", "%v", err)
	}
	for k, v := range r.URL.Query() {
		if !strings.HasPrefix(k, "X-Amz-") {
			form[k] = v
		}
	}
	// Older clients address the queue by the path alone.
	if !form.Has("QueueUrl") && strings.Count(strings.Trim(r.URL.Path, "/"), "/") == 1 {
		form.Set("QueueUrl", strings.TrimSuffix(c.cfg.Endpoint, "/")+r.URL.Path)
	}
	action = form.Get("Action")
	run, err := find(action)
	if err != nil {
		return action, nil, err
	}
	out, err = run(c, func(into any) error {
		if err := query.Decode(form, into); err != nil {
			return access.Errorf("InvalidParameterValue", "%s: %v", action, err)
		}
		return nil
	})
	return action, out, err
}

func writeJSON(w http.ResponseWriter, out any, err error) {
	if err != nil {
		writeJSONError(w, access.AsAPIError(err))
		return
	}
	b := []byte("{}")
	if out != nil {
		if b, err = json.Marshal(out); err != nil {
			writeJSONError(w, access.AsAPIError(err))
			return
		}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b)
}

func writeJSONError(w http.ResponseWriter, e *access.APIError) {
	fault := "Sender"
	if e.HTTPStatus() >= 500 {
		fault = "Receiver"
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	// Clients that knew the query protocol's codes still get them.
	w.Header().Set("X-Amzn-Query-Error", queryCode(e.Code)+";"+fault)
	w.WriteHeader(e.HTTPStatus())
	b, err := json.Marshal(map[string]string{"__type": "com.amazonaws.sqs#" + e.Code, "message": e.Message})
	if err != nil {
		return // a message that is not UTF-8; the status has been said
	}
	w.Write(b)
}

// queryCode is the error code as the query protocol has it.
func queryCode(code string) string {
	switch code {
	case "QueueDoesNotExist":
		return "AWS.SimpleQueueService.NonExistentQueue"
	case "QueueNameExists":
		return "QueueAlreadyExists"
	case "BatchEntryIdsNotDistinct", "BatchRequestTooLong", "EmptyBatchRequest", "InvalidBatchEntryId", "MessageNotInflight",
		"PurgeQueueInProgress", "QueueDeletedRecently", "TooManyEntriesInBatchRequest", "UnsupportedOperation":
		return "AWS.SimpleQueueService." + code
	}
	return code
}
