package bedrockruntime_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/bedrockruntime"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

func model(t *testing.T, handler http.HandlerFunc) *bedrockruntime.Model {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return bedrockruntime.New(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
}

func TestBodiesGoOutAndComeBackByteForByte(t *testing.T) {
	const (
		id = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.vendor.model-v1:0"
		// Members that no SDK knows, odd spaces, a number that no float holds.
		in  = `{ "messages":[{"role":"user","content":[{"text":"é \u00e9"}]}], "newer": {"n": 12345678901234567890123} }`
		out = `{"output": {"message":{"role":"assistant","content":[{"newBlock":{"x":1}},{"text":"ok"}]}},"stopReason":"brand_new", "n":1e400}`
	)
	for how, path := range map[batch.Invocation]string{batch.Converse: "/converse", batch.InvokeModel: "/invoke"} {
		t.Run(string(how), func(t *testing.T) {
			m := model(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || string(body) != in {
					t.Errorf("body is %s (%v)", body, err)
				}
				if r.Method != "POST" || !strings.HasSuffix(r.URL.Path, path) || !strings.Contains(r.URL.Path, "inference-profile/us.vendor.model-v1:0") {
					t.Errorf("request is %s %s", r.Method, r.URL.Path)
				}
				if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=id/") || r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("headers are %v", r.Header)
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, out)
			})
			got, err := m.Answer(t.Context(), id, how, []byte(in))
			if err != nil || string(got) != out {
				t.Fatalf("answer is %s (%v)", got, err)
			}
		})
	}
}

func TestOnlyRefusalsThatCostNothingAreTriedAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		code   string
		calls  int64
		want   error
	}{
		{"throttling is tried three times", 429, "ThrottlingException", 3, batch.ErrThrottled},
		{"a failed service is not", 500, "InternalServerException", 1, batch.ErrUnavailable},
		{"an invalid body is not", 400, "ValidationException", 1, batch.ErrInvalid},
		{"a model that is not there is not", 404, "ResourceNotFoundException", 1, batch.ErrNotFound},
		{"a denial is not", 403, "AccessDeniedException", 1, batch.ErrAccess},
	} {
		for _, how := range []batch.Invocation{batch.Converse, batch.InvokeModel} {
			t.Run(string(how)+" "+c.name, func(t *testing.T) {
				t.Parallel()
				var calls atomic.Int64
				m := model(t, func(w http.ResponseWriter, _ *http.Request) {
					calls.Add(1)
					w.Header().Set("X-Amzn-ErrorType", c.code)
					w.WriteHeader(c.status)
					_, _ = io.WriteString(w, `{"message":"no"}`)
				})
				_, err := m.Answer(t.Context(), "m", how, []byte(`{}`))
				if !errors.Is(err, c.want) {
					t.Fatalf("error is %v, want one that is %q", err, c.want)
				}
				if calls.Load() != c.calls {
					t.Fatalf("%d calls, want %d", calls.Load(), c.calls)
				}
			})
		}
	}
}

func TestAServerThatAsksForPatienceHasThrottled(t *testing.T) {
	m := model(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(503)
	})
	if _, err := m.Answer(t.Context(), "m", batch.Converse, []byte(`{}`)); !errors.Is(err, batch.ErrThrottled) {
		t.Fatalf("error is %v", err)
	}
}

func TestARecordThatTheModelRefusesIsInvalid(t *testing.T) {
	for status, want := range map[string]error{"400": batch.ErrInvalid, "500": batch.ErrUnavailable} {
		m := model(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-ErrorType", "ModelErrorException")
			w.WriteHeader(424)
			_, _ = io.WriteString(w, `{"message":"no","originalStatusCode":`+status+`}`)
		})
		if _, err := m.Answer(t.Context(), "m", batch.InvokeModel, []byte(`{}`)); !errors.Is(err, want) {
			t.Fatalf("error is %v, want one that is %q", err, want)
		}
	}
}
