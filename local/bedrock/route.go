package bedrock

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// The errors of the API. The message is what the caller reads.
func invalid(format string, args ...any) error {
	return access.Errorf("ValidationException", format, args...)
}

func conflict(format string, args ...any) error {
	return access.Errorf("ConflictException", format, args...)
}

func overQuota(format string, args ...any) error {
	return access.Errorf("ServiceQuotaExceededException", format, args...)
}

func absent(format string, args ...any) error {
	return &access.APIError{Code: "ResourceNotFoundException", Status: http.StatusNotFound, Message: fmt.Sprintf(format, args...)}
}

var errThrottled = &access.APIError{Code: "ThrottlingException", Status: http.StatusTooManyRequests,
	Message: "Too many requests, please wait before trying again."}

// operation is one call of the API: what it needs from the path, what it
// returns as JSON (nil for an empty body).
type operation func(ctx context.Context, r *http.Request, id string, body []byte) (any, error)

// route is one line of the table of operations.
type route struct {
	name   string
	method string
	// prefix and suffix enclose the path's one identifier, if withID.
	prefix, suffix string
	withID         bool
	call           operation
}

func (s *Service) routes() []route {
	return []route{
		{"CreateModelInvocationJob", "POST", "/model-invocation-job", "", false, s.createJob},
		{"StopModelInvocationJob", "POST", "/model-invocation-job/", "/stop", true, s.stopJob},
		{"GetModelInvocationJob", "GET", "/model-invocation-job/", "", true, s.getJob},
		{"ListModelInvocationJobs", "GET", "/model-invocation-jobs", "", false, s.listJobs},
		{"ListFoundationModels", "GET", "/foundation-models", "", false, s.listModels},
		{"GetFoundationModel", "GET", "/foundation-models/", "", true, s.getModel},
		{"GetFoundationModelAvailability", "GET", "/foundation-model-availability/", "", true, s.modelAvailability},
		{"ListInferenceProfiles", "GET", "/inference-profiles", "", false, s.listProfiles},
		{"GetInferenceProfile", "GET", "/inference-profiles/", "", true, s.getProfile},
		{"TagResource", "POST", "/tagResource", "", false, s.tagResource},
		{"UntagResource", "POST", "/untagResource", "", false, s.untagResource},
		{"ListTagsForResource", "POST", "/listTagsForResource", "", false, s.listTags},
		{"Converse", "POST", "/model/", "/converse", true, s.converse},
		{"InvokeModel", "POST", "/model/", "/invoke", true, s.invoke},
	}
}

// Operations names what the service offers, for the table of what is there.
func Operations() []string {
	var names []string
	for _, r := range (*Service)(nil).routes() {
		names = append(names, r.name)
	}
	return names
}

// bodyLimit bounds a request: the runtime's own limit of an InvokeModel body.
const bodyLimit = 25_000_000

// ServeHTTP answers the REST-JSON calls of both APIs. The caller is the
// principal in the request's context.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amzn-Requestid", requestID())
	answer, err := s.serve(r)
	if raw, ok := answer.(rawJSON); ok && err == nil {
		for name, value := range raw.headers {
			w.Header().Set(name, value)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(raw.body) // the client has gone: nobody is left to tell
		return
	}
	var payload []byte
	if err == nil && answer != nil {
		payload, err = json.Marshal(answer, json.Deterministic(true))
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if payload == nil {
		payload = []byte("{}")
	}
	_, _ = w.Write(payload) // as above
}

// rawJSON is an answer that is written as it is.
type rawJSON struct {
	headers map[string]string
	body    []byte
}

func (s *Service) refuse(w http.ResponseWriter, r *http.Request, err error) {
	api := access.AsAPIError(err)
	code, status := api.Code, api.HTTPStatus()
	var denial *access.Denial
	switch {
	case errors.As(err, &denial):
		code, status = "AccessDeniedException", http.StatusForbidden // also for iam:PassRole
	case code == "InternalFailure":
		code = "InternalServerException"
		s.log.Error("bedrock call went wrong", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	w.Header().Set("X-Amzn-Errortype", code)
	w.Header().Set("Content-Type", "application/json")
	payload, encodeErr := json.Marshal(map[string]string{"message": api.Message})
	if encodeErr != nil { // a message that is not UTF-8
		payload = []byte(`{"message":"the message cannot be shown"}`)
	}
	w.WriteHeader(status)
	_, _ = w.Write(payload) // as above
}

func (s *Service) serve(r *http.Request) (any, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, bodyLimit))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, &access.APIError{Code: "ValidationException", Status: http.StatusBadRequest,
				Message: fmt.Sprintf("The request body is larger than %d bytes.", bodyLimit)}
		}
		return nil, fmt.Errorf("read the request: %w", err)
	}
	path := r.URL.EscapedPath() // an ARN in the path holds an escaped slash
	for _, route := range s.routes() {
		if r.Method != route.method || !strings.HasPrefix(path, route.prefix) || !strings.HasSuffix(path, route.suffix) {
			continue
		}
		id := strings.TrimSuffix(strings.TrimPrefix(path, route.prefix), route.suffix)
		if route.withID == (id == "") {
			continue
		}
		if id, err = url.PathUnescape(id); err != nil {
			return nil, invalid("The path is not well escaped: %v", err)
		}
		if s.throttled() {
			return nil, errThrottled
		}
		return route.call(r.Context(), r, id, body)
	}
	return nil, &access.APIError{Code: "UnknownOperationException", Status: http.StatusNotFound,
		Message: fmt.Sprintf("%s %s is not an operation of the local Bedrock; it offers %s", r.Method, r.URL.Path, strings.Join(Operations(), ", "))}
}

// throttled decides by seed and number of the call.
func (s *Service) throttled() bool {
	if s.cfg.Throttle == 0 {
		return false
	}
	s.mu.Lock()
	s.calls++
	n := s.calls
	s.mu.Unlock()
	return s.chance("throttle", fmt.Sprint(n)) < s.cfg.Throttle
}

// chance is a number from 0 to 1 that the seed and the words alone decide.
func (s *Service) chance(words ...string) float64 {
	return float64(s.hash(words...)>>11) / (1 << 53)
}

// hash mixes the seed and the words.
func (s *Service) hash(words ...string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%x", s.cfg.Seed)
	for _, w := range words {
		h.Write([]byte{0})
		h.Write([]byte(w))
	}
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return x
}

// allow asks the authority for the caller of ctx.
func (s *Service) allow(ctx context.Context, action, resource string, conditions map[string][]string) error {
	return s.cfg.Authority.Check(ctx, access.Call{Principal: access.PrincipalFrom(ctx), Action: action, Resource: resource, Context: conditions})
}

func requestID() string {
	var b [16]byte
	rand.Read(b[:])
	x := hex.EncodeToString(b[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}
