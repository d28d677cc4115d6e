package front_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/front"
)

// seen is what a service got.
type seen struct {
	who  *access.Principal
	path string
	body string
}

func start(t *testing.T) (aws.Config, *access.Authority, *access.Principal, chan seen) {
	t.Helper()
	authority := access.NewAuthority(access.Config{Log: slog.New(slog.DiscardHandler)})
	user, err := authority.AddUser("user", nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan seen, 8)
	handler := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			got <- seen{access.PrincipalFrom(r.Context()), name + r.URL.EscapedPath(), string(body)}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{}")
		})
	}
	server := httptest.NewServer(front.New(front.Config{Authority: authority, S3: handler("s3"), Services: map[string]http.Handler{
		"sqs": handler("sqs"), "bedrock": handler("bedrock"),
	}}))
	t.Cleanup(server.Close)
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(user.AccessKeyID, user.Secret, ""),
	}, authority, user, got
}

func TestSignedCallsReachTheirServiceWithTheCaller(t *testing.T) {
	cfg, _, user, got := start(t)
	ctx := t.Context()
	const jobARN = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abc"
	cases := []struct {
		name string
		call func() error
		want string
	}{
		{"a JSON call", func() error {
			_, err := sqs.NewFromConfig(cfg).SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String("q"), MessageBody: aws.String("hello")})
			return err
		}, "sqs/"},
		{"an ARN in the path", func() error {
			_, err := bedrock.NewFromConfig(cfg).GetModelInvocationJob(ctx, &bedrock.GetModelInvocationJobInput{JobIdentifier: aws.String(jobARN)})
			return err
		}, "bedrock/model-invocation-job/"},
		{"a query", func() error {
			_, err := bedrock.NewFromConfig(cfg).ListModelInvocationJobs(ctx, &bedrock.ListModelInvocationJobsInput{NameContains: aws.String("a-b"), MaxResults: aws.Int32(3)})
			return err
		}, "bedrock/model-invocation-jobs"},
		{"a model's id in the path", func() error {
			_, err := bedrockruntime.NewFromConfig(cfg).InvokeModel(ctx, &bedrockruntime.InvokeModelInput{ModelId: aws.String("amazon.nova-lite-v1:0"), Body: []byte("{}")})
			return err
		}, "bedrock/model/amazon.nova-lite-v1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := c.call()
			select {
			case s := <-got:
				if s.who != user || !strings.HasPrefix(s.path, c.want) {
					t.Fatalf("got %+v, want %s", s, c.want)
				}
			default:
				t.Fatalf("nothing came: %v", err)
			}
		})
	}
}

func TestWrongSignaturesAreRefused(t *testing.T) {
	cfg, _, user, got := start(t)
	cases := []struct {
		name   string
		change func(*aws.Config)
		want   string
	}{
		{"an unknown key", func(c *aws.Config) { c.Credentials = credentials.NewStaticCredentialsProvider("AKIANOBODY", "x", "") }, "UnrecognizedClientException"},
		{"a wrong secret", func(c *aws.Config) {
			c.Credentials = credentials.NewStaticCredentialsProvider(user.AccessKeyID, "x", "")
		}, "InvalidSignatureException"},
		{"a session token with a lasting key", func(c *aws.Config) {
			c.Credentials = credentials.NewStaticCredentialsProvider(user.AccessKeyID, user.Secret, "token")
		}, "UnrecognizedClientException"},
		{"another region", func(c *aws.Config) { c.Region = "eu-west-1" }, "InvalidSignatureException"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := cfg
			c.change(&cfg)
			_, err := bedrock.NewFromConfig(cfg).ListModelInvocationJobs(t.Context(), &bedrock.ListModelInvocationJobsInput{})
			var api smithy.APIError
			if !errors.As(err, &api) || api.ErrorCode() != c.want {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if len(got) != 0 {
				t.Fatal("the call went through")
			}
		})
	}
}

func TestAServiceThatIsNotThereIsNamed(t *testing.T) {
	cfg, _, _, _ := start(t)
	_, err := sns.NewFromConfig(cfg).ListTopics(t.Context(), &sns.ListTopicsInput{})
	if err == nil || !strings.Contains(err.Error(), `the service "sns" is not offered here (s3 bedrock sqs are)`) {
		t.Fatal(err)
	}
}

func TestServeLetsCallsEndAndCutsWaitingOnes(t *testing.T) {
	authority := access.NewAuthority(access.Config{})
	waiting := make(chan struct{})
	f := front.New(front.Config{Authority: authority, S3: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(waiting)
		<-r.Context().Done() // a long poll
	})})
	l, err := front.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Serve(ctx, l, time.Second) }()
	go func() {
		if res, err := http.Get("http://" + l.Addr().String()); err == nil {
			res.Body.Close()
		}
	}()
	<-waiting
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestServeEndsThoughClientsKeepConnectionsInReserve(t *testing.T) {
	f := front.New(front.Config{Authority: access.NewAuthority(access.Config{}), S3: http.NotFoundHandler()})
	l, err := front.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Serve(ctx, l, time.Second) }()
	reserve, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer reserve.Close()
	// Connections are accepted in turn: once this is answered, so is that.
	res, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
