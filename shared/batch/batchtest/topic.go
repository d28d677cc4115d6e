package batchtest

import (
	"context"
	"maps"
	"strings"
	"testing"
)

// Publication is what a topic's subscriber got.
type Publication struct {
	Subject, JSON string
	Attributes    map[string]string
}

// Board is a topic as a suite needs it.
type Board struct {
	// Publish is the port: pipeline.Topic.
	Publish func(ctx context.Context, subject, json, email string, attributes map[string]string) error
	// Next is the next publication that a subscriber gets which is not one
	// by e-mail; false if none comes.
	Next func(t *testing.T) (Publication, bool)
}

// Topic is the contract of the pipeline's topics.
func Topic(t *testing.T, open func() Board) {
	for name, test := range map[string]func(*testing.T, Board){
		"a notice reaches the subscribers as it was published": publishArrives,
		"a notice may lack e-mail text, subject, attributes":   publishBare,
		"a large notice arrives whole":                         publishLarge,
		"a context that has ended ends the call unpublished":   publishContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open()) })
	}
}

func publishArrives(t *testing.T, b Board) {
	attributes := map[string]string{"status": "Completed", "workload": "reviews é"}
	body := `{"version":1,"status":"Completed","text":"é \"quoted\" 😀 <&>"}`
	must(t, b.Publish(t.Context(), "reviews: Completed", body, "Completed.\nAll is well.", attributes))
	got := next(t, b)
	equal(t, "notice", got.JSON, body)
	equal(t, "subject", got.Subject, "reviews: Completed")
	if !maps.Equal(got.Attributes, attributes) {
		t.Fatalf("attributes are %v, want %v", got.Attributes, attributes)
	}
}

func publishBare(t *testing.T, b Board) {
	must(t, b.Publish(t.Context(), "", `{"version":1}`, "", nil))
	got := next(t, b)
	equal(t, "notice", got.JSON, `{"version":1}`)
	equal(t, "subject", got.Subject, "")
	equal(t, "number of attributes", len(got.Attributes), 0)
}

func publishLarge(t *testing.T, b Board) {
	body := `{"text":"` + strings.Repeat("0123456789", 20_000) + `"}`
	must(t, b.Publish(t.Context(), "large", body, "short", nil))
	equal(t, "length", len(next(t, b).JSON), len(body))
}

func publishContext(t *testing.T, b Board) {
	if err := b.Publish(ended(t), "s", `{}`, "", nil); err == nil {
		t.Fatal("it was published")
	}
	if got, ok := b.Next(t); ok {
		t.Fatalf("it was published: %v", got)
	}
}

func next(t *testing.T, b Board) Publication {
	t.Helper()
	got, ok := b.Next(t)
	if !ok {
		t.Fatal("no publication came")
	}
	return got
}
