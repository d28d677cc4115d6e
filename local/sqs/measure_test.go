package sqs_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/clock"
	"github.com/bedrock-batch/bedrock-batch/local/sqs"
)

// everybody may do everything.
type everybody struct{}

func (everybody) Check(context.Context, access.Call) error { return nil }

func TestAQueueShowsItsMessagesAndTheAgeOfTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := clock.New(10)
		if err != nil {
			t.Fatal(err)
		}
		s, err := sqs.New(sqs.Config{Authority: everybody{}, Clock: c})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, name := range []string{"busy", "idle"} {
			if err := s.Declare(name, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		late := 15 * time.Minute
		for _, m := range []sqs.Outgoing{{Body: "old"}, {Body: "late", Delay: &late}} {
			if _, err := s.SendAs(t.Context(), nil, sqs.ARN("busy"), m); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute) // ten on this clock
		if _, err := s.SendAs(t.Context(), nil, sqs.ARN("busy"), sqs.Outgoing{Body: "new"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ReceiveAs(t.Context(), nil, sqs.ARN("busy"), 1, 0); err != nil {
			t.Fatal(err)
		}
		got := s.Measure()
		want := []sqs.Measure{{Queue: "busy", Visible: 1, InFlight: 1, Delayed: 1, Oldest: 10 * time.Minute}, {Queue: "idle"}}
		if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}
