package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestMain lets the jobs, which run in processes of their own, be this program
// too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		if err := start(context.Background(), os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestTheSmallestBenchmarkHoldsWhatItVerifies runs every job once, compares all
// that comes out byte for byte, and looks at no time.
func TestTheSmallestBenchmarkHoldsWhatItVerifies(t *testing.T) {
	s, err := begin(t.TempDir(), "python3")
	if err != nil {
		t.Fatal(err)
	}
	defer s.end()
	p := plan{rounds: 1, mb: 2, jobs: "copy of uploads,prepare,copy of outputs,collect"}
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if err := verify(t.Context(), s, p, say); err != nil {
		t.Fatal(err)
	}
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "bench: verified value=") {
		t.Errorf("lines %q", lines)
	}
	if err := ratios(t.Context(), s, p, say); err != nil {
		t.Fatal(err)
	}
}

// TestShortRowsNeedNoRequestsOfTheirOwn compares the requests of 200 rows with
// those of 20 000.
func TestShortRowsNeedNoRequestsOfTheirOwn(t *testing.T) {
	s, err := begin(t.TempDir(), "python3")
	if err != nil {
		t.Fatal(err)
	}
	defer s.end()
	var counts [2]int64
	for i, rows := range []int64{200, 20_000} {
		u, err := s.drop(t.Context(), "short", 0, rows, "")
		if err != nil {
			t.Fatal(err)
		}
		in, err := s.own(t.Context(), u.fresh(), true, "prepare", u.shape.Key())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.answer(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		out, err := s.own(t.Context(), u.ended(), true, "collect", u.id, string(u.shape))
		if err != nil {
			t.Fatal(err)
		}
		counts[i] = sum(in.Requests) + sum(out.Requests)
	}
	if counts[0] != counts[1] || counts[0] == 0 {
		t.Errorf("%d requests for 200 rows, %d for 20 000", counts[0], counts[1])
	}
}

// TestOneFreeSlotCostsTheSameHoweverManyWait compares 1 with 500 waiting
// submissions.
func TestOneFreeSlotCostsTheSameHoweverManyWait(t *testing.T) {
	s, err := begin(t.TempDir(), "python3")
	if err != nil {
		t.Fatal(err)
	}
	defer s.end()
	var counts [2]int64
	for i, n := range []int{1, 500} {
		r, err := s.waiting(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		counts[i] = sum(r.Requests)
	}
	if counts[1] > counts[0]+5 {
		t.Errorf("%d requests where one waits, %d where 500 do", counts[0], counts[1])
	}
}
