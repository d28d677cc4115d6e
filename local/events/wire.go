package events

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/events/pattern"
)

// maxEvents is the limit of the entries of one PutEvents, in bytes.
const maxEvents = 256 << 10

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
				return nil, access.Errorf("ValidationException", "%s: %v", name, err)
			}
		}
		return run(c, in)
	}
}

var operations = map[string]operation{
	"PutEvents":         op("PutEvents", call.putEvents),
	"ListRules":         op("ListRules", call.listRules),
	"DescribeRule":      op("DescribeRule", call.describeRule),
	"ListTargetsByRule": op("ListTargetsByRule", call.listTargets),
	"TestEventPattern":  op("TestEventPattern", call.testPattern),
}

// Operations lists what the service answers, sorted.
func Operations() []string { return slices.Sorted(maps.Keys(operations)) }

// ServeHTTP answers the JSON protocol. The caller is the request's principal.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amzn-Requestid", newID())
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	out, err := s.serve(w, r)
	var b []byte
	if err == nil {
		b, err = json.Marshal(out)
	}
	if err != nil {
		e := access.AsAPIError(err)
		w.WriteHeader(e.HTTPStatus())
		if b, err = json.Marshal(map[string]string{"__type": e.Code, "message": e.Message}); err != nil {
			return // a message that is not UTF-8; the status has been said
		}
	}
	w.Write(b)
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
	if err != nil {
		return nil, access.Errorf("ValidationException", "read the request: %v", err)
	}
	name := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AWSEvents.")
	run, ok := operations[name]
	if !ok {
		return nil, access.Errorf("UnknownOperationException", "EventBridge operation %q is not part of the local services (there are: %s)", name, strings.Join(Operations(), ", "))
	}
	return run(call{s, r.Context(), access.PrincipalFrom(r.Context())}, body)
}

func (c call) may(action, resource string) error {
	return c.cfg.Authority.Check(c.ctx, access.Call{Principal: c.user, Action: "events:" + action, Resource: resource})
}

func busARN() string {
	return "arn:aws:events:" + access.Region + ":" + access.Account + ":event-bus/default"
}

func checkBus(name string) error {
	if name != "" && name != "default" && name != busARN() {
		return access.Errorf("ResourceNotFoundException", "Event bus %s does not exist (the default bus alone is part of the local services).", name)
	}
	return nil
}

type putEventsIn struct {
	Entries    []putEntry
	EndpointId string
}

type putEntry struct {
	Source, DetailType, Detail, EventBusName, TraceHeader string
	Time                                                  *float64 // seconds since 1970
	Resources                                             []string
}

type putResult struct {
	EventId      string `json:",omitzero"`
	ErrorCode    string `json:",omitzero"`
	ErrorMessage string `json:",omitzero"`
}

type putEventsOut struct {
	FailedEntryCount int
	Entries          []putResult
}

func (c call) putEvents(in *putEventsIn) (*putEventsOut, error) {
	if in.EndpointId != "" {
		return nil, access.Errorf("ValidationException", "EndpointId: global endpoints are not part of the local services")
	}
	if len(in.Entries) < 1 || len(in.Entries) > 10 {
		return nil, access.Errorf("ValidationException", "1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length between 1 and 10, not %d", len(in.Entries))
	}
	if err := c.may("PutEvents", busARN()); err != nil {
		return nil, err
	}
	total := 0
	for _, e := range in.Entries {
		total += len(e.Source) + len(e.DetailType) + len(e.Detail)
		for _, r := range e.Resources {
			total += len(r)
		}
		if e.Time != nil {
			total += 14
		}
	}
	if total > maxEvents {
		return nil, access.Errorf("ValidationException", "Total size of the entries in the request is over the limit of %d bytes: %d.", maxEvents, total)
	}
	out := &putEventsOut{}
	for _, e := range in.Entries {
		r := c.putEvent(e)
		if r.ErrorCode != "" {
			out.FailedEntryCount++
		}
		out.Entries = append(out.Entries, r)
	}
	return out, nil
}

func (c call) putEvent(e putEntry) putResult {
	refuse := func(code, format string, args ...any) putResult {
		return putResult{ErrorCode: code, ErrorMessage: fmt.Sprintf(format, args...)}
	}
	switch {
	case e.Source == "":
		return refuse("InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument.")
	case e.DetailType == "":
		return refuse("InvalidArgument", "Parameter DetailType is not valid. Reason: DetailType is a required argument.")
	case e.Detail == "":
		return refuse("InvalidArgument", "Parameter Detail is not valid. Reason: Detail is a required argument.")
	case strings.HasPrefix(e.Source, "aws."):
		return refuse("NotAuthorizedForSource", "Not authorized for the source.")
	}
	if v := jsontext.Value(e.Detail); !v.IsValid() || v.Kind() != '{' {
		return refuse("MalformedDetail", "Detail is malformed.")
	}
	if err := checkBus(e.EventBusName); err != nil {
		return refuse("InvalidArgument", "%s", access.AsAPIError(err).Message)
	}
	at := c.clock.Now()
	if e.Time != nil {
		at = time.UnixMilli(int64(*e.Time * 1000)).UTC()
	}
	id := newID()
	doc, err := json.Marshal(envelope{
		Version: "0", ID: id, DetailType: e.DetailType, Source: e.Source, Account: access.Account, Time: at.Format(time.RFC3339),
		Region: access.Region, Resources: append([]string{}, e.Resources...), Detail: jsontext.Value(e.Detail),
	})
	if err == nil {
		err = c.Publish(c.ctx, doc)
	}
	if err != nil {
		return refuse("InternalFailure", "%v", err)
	}
	return putResult{EventId: id}
}

type ruleDescription struct {
	Name, Arn          string
	Description        string `json:",omitzero"`
	EventPattern       string `json:",omitzero"`
	ScheduleExpression string `json:",omitzero"`
	State              string
	EventBusName       string
}

func (r *rule) describe() ruleDescription {
	state := "ENABLED"
	if r.Disabled {
		state = "DISABLED"
	}
	return ruleDescription{r.Name, r.arn(), r.Description, string(r.Pattern), r.Schedule, state, "default"}
}

type listIn struct {
	Rule, NamePrefix, EventBusName, NextToken string
	Limit                                     int
}

type listRulesOut struct {
	Rules     []ruleDescription
	NextToken string `json:",omitzero"`
}

func (c call) listRules(in *listIn) (*listRulesOut, error) {
	if err := c.may("ListRules", "*"); err != nil {
		return nil, err
	}
	if err := checkBus(in.EventBusName); err != nil {
		return nil, err
	}
	if in.Limit < 0 || in.Limit > 100 {
		return nil, access.Errorf("ValidationException", "limit %d is not between 1 and 100", in.Limit)
	}
	limit := cmp.Or(in.Limit, 100)
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := &listRulesOut{Rules: []ruleDescription{}}
	for _, name := range slices.Sorted(maps.Keys(c.rules)) {
		if !strings.HasPrefix(name, in.NamePrefix) || name <= in.NextToken {
			continue
		}
		if len(out.Rules) == limit {
			out.NextToken = out.Rules[limit-1].Name
			break
		}
		out.Rules = append(out.Rules, c.rules[name].describe())
	}
	return out, nil
}

type describeIn struct{ Name, EventBusName string }

func (c call) rule(action, name, bus string) (*rule, error) {
	if err := c.may(action, ARN(name)); err != nil {
		return nil, err
	}
	if err := checkBus(bus); err != nil {
		return nil, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	r := c.rules[name]
	if r == nil {
		return nil, access.Errorf("ResourceNotFoundException", "Rule %s does not exist on EventBus default.", name)
	}
	return r, nil
}

func (c call) describeRule(in *describeIn) (*ruleDescription, error) {
	r, err := c.rule("DescribeRule", in.Name, in.EventBusName)
	if err != nil {
		return nil, err
	}
	d := r.describe()
	return &d, nil
}

type targetDescription struct {
	Id, Arn          string
	Input            string            `json:",omitzero"`
	InputPath        string            `json:",omitzero"`
	InputTransformer *inputTransformer `json:",omitzero"`
	RetryPolicy      *retryPolicy      `json:",omitzero"`
	DeadLetterConfig *deadLetters      `json:",omitzero"`
}

type inputTransformer struct {
	InputPathsMap map[string]string `json:",omitzero"`
	InputTemplate string
}

type retryPolicy struct {
	MaximumRetryAttempts     *int `json:",omitzero"`
	MaximumEventAgeInSeconds int  `json:",omitzero"`
}

type deadLetters struct{ Arn string }

type listTargetsOut struct{ Targets []targetDescription }

func (c call) listTargets(in *listIn) (*listTargetsOut, error) {
	r, err := c.rule("ListTargetsByRule", in.Rule, in.EventBusName)
	if err != nil {
		return nil, err
	}
	out := &listTargetsOut{Targets: []targetDescription{}}
	for _, t := range r.Targets {
		d := targetDescription{Id: t.ID, Arn: t.ARN, Input: t.Input, InputPath: t.InputPath}
		if t.Transformer != nil {
			d.InputTransformer = &inputTransformer{t.Transformer.Paths, t.Transformer.Template}
		}
		if t.Attempts != nil || t.MaxAge != 0 {
			d.RetryPolicy = &retryPolicy{t.Attempts, int(t.MaxAge.Seconds())}
		}
		if t.DeadLetterARN != "" {
			d.DeadLetterConfig = &deadLetters{t.DeadLetterARN}
		}
		out.Targets = append(out.Targets, d)
	}
	return out, nil
}

type testPatternIn struct{ EventPattern, Event string }

type testPatternOut struct{ Result bool }

func (c call) testPattern(in *testPatternIn) (*testPatternOut, error) {
	if err := c.may("TestEventPattern", "*"); err != nil {
		return nil, err
	}
	p, err := pattern.Compile([]byte(in.EventPattern))
	if err != nil {
		return nil, access.Errorf("InvalidEventPatternException", "%v", err)
	}
	v, err := pattern.Decode([]byte(in.Event))
	doc, ok := v.(map[string]any)
	if err != nil || !ok {
		return nil, access.Errorf("ValidationException", "Parameter Event is not valid: it must be a JSON object.")
	}
	for _, name := range []string{"id", "account", "source", "time", "region", "resources", "detail-type"} {
		if _, ok := doc[name]; !ok {
			return nil, access.Errorf("ValidationException", "Parameter Event is not valid. Reason: the member %q is missing.", name)
		}
	}
	return &testPatternOut{p.MatchValue(doc)}, nil
}
