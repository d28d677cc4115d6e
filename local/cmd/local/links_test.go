package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// follow opens a link as a browser does.
func follow(t *testing.T, link string) (status int, body string) {
	t.Helper()
	res, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestTheLinksOfATopicWorkWithoutASignature(t *testing.T) {
	env, _ := begin(t, "--services-only", "--port", "0", "--data", filepath.Join(t.TempDir(), "data"))
	client, topic := sns.NewFromConfig(config(env)), aws.String(env["BB_TOPIC_ARN"])
	posts := make(chan map[string]any, 8)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		posts <- body
	}))
	t.Cleanup(endpoint.Close)
	subscribe := func(path string) (confirm string) {
		if _, err := client.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: topic, Protocol: aws.String("http"), Endpoint: aws.String(endpoint.URL + path)}); err != nil {
			t.Fatal(err)
		}
		return (<-posts)["SubscribeURL"].(string)
	}
	unsubscribe := func() (link string) {
		if _, err := client.Publish(t.Context(), &sns.PublishInput{TopicArn: topic, Message: aws.String("hello")}); err != nil {
			t.Fatal(err)
		}
		return (<-posts)["UnsubscribeURL"].(string)
	}

	if status, body := follow(t, subscribe("/free")); status != 200 || !strings.Contains(body, "<SubscriptionArn>"+*topic) {
		t.Fatalf("confirm: %d %s", status, body)
	}
	if status, body := follow(t, unsubscribe()); status != 200 {
		t.Fatalf("unsubscribe: %d %s", status, body)
	}
	if status, body := follow(t, subscribe("/held")+"&AuthenticateOnUnsubscribe=true"); status != 200 {
		t.Fatalf("confirm: %d %s", status, body)
	}
	if status, body := follow(t, unsubscribe()); status != 403 || !strings.Contains(body, "AuthorizationError") {
		t.Fatalf("unsubscribe although a signature was asked for: %d %s", status, body)
	}
	out, err := client.ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: topic})
	if err != nil || len(out.Subscriptions) != 1 || *out.Subscriptions[0].Endpoint != endpoint.URL+"/held" {
		t.Errorf("left: %+v %v", out, err)
	}
	if status, body := follow(t, env["AWS_ENDPOINT_URL"]+"/?Action=Publish&TopicArn="+*topic+"&Message=x"); status != 403 {
		t.Errorf("publish without a signature: %d %s", status, body)
	}
}
