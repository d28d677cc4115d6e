// Package batchtest holds the contracts of package batch's ports as test
// suites: every sentence of the ports' comments is a case. The fakes in package
// memory and the adapters in shared/aws pass the same suites, which is why a
// test over the fakes says something about the real thing.
package batchtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

var folders atomic.Int64

// folder is a prefix of the case's own, so that cases can share a bucket.
func folder(t *testing.T) string {
	name := []byte(strings.ToLower(t.Name()[strings.LastIndexByte(t.Name(), '/')+1:]))
	for i, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			name[i] = '-'
		}
	}
	return fmt.Sprintf("contract/%d-%s/", folders.Add(1), name[:min(len(name), 60)])
}

// must fails the case at an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// is fails the case if err is not of the class.
func is(t *testing.T, err, class error) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Fatalf("error is %v, want one that is %q", err, class)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s is %v, want %v", what, got, want)
	}
}

// same compares bytes without printing megabytes.
func same(t *testing.T, got, want []byte) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Fatalf("got %d bytes, want %d; the first difference is at %d", len(got), len(want), at)
}

func keys(t *testing.T, d batch.Documents, prefix, after string) []string {
	t.Helper()
	var out []string
	for o, err := range d.List(t.Context(), prefix, after) {
		must(t, err)
		out = append(out, o.Key)
	}
	return out
}

// ended is a context that has been given up.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// pattern is n bytes that differ from place to place.
func pattern(n int, seed byte) []byte {
	out := make([]byte, n)
	x := uint32(seed) + 1
	for i := range out {
		if i%4 == 0 {
			x ^= x << 13
			x ^= x >> 17
			x ^= x << 5
		}
		out[i] = byte(x >> (i % 4 * 8))
	}
	return out
}
