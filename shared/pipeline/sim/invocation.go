package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/handler"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

var bg = context.Background()

// errDead is what a dead invocation's calls come back with: none of them has
// an effect.
var errDead = errors.New("this invocation is dead")

// invocation is one run of a function. It is the hook of its own calls.
type invocation struct {
	s        *sim
	name     string
	queue    *memory.Queue
	message  memory.Message
	started  time.Time
	deadline time.Time
	resume   chan struct{}
	home     *container
	wake     time.Time // it sleeps until then
	dead     string    // how it died
	inFlight bool      // it died, but the call under way takes effect
	over     bool      // its goroutine has ended
	failed   bool      // it gave its message back
	panicked string
	hurt     int // failures that its calls met behind a publication
	// published are the submissions whose notice it sent.
	published []string
	after     map[string]int  // jobs created after a stop or pause, by which
	touched   map[string]bool // submissions
	slept     time.Duration   // in its last slow calls
}

// start receives a message and starts an invocation for it.
func (s *sim) start() {
	up, down := s.uploads.Ready(), s.jobs.Ready()
	n := s.rnd.IntN(len(up) + len(down))
	queue, id := s.uploads, ""
	if n < len(up) {
		id = up[n]
	} else {
		queue, id = s.jobs, down[n-len(up)]
	}
	m, ok := queue.Take(id)
	if !ok {
		s.fault("%s became a dead letter", id)
		return
	}
	if s.repeats < 15 && s.chance(s.w.repeat) {
		s.repeats++
		delay := pick(s.rnd, 0, 0, time.Second, s.between(0, time.Hour))
		s.fault("%s is delivered twice, again after %v", id, delay)
		queue.Repeat(id, delay)
	}
	s.count++
	i := &invocation{
		s: s, name: fmt.Sprintf("i%d", s.count), queue: queue, message: m,
		started: s.clock.Now(), deadline: s.clock.Now().Add(s.w.timeout),
		resume: make(chan struct{}), after: map[string]int{}, touched: map[string]bool{},
	}
	if s.trace != nil {
		s.tell("%s starts with %s (receive %d) %.300s", i.name, m.ID, m.Receives, m.Body)
	}
	s.alive = append(s.alive, i)
	if len(s.alive) > 1 {
		s.report.Together = true
	}
	i.home = s.warm(queue)
	i.home.cur = i
	go i.run(i.home.handle)
	s.resume(i)
}

// container is where invocations run, one at a time: what a function keeps in
// memory is there for the next. It dies with an invocation that dies.
type container struct {
	cur    *invocation
	queue  *memory.Queue
	handle handle
}

// Before implements memory.Hook.
func (c *container) Before(ctx context.Context, call, key string) error {
	return c.cur.Before(ctx, call, key)
}

// After implements memory.Hook.
func (c *container) After(ctx context.Context, call, key string, err error) error {
	return c.cur.After(ctx, call, key, err)
}

// Observe implements pipeline.Observer.
func (c *container) Observe(ctx context.Context, e pipeline.Event) { c.cur.Observe(ctx, e) }

// Enabled implements slog.Handler.
func (c *container) Enabled(ctx context.Context, l slog.Level) bool { return c.cur.Enabled(ctx, l) }

// Handle implements slog.Handler.
func (c *container) Handle(ctx context.Context, r slog.Record) error { return c.cur.Handle(ctx, r) }

// WithAttrs implements slog.Handler.
func (c *container) WithAttrs([]slog.Attr) slog.Handler { return c }

// WithGroup implements slog.Handler.
func (c *container) WithGroup(string) slog.Handler { return c }

// warm is an idle container for a queue's function, or a new one.
func (s *sim) warm(queue *memory.Queue) *container {
	for n, c := range s.idleContainers {
		if c.queue == queue && s.rnd.IntN(4) > 0 {
			s.idleContainers = slices.Delete(s.idleContainers, n, n+1)
			return c
		}
	}
	c := &container{queue: queue}
	c.handle = s.handler(c)
	return c
}

type handle func(context.Context, events.SQSEvent) (events.SQSEventResponse, error)

// handler builds the function as the deployment does, over the ports of this
// container.
func (s *sim) handler(i *container) handle {
	o := pipeline.Options{
		Deployment: deployment, Settings: s.settings(), OutputBucket: outputBucket, JobRole: jobRole,
		Input: s.input.Hooked(i), Output: s.output.Hooked(i),
		Uploads: s.uploads.Hooked(i), Jobs: s.jobs.Hooked(i), Clock: s.clock, Observer: i,
	}
	jobs := &jobsPort{Jobs: s.bedrock.Jobs(i), s: s, c: i}
	if i.queue == s.uploads {
		submit := pipeline.NewSubmit(o, jobs, &modelPort{Model: s.bedrock.Model(i), s: s, c: i})
		return handler.NewSubmit(submit, inputBucket, s.uploads.Hooked(i), slog.New(i), s.clock.Now).Handle
	}
	return handler.NewCollect(pipeline.NewCollect(o, jobs, s.topic.Hooked(i)), s.jobs.Hooked(i), slog.New(i), s.clock.Now).Handle
}

func (i *invocation) run(f handle) {
	<-i.resume
	defer func() {
		if r := recover(); r != nil {
			i.panicked = fmt.Sprintf("%v\n%s", r, debug.Stack())
		}
		i.over = true
		i.s.baton <- struct{}{}
	}()
	ctx := lambdacontext.NewContext(lifetime{i}, &lambdacontext.LambdaContext{AwsRequestID: i.name})
	out, err := f(ctx, events.SQSEvent{Records: []events.SQSMessage{{MessageId: i.message.MessageID, Body: string(i.message.Body)}}})
	i.failed = err != nil || len(out.BatchItemFailures) > 0
}

// lifetime is the context of an invocation: its deadline is on the virtual
// clock, and it is never seen to end, since whoever reaches it is dead.
type lifetime struct{ i *invocation }

func (l lifetime) Deadline() (time.Time, bool) { return l.i.deadline, true }
func (l lifetime) Done() <-chan struct{}       { return nil }
func (l lifetime) Err() error                  { return nil }
func (l lifetime) Value(any) any               { return nil }

// resume gives an invocation the baton until it gives it back.
func (s *sim) resume(i *invocation) {
	s.running = i
	i.resume <- struct{}{}
	<-s.baton
	s.running = nil
	if !i.over {
		return
	}
	s.alive = slices.DeleteFunc(s.alive, func(other *invocation) bool { return other == i })
	if i.dead == "" && i.panicked == "" {
		s.idleContainers = append(s.idleContainers, i.home)
	}
	if i.dead == "" {
		s.ledger.slow(i)
	}
	switch {
	case i.panicked != "":
		s.violation("%s panicked: %s", i.name, i.panicked)
	case i.dead != "":
		s.ledger.died(i)
	case i.failed:
		s.tell("%s failed", i.name)
		s.ledger.failed(i)
	default:
		if s.chance(s.w.forget) {
			s.fault("the deletion of %s is lost", i.message.ID)
			s.ledger.excuse(i)
			break
		}
		s.tell("%s is done", i.name)
		if i.hurt > 0 {
			s.ledger.excuse(i)
		}
		i.queue.Delete(i.message)
		return
	}
	if s.rnd.IntN(2) == 0 {
		i.queue.Return(i.message, s.between(0, time.Minute))
	}
}

// stopAll ends what still runs when a schedule is cut short.
func (s *sim) stopAll() {
	for len(s.alive) > 0 {
		i := s.alive[0]
		i.dead = "the schedule is over"
		s.resume(i)
	}
}

// Observe tells what the pipeline tells.
func (i *invocation) Observe(_ context.Context, e pipeline.Event) {
	if i.s.trace != nil && i.dead == "" {
		i.s.tell("%s . %s %s %v", i.name, e.Name, e.Submission, e.Fields)
	}
}

// Enabled reports whether anybody listens.
func (i *invocation) Enabled(context.Context, slog.Level) bool {
	return i.s.trace != nil && i.dead == ""
}

// Handle tells what is logged.
func (i *invocation) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	r.Attrs(func(a slog.Attr) bool { fmt.Fprintf(&b, " %s=%v", a.Key, a.Value); return true })
	i.s.tell("%s . log: %s%s", i.name, r.Message, b.String())
	return nil
}

// pause lets time pass at a call, and others run.
func (i *invocation) pause() {
	s := i.s
	took := s.between(time.Millisecond, 40*time.Millisecond)
	i.wake = s.clock.Now().Add(took)
	if s.chance(s.w.slow) {
		i.wake = s.clock.Now().Add(s.between(time.Second, s.w.timeout))
		s.fault("%s is slow, until %s", i.name, s.since(i.wake))
		if last := i.deadline.Add(s.between(0, grace)); i.wake.After(last) {
			i.wake = last
		}
		i.slept += i.wake.Sub(s.clock.Now())
		s.baton <- struct{}{}
		<-i.resume
		return
	}
	s.clock.AdvanceTo(i.wake)
	if s.due() || s.chance(s.w.preempt) {
		s.baton <- struct{}{}
		<-i.resume
	}
}

// wait lets others run while a call takes its time.
func (i *invocation) wait(d time.Duration) {
	i.wake = i.s.clock.Now().Add(d)
	if last := i.deadline.Add(grace); i.wake.After(last) {
		i.wake = last
	}
	i.s.baton <- struct{}{}
	<-i.resume
}

func (i *invocation) die(call string, after bool, how string) {
	i.dead = how
	i.s.report.Crashes[Place{call, after}]++
	where := "before"
	if after {
		where = "after"
	}
	i.s.fault("%s dies %s %s: %s", i.name, where, call, how)
}

// Before implements memory.Hook.
func (i *invocation) Before(_ context.Context, call, key string) error {
	if i.dead != "" {
		return errDead
	}
	s := i.s
	i.pause()
	if i.dead != "" {
		return errDead
	}
	s.report.Calls++
	fmt.Fprintln(s.digest, s.clock.Now().UnixNano(), i.name, call, key)
	if !s.clock.Now().Before(i.deadline) {
		if s.stormy && s.rnd.IntN(2) == 0 {
			i.inFlight = true
			s.tell("%s > %s %s (in flight at the deadline)", i.name, call, key)
			return nil
		}
		i.die(call, false, "deadline")
		return errDead
	}
	s.calls[call]++
	if s.stormy && (s.chance(s.w.crash) || s.w.plan.is(call, false, s.calls[call])) {
		i.die(call, false, "crash")
		return errDead
	}
	if s.w.cursed && call == "Bucket.Read" && strings.Contains(key, "/out/") && s.users.cursed(key) {
		i.die(call, false, "curse")
		return errDead
	}
	if err := i.refuse(call, key); err != nil {
		i.harm(err)
		s.fault("%s > %s %s: %v, without effect", i.name, call, key, err)
		return fmt.Errorf("%s %s: %w", call, key, err)
	}
	s.ledger.before(i, call, key)
	return nil
}

// harm notes a failure that may have a notice published again.
func (i *invocation) harm(err error) {
	if len(i.published) > 0 && !errors.Is(err, batch.ErrPrecondition) {
		i.hurt++
	}
}

func (p plan) is(call string, after bool, n int) bool {
	return p.call == call && p.after == after && p.n == n
}

// After implements memory.Hook.
func (i *invocation) After(_ context.Context, call, key string, err error) error {
	if i.dead != "" {
		return errDead
	}
	s := i.s
	if s.trace != nil {
		if err != nil && err.Error() != "EOF" {
			s.tell("%s > %s %s: %v", i.name, call, key, err)
		} else {
			s.tell("%s > %s %s", i.name, call, key)
		}
	}
	s.ledger.after(i, call, key, err)
	if i.inFlight {
		i.die(call, true, "deadline, with a call in flight")
		return errDead
	}
	if s.stormy && (s.chance(s.w.crash) || s.w.plan.is(call, true, s.calls[call])) {
		i.die(call, true, "crash")
		return errDead
	}
	if err == nil || err.Error() == "EOF" {
		if lost := i.lose(call, key); lost != nil {
			i.harm(lost)
			s.fault("%s > %s %s: %v, with its effect", i.name, call, key, lost)
			return fmt.Errorf("%s %s: %w", call, key, lost)
		}
	}
	return err
}

// conditional reports whether a Put of this key is a conditional one.
func conditional(call, key string) bool {
	key = strings.TrimPrefix(key, outputBucket+"/")
	return call == "Bucket.Put" && (strings.HasPrefix(key, "submissions/") && strings.HasSuffix(key, "/submission.json") ||
		strings.HasPrefix(key, "control/dispatch/") || key == "control/on-demand" || strings.HasPrefix(key, "control/gather/") || strings.HasPrefix(key, "taken/") || strings.HasPrefix(key, "rounds/") || strings.HasSuffix(key, "/latest.json"))
}

// refuse says whether a call fails before it has had an effect.
func (i *invocation) refuse(call, key string) error {
	s := i.s
	if call == "Bucket.Abort" {
		return nil
	}
	if conditional(call, key) && s.chance(s.w.conflict/2) {
		return batch.ErrPrecondition
	}
	if call == "Jobs.Create" && s.users.denied(s.clock.Now()) {
		return &batch.ServiceError{Class: batch.ErrAccess, Code: "AccessDeniedException", Message: "not yet", Status: 403}
	}
	if !s.chance(s.w.fault / 2) {
		return nil
	}
	return &batch.ServiceError{Class: pick(s.rnd, batch.ErrThrottled, batch.ErrUnavailable), Code: "Weather", Message: "weather", Status: 503}
}

// lose says whether the answer to a call that had its effect is lost.
func (i *invocation) lose(call, key string) error {
	s := i.s
	if conditional(call, key) && (s.w.stubborn || s.chance(s.w.conflict/2)) {
		return batch.ErrPrecondition // a retry met the write of the first try
	}
	if call == "Bucket.Abort" || !s.chance(s.w.fault/2) {
		return nil
	}
	return &batch.ServiceError{Class: batch.ErrUnavailable, Code: "Timeout", Message: "the answer was lost"}
}
