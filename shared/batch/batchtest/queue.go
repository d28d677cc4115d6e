package batchtest

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// Line is a queue as a suite needs it.
type Line struct {
	// Send is the port: pipeline.Queue.
	Send func(ctx context.Context, body []byte, delay time.Duration) error
	// Receive takes a message off the queue and deletes it, waiting for one
	// to appear up to the given time.
	Receive func(t *testing.T, within time.Duration) ([]byte, bool)
}

// Queue is the contract of the pipeline's queues. The queue must be empty.
func Queue(t *testing.T, open func() Line) {
	for name, test := range map[string]func(*testing.T, Line){
		"a message arrives as it was sent":                 sendArrives,
		"a message is not seen before its delay":           sendDelayed,
		"a delay is counted in seconds and rounded up":     sendRounded,
		"a delay outside of 0 to 15 minutes is invalid":    sendTooLate,
		"a message without a body is invalid":              sendEmpty,
		"a context that has ended ends the call unsent":    sendContext,
		"several messages all arrive, in whatever order":   sendSeveral,
		"a large message arrives whole":                    sendLarge,
		"a message may hold any text, not ASCII alone too": sendText,
	} {
		t.Run(name, func(t *testing.T) { test(t, open()) })
	}
}

// soon is long enough for a message to appear.
const soon = 10 * time.Second

func arrives(t *testing.T, l Line, want []byte) {
	t.Helper()
	got, ok := l.Receive(t, soon)
	if !ok {
		t.Fatal("no message came")
	}
	same(t, got, want)
}

func sendArrives(t *testing.T, l Line) {
	must(t, l.Send(t.Context(), []byte(`{"do":"tick"}`), 0))
	arrives(t, l, []byte(`{"do":"tick"}`))
	if got, ok := l.Receive(t, 0); ok {
		t.Fatalf("a second message came: %s", got)
	}
}

func sendDelayed(t *testing.T, l Line) {
	must(t, l.Send(t.Context(), []byte("later"), 2*time.Second))
	if _, ok := l.Receive(t, 0); ok {
		t.Fatal("it came at once")
	}
	arrives(t, l, []byte("later"))
}

func sendRounded(t *testing.T, l Line) {
	must(t, l.Send(t.Context(), []byte("later"), time.Millisecond))
	if _, ok := l.Receive(t, 0); ok {
		t.Fatal("it came at once")
	}
	arrives(t, l, []byte("later"))
}

func sendTooLate(t *testing.T, l Line) {
	is(t, l.Send(t.Context(), []byte("x"), 15*time.Minute+1), batch.ErrInvalid)
	is(t, l.Send(t.Context(), []byte("x"), -time.Second), batch.ErrInvalid)
}

func sendEmpty(t *testing.T, l Line) { is(t, l.Send(t.Context(), nil, 0), batch.ErrInvalid) }

func sendContext(t *testing.T, l Line) {
	is(t, l.Send(ended(t), []byte("x"), 0), context.Canceled)
	if _, ok := l.Receive(t, 0); ok {
		t.Fatal("it was sent")
	}
}

func sendSeveral(t *testing.T, l Line) {
	want := make(map[string]bool)
	for i := range 12 {
		body := fmt.Sprint("message ", i)
		want[body] = true
		must(t, l.Send(t.Context(), []byte(body), 0))
	}
	for len(want) > 0 {
		got, ok := l.Receive(t, soon)
		if !ok {
			t.Fatalf("%d messages did not come", len(want))
		}
		if !want[string(got)] {
			t.Fatalf("message %q came twice or was never sent", got)
		}
		delete(want, string(got))
	}
}

func sendLarge(t *testing.T, l Line) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 15<<10)
	must(t, l.Send(t.Context(), body, 0))
	arrives(t, l, body)
}

func sendText(t *testing.T, l Line) {
	body := []byte("{\"key\":\"a b+c%20 é 😀 \\\"<&>\"}\n\t")
	must(t, l.Send(t.Context(), body, 0))
	arrives(t, l, body)
}
