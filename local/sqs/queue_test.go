package sqs_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/sqs"
)

func open(t *testing.T, cfg sqs.Config) *sqs.Service {
	t.Helper()
	cfg.Authority = gate{}
	s, err := sqs.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func declare(t *testing.T, s *sqs.Service, name string, attrs map[string]string) string {
	t.Helper()
	if err := s.Declare(name, attrs, nil); err != nil {
		t.Fatal(err)
	}
	return sqs.ARN(name)
}

func send(t *testing.T, s *sqs.Service, arn string, m sqs.Outgoing) {
	t.Helper()
	if _, err := s.SendAs(t.Context(), user, arn, m); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, s *sqs.Service, arn string, wait time.Duration) []sqs.Message {
	t.Helper()
	m, err := s.ReceiveAs(t.Context(), user, arn, 10, wait)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAMessageComesBackAfterItsVisibilityTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sqs.Config{})
		defer s.Close()
		q := declare(t, s, "q", map[string]string{"VisibilityTimeout": "1800"})
		send(t, s, q, sqs.Outgoing{Body: "x"})
		first := receive(t, s, q, 0)
		time.Sleep(1799 * time.Second)
		if n := len(receive(t, s, q, 0)); n != 0 {
			t.Fatalf("received %d before the timeout", n)
		}
		began := time.Now()
		again := receive(t, s, q, 20*time.Second)
		if len(again) != 1 || time.Since(began) != time.Second {
			t.Fatalf("a long poll got %d messages after %v, want 1 after 1s", len(again), time.Since(began))
		}
		if got := again[0].Attributes["ApproximateReceiveCount"]; got != "2" {
			t.Errorf("receive count %s, want 2", got)
		}
		if err := s.DeleteAs(t.Context(), user, q, first[0].ReceiptHandle); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if n := len(receive(t, s, q, 0)); n != 1 {
			t.Error("an outdated receipt handle deleted the message")
		}
	})
}

func TestDelaysOfQueueAndMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sqs.Config{})
		defer s.Close()
		q := declare(t, s, "q", map[string]string{"DelaySeconds": "60"})
		own := 90 * time.Second
		send(t, s, q, sqs.Outgoing{Body: "queue's"})
		send(t, s, q, sqs.Outgoing{Body: "own", Delay: &own})
		time.Sleep(60 * time.Second)
		if m := receive(t, s, q, 0); len(m) != 1 || m[0].Body != "queue's" {
			t.Fatalf("after 60s: %v", m)
		}
		time.Sleep(29 * time.Second)
		if m := receive(t, s, q, 0); len(m) != 0 {
			t.Fatalf("after 89s: %v", m)
		}
	})
}

func TestAMessageReceivedTooOftenBecomesADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sqs.Config{})
		defer s.Close()
		dlq := declare(t, s, "dlq", nil)
		q := declare(t, s, "q", map[string]string{"VisibilityTimeout": "10", "RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":3}`, dlq)})
		send(t, s, q, sqs.Outgoing{Body: "x"})
		for i := range 3 {
			if n := len(receive(t, s, q, 20*time.Second)); n != 1 {
				t.Fatalf("receive %d: %d messages", i, n)
			}
		}
		if n := len(receive(t, s, q, 20*time.Second)); n != 0 {
			t.Fatal("a fourth receive got the message")
		}
		dead := receive(t, s, dlq, 0)
		if len(dead) != 1 || dead[0].Attributes["DeadLetterQueueSourceArn"] != q || dead[0].Attributes["ApproximateReceiveCount"] != "4" {
			t.Fatalf("dead letter %+v", dead)
		}
	})
}

func TestRetentionEndsAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sqs.Config{})
		defer s.Close()
		q := declare(t, s, "q", map[string]string{"MessageRetentionPeriod": "60"})
		send(t, s, q, sqs.Outgoing{Body: "x"})
		time.Sleep(61 * time.Second)
		if n := len(receive(t, s, q, 0)); n != 0 {
			t.Error("received after the retention period")
		}
	})
}

func TestAHeldMessageStaysInvisibleUntilReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sqs.Config{})
		defer s.Close()
		q := declare(t, s, "q", map[string]string{"VisibilityTimeout": "30"})
		send(t, s, q, sqs.Outgoing{Body: "x"})
		m := receive(t, s, q, 0)
		release := s.Hold(q, m[0].ReceiptHandle)
		time.Sleep(time.Minute)
		if n := len(receive(t, s, q, 0)); n != 0 {
			t.Fatal("received while held")
		}
		release()
		if n := len(receive(t, s, q, 0)); n != 1 {
			t.Error("not visible after the release, with its timeout over")
		}
	})
}

func TestMessagesSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, sqs.Config{Dir: dir})
	dlq := declare(t, s, "dlq", nil)
	q := declare(t, s, "q", map[string]string{"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":3}`, dlq)})
	for i := range 3 {
		send(t, s, q, sqs.Outgoing{Body: fmt.Sprint(i), Attributes: map[string]sqs.Attribute{"n": {DataType: "Binary", BinaryValue: []byte{byte(i), 0xff}}}})
	}
	got := receive(t, s, q, 0)
	if err := s.DeleteAs(t.Context(), user, q, got[1].ReceiptHandle); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second restart reads what the first wrote
		s = open(t, sqs.Config{Dir: dir})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, sqs.Config{Dir: dir})
	defer s.Close()
	again := receive(t, s, q, 0)
	if len(again) != 2 {
		t.Fatalf("%d messages after the restart, want 2", len(again))
	}
	for _, m := range again {
		if m.Body == got[1].Body || m.Attributes["ApproximateReceiveCount"] != "2" || len(m.MessageAttributes["n"].BinaryValue) != 2 {
			t.Errorf("after the restart: %+v", m)
		}
	}
}

func TestTheWeatherRepeatsAndDelaysWhatServicesSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, sqs.Config{Weather: sqs.Weather{Repeat: 1, Delay: time.Minute, Reorder: true, Seed: 7}})
		defer s.Close()
		q := declare(t, s, "q", nil)
		service := &access.Principal{Name: "s3.amazonaws.com", Service: "s3.amazonaws.com"}
		if _, err := s.SendAs(t.Context(), service, q, sqs.Outgoing{Body: "service"}); err != nil {
			t.Fatal(err)
		}
		send(t, s, q, sqs.Outgoing{Body: "user"})
		if m := receive(t, s, q, 0); len(m) != 1 || m[0].Body != "user" {
			t.Fatalf("at once: %v, want the user's message alone", m)
		}
		time.Sleep(time.Minute)
		count := 0
		for _, m := range receive(t, s, q, 0) {
			if m.Body == "service" {
				count++
			}
		}
		if count != 2 {
			t.Errorf("the service's message arrived %d times, want 2", count)
		}
	})
}

// The digest was computed by another implementation from the same attributes.
func TestTheDigestOfAttributes(t *testing.T) {
	s := open(t, sqs.Config{})
	defer s.Close()
	q := declare(t, s, "q", nil)
	hello, twelve := "hällo", "12"
	send(t, s, q, sqs.Outgoing{Body: "x", Attributes: map[string]sqs.Attribute{
		"kind": {DataType: "String", StringValue: &hello}, "n": {DataType: "Number.int", StringValue: &twelve}, "raw": {DataType: "Binary", BinaryValue: []byte{0, 255}},
	}})
	if got := receive(t, s, q, 0)[0].MD5OfMessageAttributes; got != "b942f53e99b5b5eee9ae037ebdaa43cf" {
		t.Errorf("digest %s", got)
	}
}
