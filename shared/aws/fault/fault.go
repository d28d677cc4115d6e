// Package fault turns what the AWS SDK returns as an error into the classes
// of package batch. It is the only place that knows AWS error codes.
package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// classes holds every code whose class its HTTP status does not tell, and the
// codes that come without a helpful status.
var classes = map[string]error{
	"NoSuchKey":                 batch.ErrNotFound,
	"NoSuchVersion":             batch.ErrNotFound,
	"NoSuchBucket":              batch.ErrNotFound,
	"NotFound":                  batch.ErrNotFound,
	"NoSuchEntity":              batch.ErrNotFound,
	"ResourceNotFoundException": batch.ErrNotFound,
	"QueueDoesNotExist":         batch.ErrNotFound,
	"AWS.SimpleQueueService.NonExistentQueue": batch.ErrNotFound,

	"PreconditionFailed":         batch.ErrPrecondition,
	"ConditionalRequestConflict": batch.ErrPrecondition,

	"Throttling":                             batch.ErrThrottled,
	"ThrottlingException":                    batch.ErrThrottled,
	"ThrottledException":                     batch.ErrThrottled,
	"TooManyRequests":                        batch.ErrThrottled,
	"TooManyRequestsException":               batch.ErrThrottled,
	"RequestLimitExceeded":                   batch.ErrThrottled,
	"RequestThrottled":                       batch.ErrThrottled,
	"RequestThrottledException":              batch.ErrThrottled,
	"ProvisionedThroughputExceededException": batch.ErrThrottled,
	"LimitExceededException":                 batch.ErrThrottled,
	"SlowDown":                               batch.ErrThrottled,
	"KmsThrottled":                           batch.ErrThrottled,
	"ModelNotReadyException":                 batch.ErrThrottled,

	"ServiceQuotaExceededException": batch.ErrQuota,

	"ConflictException": batch.ErrConflict,

	// Status 400 or 409, yet worth another try.
	"RequestTimeout":          batch.ErrUnavailable,
	"RequestTimeoutException": batch.ErrUnavailable,
	"OperationAborted":        batch.ErrUnavailable,
	"ModelTimeoutException":   batch.ErrUnavailable,
	"ModelErrorException":     batch.ErrUnavailable,

	// Credentials are refused with status 400 by some services.
	"AccessDenied":                batch.ErrAccess,
	"AccessDeniedException":       batch.ErrAccess,
	"AuthorizationError":          batch.ErrAccess,
	"ExpiredToken":                batch.ErrAccess,
	"ExpiredTokenException":       batch.ErrAccess,
	"IncompleteSignature":         batch.ErrAccess,
	"InvalidClientTokenId":        batch.ErrAccess,
	"InvalidToken":                batch.ErrAccess,
	"KMSAccessDenied":             batch.ErrAccess,
	"KmsAccessDenied":             batch.ErrAccess,
	"MissingAuthenticationToken":  batch.ErrAccess,
	"UnrecognizedClientException": batch.ErrAccess,

	"ValidationException": batch.ErrInvalid,
}

// Of classifies err, which a call made under ctx returned, and says what was
// attempted: "put s3://bucket/key". The result unwraps to one of batch's
// classes, or to the context's own error if ctx has ended. Of(nil) is nil.
func Of(ctx context.Context, err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	what := fmt.Sprintf(format, args...)
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("%s: %w", what, ended)
	}
	return fmt.Errorf("%s: %w", what, Classify(err))
}

// Classify is Of without the context and the words.
func Classify(err error) *batch.ServiceError {
	var known *batch.ServiceError
	if errors.As(err, &known) {
		return known
	}
	status := Status(err)
	var api smithy.APIError
	if errors.As(err, &api) {
		return &batch.ServiceError{
			Class:   Class(api.ErrorCode(), api.ErrorMessage(), status, retryAfter(err)),
			Code:    api.ErrorCode(),
			Message: api.ErrorMessage(),
			Status:  status,
		}
	}
	out := &batch.ServiceError{Message: err.Error(), Status: status}
	var (
		parameters    smithy.InvalidParamsError
		serialization *smithy.SerializationError
		invalid       *smithy.InvalidParamsError
	)
	switch {
	case errors.As(err, &parameters), errors.As(err, &invalid), errors.As(err, &serialization):
		out.Class, out.Code = batch.ErrInvalid, "InvalidRequest"
	case status >= 400:
		out.Class, out.Code = Class("", "", status, retryAfter(err)), http.StatusText(status)
	case strings.Contains(err.Error(), "get identity"):
		// No credentials were found or they could not be fetched.
		out.Class, out.Code = batch.ErrAccess, "NoCredentials"
	default:
		// Nothing was answered, or not to the end.
		out.Class, out.Code = batch.ErrUnavailable, "NoAnswer"
	}
	return out
}

// Class is the table: a service's code, words and HTTP status (0: unknown) to
// a class of package batch. A server that asks for patience (Retry-After) has
// throttled, whatever its code.
func Class(code, message string, status int, patience bool) error {
	if strings.Contains(strings.ToLower(message), "currently in use") &&
		(code == "ConflictException" || code == "ValidationException" || status == http.StatusConflict || status == http.StatusBadRequest) {
		return batch.ErrInUse
	}
	if patience && (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) {
		return batch.ErrThrottled
	}
	if class, ok := classes[code]; ok {
		return class
	}
	switch {
	case status == http.StatusNotFound:
		return batch.ErrNotFound
	case status == http.StatusPreconditionFailed:
		return batch.ErrPrecondition
	case status == http.StatusConflict:
		return batch.ErrConflict
	case status == http.StatusTooManyRequests:
		return batch.ErrThrottled
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return batch.ErrAccess
	case status == http.StatusRequestTimeout, status >= 500:
		return batch.ErrUnavailable
	case status >= 300:
		return batch.ErrInvalid
	}
	return batch.ErrUnavailable
}

// Status is the HTTP status of the answer behind err, 0 if there was none.
func Status(err error) int {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	var known *batch.ServiceError
	if errors.As(err, &known) {
		return known.Status
	}
	return 0
}

// Code is the service's error code behind err, empty if there is none.
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	var known *batch.ServiceError
	if errors.As(err, &known) {
		return known.Code
	}
	return ""
}

func retryAfter(err error) bool {
	var response *awshttp.ResponseError
	if errors.As(err, &response) && response.Response != nil {
		return response.Response.Header.Get("Retry-After") != ""
	}
	return false
}
