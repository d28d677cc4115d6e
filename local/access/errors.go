package access

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// APIError is an error as an AWS API returns it; each service's protocol
// renders it in its own shape.
type APIError struct {
	// Code is the API's error code, such as ValidationException.
	Code string
	// Status is the HTTP status; 0 means 400.
	Status int
	// Message is the text.
	Message string
}

// Error is "Code: Message".
func (e *APIError) Error() string { return e.Code + ": " + e.Message }

// HTTPStatus is Status, or 400 where none was set.
func (e *APIError) HTTPStatus() int {
	if e.Status == 0 {
		return http.StatusBadRequest
	}
	return e.Status
}

// Errorf makes an APIError with status 400.
func Errorf(code, format string, args ...any) *APIError {
	return &APIError{Code: code, Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

// AsAPIError finds the APIError in err; any other error becomes an
// InternalFailure with status 500, so that clients see that the fault is ours.
func AsAPIError(err error) *APIError {
	var api *APIError
	if errors.As(err, &api) {
		return api
	}
	return &APIError{Code: "InternalFailure", Status: http.StatusInternalServerError, Message: err.Error()}
}

// Denial is the error of Authority.Check. It unwraps to an *APIError with the
// code that the action's service uses for denials.
type Denial struct {
	Principal *Principal
	Action    string
	Resource  string
	// Explicit is true when a Deny statement matched, false when none allows.
	Explicit bool
	// Why ends the sentence as AWS does: "because no identity-based policy
	// allows the s3:PutObject action".
	Why string
}

// Error words the denial as AWS does.
func (d *Denial) Error() string {
	resource := d.Resource
	if strings.HasPrefix(d.Action, "s3:") {
		resource = `"` + resource + `"` // S3 quotes it, the other services do not
	}
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s %s", d.Principal, d.Action, resource, d.Why)
}

// Unwrap is the denial as the action's service returns it.
func (d *Denial) Unwrap() error {
	code := "AccessDeniedException"
	switch service, _, _ := strings.Cut(d.Action, ":"); service {
	case "s3", "sqs", "iam", "sts":
		code = "AccessDenied"
	case "sns":
		code = "AuthorizationError"
	}
	return &APIError{Code: code, Status: http.StatusForbidden, Message: d.Error()}
}
