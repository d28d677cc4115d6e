package sim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// gauge is a model that counts what is under way.
type gauge struct {
	batch.Model
	takes    time.Duration
	mu       sync.Mutex
	now, top int
}

func (g *gauge) Answer(ctx context.Context, modelID string, how batch.Invocation, input []byte) ([]byte, error) {
	g.mu.Lock()
	g.now++
	g.top = max(g.top, g.now)
	g.mu.Unlock()
	time.Sleep(g.takes)
	defer func() { g.mu.Lock(); g.now--; g.mu.Unlock() }()
	return g.Model.Answer(ctx, modelID, how, input)
}

// few drops so many rows that go on demand.
func (p *place) few(key string, rows int) pipeline.Upload {
	var body strings.Builder
	for n := range rows {
		fmt.Fprintf(&body, "{\"prompt\":\"%s row %d\"}\n", key, n)
	}
	o := p.input.Set(key, []byte(body.String()))
	return pipeline.Upload{Bucket: "in", Key: key, VersionID: o.Version, ETag: o.ETag, Size: o.Size}
}

// follow keeps the memory's clock at the bubble's time.
func (p *place) follow() (end func()) {
	done := make(chan bool)
	start, shown := time.Now(), p.clock.Now()
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
				p.clock.AdvanceTo(shown.Add(time.Since(start)))
			}
		}
	}()
	return func() { close(done) }
}

func TestInvocationsAtOnceShareOneLimitOfRequestsOnDemand(t *testing.T) {
	for _, c := range []struct{ seats, uploads, rows, functions, least int }{
		{seats: 1, uploads: 3, rows: 4, functions: 3, least: 1},
		{seats: 2, uploads: 4, rows: 10, functions: 4, least: 2},
		{seats: 8, uploads: 12, rows: 40, functions: 10, least: 8},
		{seats: 8, uploads: 1, rows: 90, functions: 2, least: 6}, // a quarter of the seats is left to others
	} {
		t.Run(fmt.Sprintf("%d seats for %d uploads of %d rows", c.seats, c.uploads, c.rows), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t)
				defer p.follow()()
				model := &gauge{Model: p.bedrock.Model(nil), takes: time.Second}
				invocation := func() (*pipeline.Submit, pipeline.Invocation) {
					o, in := p.options(&hook{})
					o.Settings.Quotas.MinRecords, o.Settings.Quotas.MaxRecords = 100, 50_000
					o.Settings.OnDemandConcurrency = c.seats
					return pipeline.NewSubmit(o, p.bedrock.Jobs(nil), model), in
				}
				var uploads []pipeline.Upload
				for n := range c.uploads {
					uploads = append(uploads, p.few(fmt.Sprintf("%d.jsonl", n), c.rows))
				}
				var mu sync.Mutex
				var functions sync.WaitGroup
				// next is a message, or the news of an upload.
				next := func() func(*pipeline.Submit, pipeline.Invocation) error {
					mu.Lock()
					defer mu.Unlock()
					if len(uploads) > 0 {
						u := uploads[0]
						uploads = uploads[1:]
						return func(s *pipeline.Submit, in pipeline.Invocation) error { return s.Uploaded(t.Context(), in, u) }
					}
					m, ok := p.uploads.Receive()
					if !ok {
						return nil
					}
					p.uploads.Delete(m)
					var own pipeline.Message
					if err := json.Unmarshal(m.Body, &own); err != nil || own.Do != pipeline.DoContinue {
						t.Errorf("message %s: %v", m.Body, err)
					}
					return func(s *pipeline.Submit, in pipeline.Invocation) error {
						in.Due = own.Due
						return s.Continue(t.Context(), in, own.Submission)
					}
				}
				for range c.functions {
					functions.Go(func() {
						for idle := 0; idle < 300; idle++ {
							do := next()
							if do == nil {
								time.Sleep(time.Second)
								continue
							}
							idle = 0
							mu.Lock()
							s, in := invocation()
							mu.Unlock()
							if err := do(s, in); err != nil {
								t.Error(err)
							}
						}
					})
				}
				functions.Wait()
				if asked := len(p.bedrock.Asked()); asked != c.uploads*c.rows {
					t.Errorf("%d requests were made for %d rows", asked, c.uploads*c.rows)
				}
				if model.top > c.seats || model.top < c.least {
					t.Errorf("%d requests were under way at once, want %d to %d", model.top, c.least, c.seats)
				}
			})
		})
	}
}

func TestTheSeatsOfADeadInvocationComeFreeWhenItIsDeadForCertain(t *testing.T) {
	p := newPlace(t)
	dead := errors.New("dead")
	var h *hook
	h = &hook{call: "Model.Answer", n: 1, after: true, do: func() { h.dead = dead }}
	first, second := p.few("a.jsonl", 2), p.few("b.jsonl", 2)
	s, in := p.submit(h)
	if err := s.Uploaded(t.Context(), in, first); !errors.Is(err, dead) {
		t.Fatalf("upload: %v, want the death of its invocation", err)
	}
	s, in = p.submit(&hook{})
	if err := s.Uploaded(t.Context(), in, second); err != nil {
		t.Fatal(err)
	}
	if n := len(p.bedrock.Asked()); n != 1 {
		t.Fatalf("%d requests, though the only seat is a dead invocation's", n)
	}
	p.clock.Advance(16 * time.Minute)
	s, in = p.submit(&hook{})
	if err := s.Continue(t.Context(), in, pipeline.SubmissionID(second)); err != nil {
		t.Fatal(err)
	}
	if n := len(p.bedrock.Asked()); n != 3 {
		t.Errorf("%d requests after the seat had come free, want 3", n)
	}
}

// Two invocations read the document of the seats before either writes it. Who
// writes second has read what holds no more, and must not write over who came
// first.
func TestASeatTakenBetweenAnothersReadAndWriteIsNotWrittenOver(t *testing.T) {
	p := newPlace(t)
	s, in := p.submit(&hook{})
	if err := s.Uploaded(t.Context(), in, p.few("before.jsonl", 1)); err != nil {
		t.Fatal(err)
	}
	if holders := p.holders(); len(holders) > 0 {
		t.Fatalf("%v hold seats, though nobody asks", holders)
	}
	dead := errors.New("dead")
	slow, quick := p.few("slow.jsonl", 2), p.few("quick.jsonl", 2)
	between := &hook{call: "Bucket.Put", key: "control/on-demand", n: 1, do: func() {
		// It dies over its first request, so that it keeps the only seat.
		var h *hook
		h = &hook{call: "Model.Answer", n: 1, after: true, do: func() { h.dead = dead }}
		s, in := p.submit(h)
		if err := s.Uploaded(t.Context(), in, quick); !errors.Is(err, dead) {
			t.Errorf("upload: %v, want the death of its invocation", err)
		}
	}}
	s, in = p.submit(between)
	if err := s.Uploaded(t.Context(), in, slow); err != nil {
		t.Fatal(err)
	}
	if between.seen == 0 {
		t.Fatal("no seat was asked for")
	}
	if n := len(p.bedrock.Asked()); n != 2 {
		t.Errorf("%d requests, want the first upload's and the one of who has the seat", n)
	}
	if got, want := p.holders(), map[string]int{"a3154b92" + pipeline.SubmissionID(quick): 1}; !maps.Equal(got, want) {
		t.Errorf("%v hold seats, want %v", got, want)
	}
}

// holders are who holds seats on demand by the document, and how many.
func (p *place) holders() map[string]int {
	p.t.Helper()
	body, _, err := p.output.Get(p.t.Context(), "control/on-demand")
	if err != nil {
		p.t.Fatal(err)
	}
	var seats struct {
		Holders []struct {
			Work  string
			Seats int
		}
	}
	if err := json.Unmarshal(body, &seats); err != nil {
		p.t.Fatal(err)
	}
	held := map[string]int{}
	for _, h := range seats.Holders {
		held[h.Work] += h.Seats
	}
	return held
}

// choosy throttles one model.
type choosy struct {
	batch.Model
	throttles string
	refused   int
}

func (c *choosy) Answer(ctx context.Context, modelID string, how batch.Invocation, input []byte) ([]byte, error) {
	if strings.Contains(modelID, c.throttles) {
		c.refused++
		return nil, fmt.Errorf("ask %s: %w", modelID, batch.ErrThrottled)
	}
	return c.Model.Answer(ctx, modelID, how, input)
}

func TestAModelThatThrottlesRestsForTheWholeDeployment(t *testing.T) {
	p := newPlace(t)
	p.input.Set("other/workload.yaml", []byte("model: amazon.nova-pro-v1:0\n"))
	model := &choosy{Model: p.bedrock.Model(nil), throttles: "lite"}
	news := func(key string) {
		o, in := p.options(&hook{})
		if err := pipeline.NewSubmit(o, p.bedrock.Jobs(nil), model).Uploaded(t.Context(), in, p.few(key, 2)); err != nil {
			t.Fatal(err)
		}
	}
	news("a.jsonl")
	news("b.jsonl")
	if model.refused != 1 {
		t.Errorf("a model that throttles was asked %d times within a moment, want once for all uploads", model.refused)
	}
	news("other/c.jsonl")
	if n := len(p.bedrock.Asked()); n != 2 {
		t.Errorf("another model answered %d rows meanwhile, want 2", n)
	}
	// Both come again by themselves.
	model.throttles = "nothing"
	for range 8 {
		m, ok := p.uploads.Receive()
		if !ok {
			next, ok := p.uploads.Next()
			if !ok {
				break
			}
			p.clock.AdvanceTo(next)
			continue
		}
		p.uploads.Delete(m)
		var own pipeline.Message
		if err := json.Unmarshal(m.Body, &own); err != nil {
			t.Fatal(err)
		}
		o, in := p.options(&hook{})
		in.Due = own.Due
		if err := pipeline.NewSubmit(o, p.bedrock.Jobs(nil), model).Continue(t.Context(), in, own.Submission); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(p.bedrock.Asked()); n != 6 {
		t.Errorf("%d rows were answered in the end, want 6", n)
	}
}
