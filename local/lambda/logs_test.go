package lambda_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/lambda"
)

// heard is what the service told of its functions.
type heard struct {
	mu       sync.Mutex
	lines    []string
	measures []lambda.Measure
}

func (h *heard) config() lambda.Config {
	return lambda.Config{
		Logged: func(function string, line []byte) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.lines = append(h.lines, function+": "+string(line))
		},
		Measured: func(function string, m lambda.Measure) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.measures = append(h.measures, m)
		},
	}
}

func TestWhatIsLoggedIsPassedOnByTheEndOfAnInvocation(t *testing.T) {
	var h heard
	s := start(t, 1, "", nil, h.config())
	for _, event := range []string{`{}`, `{"do":"exit"}`} {
		if _, err := s.InvokeAs(t.Context(), user, s.arn, []byte(event)); err != nil {
			t.Fatal(err)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var got []string
	for _, line := range h.lines {
		got = append(got, strings.Fields(line)[1])
	}
	if want := "START handled END REPORT START about END REPORT"; strings.Join(got, " ") != want {
		t.Errorf("lines %v, want %s", h.lines, want)
	}
	if len(h.measures) != 2 || h.measures[0].Failed || !h.measures[1].Failed || h.measures[0].Duration <= 0 || h.measures[0].At.IsZero() {
		t.Errorf("measures: %+v", h.measures)
	}
}

func TestADurationKeepsItsProportionToTheTimeLimit(t *testing.T) {
	var h heard
	s := start(t, 100, "", func(f *lambda.Function) { f.Timeout = 60 * time.Second }, h.config()) // cut short to 30 s
	if _, err := s.InvokeAs(t.Context(), user, s.arn, []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var report string
	for _, line := range h.lines {
		if strings.Contains(line, "REPORT") {
			report = line
		}
	}
	var took float64
	if _, err := fmt.Sscanf(report[strings.Index(report, "Duration: "):], "Duration: %f ms", &took); err != nil {
		t.Fatal(report, err)
	}
	if got := float64(h.measures[0].Duration) / float64(time.Millisecond); got < 2*took || got > 2*took+50 {
		t.Errorf("%v ms for an invocation that took %v ms of half the time limit", got, took)
	}
}
