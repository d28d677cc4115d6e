package fault_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

func TestClassOfWhatServicesAnswer(t *testing.T) {
	for _, c := range []struct {
		name, code, message string
		status              int
		patience            bool
		want                error
	}{
		{"a missing key", "NoSuchKey", "", 404, false, batch.ErrNotFound},
		{"a bare 404", "", "", 404, false, batch.ErrNotFound},
		{"a missing job", "ResourceNotFoundException", "", 404, false, batch.ErrNotFound},
		{"a missing queue, told with 400", "AWS.SimpleQueueService.NonExistentQueue", "", 400, false, batch.ErrNotFound},
		{"a lost condition", "PreconditionFailed", "", 412, false, batch.ErrPrecondition},
		{"a conditional write under way", "ConditionalRequestConflict", "", 409, false, batch.ErrPrecondition},
		{"a throttled call", "ThrottlingException", "", 429, false, batch.ErrThrottled},
		{"a throttled call of unknown code", "Busy", "", 429, false, batch.ErrThrottled},
		{"S3 asking to slow down", "SlowDown", "", 503, false, batch.ErrThrottled},
		{"a 503 that says when to come back", "ServiceUnavailableException", "", 503, true, batch.ErrThrottled},
		{"a 503 that does not", "ServiceUnavailableException", "", 503, false, batch.ErrUnavailable},
		{"a full quota", "ServiceQuotaExceededException", "", 400, false, batch.ErrQuota},
		{"a name in use, as a conflict", "ConflictException", "The provided job name is currently in use.", 400, false, batch.ErrInUse},
		{"a name in use, as an invalid request", "ValidationException", "The job name is Currently In Use", 400, false, batch.ErrInUse},
		{"another conflict", "ConflictException", "The job has ended", 400, false, batch.ErrConflict},
		{"an invalid request", "ValidationException", "no", 400, false, batch.ErrInvalid},
		{"an invalid request of unknown code", "Odd", "no", 400, false, batch.ErrInvalid},
		{"a denial", "AccessDeniedException", "", 403, false, batch.ErrAccess},
		{"a bare 403", "", "", 403, false, batch.ErrAccess},
		{"credentials that have run out, told with 400", "ExpiredToken", "", 400, false, batch.ErrAccess},
		{"an upload that was too slow, told with 400", "RequestTimeout", "", 400, false, batch.ErrUnavailable},
		{"a concurrent change of the bucket", "OperationAborted", "", 409, false, batch.ErrUnavailable},
		{"a 500", "InternalServerException", "", 500, false, batch.ErrUnavailable},
		{"a model that took too long", "ModelTimeoutException", "", 408, false, batch.ErrUnavailable},
		{"no answer", "", "", 0, false, batch.ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := fault.Class(c.code, c.message, c.status, c.patience); got != c.want {
				t.Fatalf("class is %v, want %v", got, c.want)
			}
		})
	}
}

// get calls a server that answers every call with the handler.
func get(ctx context.Context, t *testing.T, handler http.HandlerFunc) error {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	client := bedrock.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
	_, err := client.GetModelInvocationJob(ctx, &bedrock.GetModelInvocationJobInput{JobIdentifier: aws.String("abc123def456")})
	return fault.Of(ctx, err, "get job %s", "abc123def456")
}

func TestOfSaysWhatWasAttemptedAndWhatTheServiceAnswered(t *testing.T) {
	err := get(t.Context(), t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-ErrorType", "AccessDeniedException")
		w.WriteHeader(403)
		_, _ = w.Write([]byte(`{"message":"not authorized to perform: bedrock:GetModelInvocationJob"}`))
	})
	const want = "get job abc123def456: AccessDeniedException: not authorized to perform: bedrock:GetModelInvocationJob"
	if !errors.Is(err, batch.ErrAccess) || err.Error() != want {
		t.Fatalf("error is %q", err)
	}
	var service *batch.ServiceError
	if !errors.As(err, &service) || service.Status != 403 || service.Code != "AccessDeniedException" {
		t.Fatalf("service error is %+v", service)
	}
}

func TestOfKeepsTheContextsOwnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := get(ctx, t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if !errors.Is(err, context.Canceled) || errors.Is(err, batch.ErrUnavailable) {
		t.Fatalf("error is %v", err)
	}
}

func TestConnectionsAndAnswersThatBreakAreUnavailable(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"a connection that breaks": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"an answer cut short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"jobArn":`))
		},
		"a page of a proxy instead of an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(502)
			_, _ = w.Write([]byte(`<html>bad gateway</html>`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := get(t.Context(), t, handler); !errors.Is(err, batch.ErrUnavailable) {
				t.Fatalf("error is %v", err)
			}
		})
	}
}

func TestAParameterThatTheSDKRefusesIsInvalid(t *testing.T) {
	client := bedrock.NewFromConfig(aws.Config{Region: "us-east-1"})
	_, err := client.GetModelInvocationJob(t.Context(), &bedrock.GetModelInvocationJobInput{})
	err = fault.Of(t.Context(), err, "get job")
	if !errors.Is(err, batch.ErrInvalid) || !strings.Contains(err.Error(), "JobIdentifier") {
		t.Fatalf("error is %v", err)
	}
}
