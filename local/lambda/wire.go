package lambda

import (
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// Operations lists what the service answers, sorted.
func Operations() []string {
	return []string{"GetFunction", "GetFunctionConfiguration", "Invoke", "ListEventSourceMappings", "ListFunctions"}
}

// ServeHTTP answers the REST API. The caller is the request's principal.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amzn-Requestid", newID())
	status, out, err := s.route(w, r)
	if err != nil {
		writeError(w, access.AsAPIError(err))
		return
	}
	var b []byte
	switch out := out.(type) {
	case nil:
	case []byte:
		b = out
	default:
		if b, err = json.Marshal(out); err != nil {
			writeError(w, access.AsAPIError(err))
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(b)
}

func writeError(w http.ResponseWriter, e *access.APIError) {
	kind := "User"
	if e.HTTPStatus() >= 500 {
		kind = "Service"
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", e.Code)
	w.WriteHeader(e.HTTPStatus())
	b, err := json.Marshal(map[string]string{"Type": kind, "Message": e.Message, "message": e.Message})
	if err != nil {
		return // a message that is not UTF-8; the status has been said
	}
	w.Write(b)
}

func (s *Service) route(w http.ResponseWriter, r *http.Request) (int, any, error) {
	caller := access.PrincipalFrom(r.Context())
	path := strings.TrimSuffix(r.URL.EscapedPath(), "/")
	rest, isFunction := strings.CutPrefix(path, "/2015-03-31/functions")
	rest = strings.TrimPrefix(rest, "/")
	name, sub, _ := strings.Cut(rest, "/")
	name, err := url.PathUnescape(name)
	if err != nil {
		return 0, nil, access.Errorf("ValidationException", "function name: %v", err)
	}
	if q := r.URL.Query().Get("Qualifier"); q != "" && q != "$LATEST" {
		return 0, nil, &access.APIError{Code: "ResourceNotFoundException", Status: 404, Message: "Qualifier " + q + ": versions and aliases are not part of the local services"}
	}
	switch {
	case r.Method == http.MethodPost && isFunction && name != "" && sub == "invocations":
		return s.serveInvoke(w, r, caller, name)
	case r.Method == http.MethodGet && isFunction && name == "":
		return s.serveList(r, caller)
	case r.Method == http.MethodGet && isFunction && sub == "":
		f, err := s.authorised(r.Context(), caller, "GetFunction", name)
		if err != nil {
			return 0, nil, err
		}
		return 200, map[string]any{"Configuration": f.describe(), "Code": map[string]string{"RepositoryType": "S3", "Location": "file://" + f.Binary}}, nil
	case r.Method == http.MethodGet && isFunction && sub == "configuration":
		f, err := s.authorised(r.Context(), caller, "GetFunctionConfiguration", name)
		if err != nil {
			return 0, nil, err
		}
		return 200, f.describe(), nil
	case r.Method == http.MethodGet && path == "/2015-03-31/event-source-mappings":
		return s.serveMappings(r, caller)
	}
	return 0, nil, &access.APIError{Code: "UnknownOperationException", Status: 404, Message: r.Method + " " + r.URL.Path + " is not part of the local Lambda (there are: " + strings.Join(Operations(), ", ") + ")"}
}

func (s *Service) serveInvoke(w http.ResponseWriter, r *http.Request, caller *access.Principal, name string) (int, any, error) {
	payload, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err != nil {
		return 0, nil, access.Errorf("InvalidRequestContentException", "read the payload: %v", err)
	}
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	switch kind := r.Header.Get("X-Amz-Invocation-Type"); kind {
	case "", "RequestResponse":
		res, err := s.InvokeAs(r.Context(), caller, name, payload)
		if err != nil {
			return 0, nil, err
		}
		if res.FunctionError != "" {
			w.Header().Set("X-Amz-Function-Error", res.FunctionError)
		}
		if r.Header.Get("X-Amz-Log-Type") == "Tail" {
			w.Header().Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString(res.LogTail))
		}
		w.Header().Set("X-Amz-Executed-Version", "$LATEST")
		w.Header().Set("X-Amzn-Requestid", res.RequestID)
		return 200, res.Payload, nil
	case "Event":
		id, err := s.invokeAsync(r.Context(), caller, name, payload)
		if err != nil {
			return 0, nil, err
		}
		w.Header().Set("X-Amzn-Requestid", id)
		return 202, nil, nil
	case "DryRun":
		_, err := s.authorised(r.Context(), caller, "InvokeFunction", name)
		return 204, nil, err
	default:
		return 0, nil, access.Errorf("ValidationException", "InvocationType %q is none of RequestResponse, Event, DryRun", kind)
	}
}

func (s *Service) serveList(r *http.Request, caller *access.Principal) (int, any, error) {
	if err := s.cfg.Authority.Check(r.Context(), access.Call{Principal: caller, Action: "lambda:ListFunctions", Resource: "*"}); err != nil {
		return 0, nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := []any{}
	for _, name := range slices.Sorted(maps.Keys(s.functions)) {
		list = append(list, s.functions[name].describe())
	}
	return 200, map[string]any{"Functions": list}, nil
}

func (s *Service) serveMappings(r *http.Request, caller *access.Principal) (int, any, error) {
	if err := s.cfg.Authority.Check(r.Context(), access.Call{Principal: caller, Action: "lambda:ListEventSourceMappings", Resource: "*"}); err != nil {
		return 0, nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := []any{}
	query := r.URL.Query()
	for _, m := range s.mappings {
		if n := query.Get("FunctionName"); n != "" && plainName(n) != m.FunctionName {
			continue
		}
		if q := query.Get("EventSourceArn"); q != "" && q != m.QueueARN {
			continue
		}
		state := "Enabled"
		if m.Disabled {
			state = "Disabled"
		}
		types := []string{}
		if m.ReportBatchItemFailures {
			types = append(types, "ReportBatchItemFailures")
		}
		list = append(list, map[string]any{
			"UUID": m.id, "EventSourceArn": m.QueueARN, "FunctionArn": ARN(m.FunctionName), "State": state,
			"BatchSize": m.BatchSize, "MaximumBatchingWindowInSeconds": int(m.Window.Seconds()),
			"FunctionResponseTypes": types, "ScalingConfig": map[string]int{"MaximumConcurrency": m.MaximumConcurrency},
		})
	}
	return 200, map[string]any{"EventSourceMappings": list}, nil
}

// describe is the function's configuration as the API has it.
func (f *function) describe() map[string]any {
	return map[string]any{
		"FunctionName": f.Name, "FunctionArn": ARN(f.Name), "Runtime": "provided.al2023", "Role": f.Role.ARN, "Handler": f.Handler,
		"Timeout": int(f.Timeout.Seconds()), "MemorySize": f.MemoryMB, "Version": "$LATEST", "PackageType": "Zip", "State": "Active",
		"LastUpdateStatus": "Successful", "Environment": map[string]any{"Variables": f.Environment},
		"LoggingConfig": map[string]string{"LogFormat": "Text", "LogGroup": f.LogGroup},
	}
}
