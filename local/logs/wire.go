package logs

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

type call struct {
	*Service
	ctx  context.Context
	user *access.Principal
}

type operation func(c call, body []byte) (any, error)

func op[In, Out any](name string, run func(call, *In) (*Out, error)) operation {
	return func(c call, body []byte) (any, error) {
		in := new(In)
		if len(body) > 0 {
			if err := json.Unmarshal(body, in, json.RejectUnknownMembers(true)); err != nil {
				return nil, invalid("%s: %v", name, err)
			}
		}
		return run(c, in)
	}
}

var operations = map[string]operation{
	"DescribeLogGroups":  op("DescribeLogGroups", call.describeLogGroups),
	"DescribeLogStreams": op("DescribeLogStreams", call.describeLogStreams),
	"GetLogEvents":       op("GetLogEvents", call.getLogEvents),
	"FilterLogEvents":    op("FilterLogEvents", call.filterLogEvents),
}

// Operations lists what the service answers, sorted.
func Operations() []string { return slices.Sorted(maps.Keys(operations)) }

func invalid(format string, args ...any) error {
	return access.Errorf("InvalidParameterException", format, args...)
}

// ServeHTTP answers the JSON protocol. The caller is the request's principal.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amzn-Requestid", rand.Text())
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	out, err := s.serve(w, r)
	var body []byte
	if err == nil {
		body, err = json.Marshal(out)
	}
	if err != nil {
		e := access.AsAPIError(err)
		w.Header().Set("X-Amzn-ErrorType", e.Code)
		w.WriteHeader(e.HTTPStatus())
		if body, err = json.Marshal(map[string]string{"__type": e.Code, "message": e.Message}); err != nil {
			return // a message that is not UTF-8; the status has been said
		}
	}
	_, _ = w.Write(body) // the client may have gone
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		return nil, invalid("read the request: %v", err)
	}
	name := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "Logs_20140328.")
	run, ok := operations[name]
	if !ok {
		return nil, access.Errorf("UnknownOperationException", "CloudWatch Logs operation %q is not part of the local services (there are: %s)", name, strings.Join(Operations(), ", "))
	}
	return run(call{s, r.Context(), access.PrincipalFrom(r.Context())}, body)
}

func (c call) may(action, resource string) error {
	return c.cfg.Authority.Check(c.ctx, access.Call{Principal: c.user, Action: "logs:" + action, Resource: resource})
}

// group finds a group, by name or ARN, for a caller who may do the action on it.
func (c call) group(action, name, identifier, stream string) (Group, error) {
	if identifier != "" {
		if name != "" {
			return Group{}, invalid("LogGroupName and LogGroupIdentifier cannot be specified together")
		}
		name = strings.TrimSuffix(strings.TrimPrefix(identifier, ARN("")), ":*")
	}
	if name == "" {
		return Group{}, invalid("1 validation error detected: Value at 'logGroupName' failed to satisfy constraint: Member must not be null")
	}
	resource := ARN(name) + ":*"
	if stream != "" {
		resource = ARN(name) + ":log-stream:" + stream
	}
	if err := c.may(action, resource); err != nil {
		return Group{}, err
	}
	i := slices.IndexFunc(c.groups, func(g Group) bool { return g.Name == name })
	if i < 0 {
		return Group{}, access.Errorf("ResourceNotFoundException", "The specified log group does not exist.")
	}
	return c.groups[i], nil
}

// page cuts a list; the token is the number of the first that is left.
func page[T any](all []T, token string, limit, most int) (these []T, next string, err error) {
	from := 0
	if token != "" {
		if _, err := fmt.Sscanf(token, "from-%d", &from); err != nil || from < 0 || from > len(all) {
			return nil, "", invalid("The specified nextToken is invalid.")
		}
	}
	if limit < 0 || limit > most {
		return nil, "", invalid("limit %d: want 1 to %d", limit, most)
	}
	to := min(len(all), from+cmp.Or(limit, most))
	if to < len(all) {
		next = fmt.Sprintf("from-%d", to)
	}
	return all[from:to], next, nil
}
