package sim

import (
	"container/heap"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

const (
	deployment   = "a3154b92"
	inputBucket  = "in"
	outputBucket = "out"
	jobRole      = "arn:aws:iam::123456789012:role/jobs"
	maxReceives  = 5
	// grace is how long after its deadline a call that was under way may
	// still take effect; the product reckons with 30 seconds.
	grace = 25 * time.Second
	// maxCalls is more than the worst schedule needs; who calls oftener goes
	// round in circles.
	maxCalls = 30_000
	// callsPerHour are those of a submission that waits for a slot: a few times an
	// hour it takes its lease and looks through the line.
	callsPerHour = 200
	// patience is how long after the storm everything must have ended.
	patience = 30 * 24 * time.Hour
)

var epoch = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)

// Report is what came of one schedule.
type Report struct {
	Seed       uint64
	Faults     int
	Violations []string
	Calls      int
	// Together says that at least two invocations were alive at once.
	Together bool
	// Crashes are the calls before or behind which an invocation died.
	Crashes map[Place]int
	// Known are the rows that were not paid again.
	Known int64
	// Statuses count the final notices.
	Statuses map[string]int
	// Digest is that of everything that happened, in order.
	Digest uint64
}

// Place is a place to crash: a call, before or after its effect.
type Place struct {
	Call  string
	After bool
}

// Run runs the schedule of one seed. What happens is told to trace, if given.
func Run(seed uint64, trace io.Writer) Report {
	s := newSim(seed, trace)
	s.run()
	return s.report
}

// sim is one schedule under way.
type sim struct {
	rnd    *rand.Rand
	w      weather
	stormy bool
	faulty bool // calls fail
	trace  io.Writer
	report Report
	// mostOpen is how many submissions were open at once since mostCalls first
	// looked.
	mostOpen int
	digest   interface {
		io.Writer
		Sum64() uint64
	}

	clock         *memory.Clock
	input, output *memory.Bucket
	bedrock       *memory.Bedrock
	uploads, jobs *memory.Queue
	dead          *memory.Queue
	topic         *memory.Topic[pipeline.Publication]

	besieging      bool // a job is created that ends only with the storm
	idleContainers []*container
	events         eventHeap
	serial         int
	alive          []*invocation
	count          int         // invocations so far
	running        *invocation // whoever has the baton
	repeats        int         // messages delivered twice
	baton          chan struct{}
	calls          map[string]int
	seats          int // requests on demand that may be under way at once
	asking         int // those that are

	users  users
	ledger ledger
}

// event is something that will happen in the world.
type event struct {
	at  time.Time
	seq int
	do  func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func newSim(seed uint64, trace io.Writer) *sim {
	s := &sim{
		rnd: rand.New(rand.NewPCG(seed, 0x5eed)), trace: trace, stormy: true,
		report: Report{Seed: seed, Crashes: map[Place]int{}, Statuses: map[string]int{}},
		digest: fnv.New64a(), baton: make(chan struct{}), calls: map[string]int{}, seats: 1 + int(seed%2),
		clock: memory.NewClock(epoch),
	}
	s.drawWeather()
	s.faulty = s.w.fault > 0
	s.input = memory.NewBucket(memory.BucketOptions{Name: inputBucket, Versioned: true, Clock: s.clock, Piece: pick(s.rnd, 64, 500, 64<<10)})
	s.output = memory.NewBucket(memory.BucketOptions{Name: outputBucket, Clock: s.clock, Page: pick(s.rnd, 3, 1000), Piece: pick(s.rnd, 100, 64<<10), Part: pick(s.rnd, 300, 8<<20)})
	s.bedrock = memory.NewBedrock(memory.BedrockOptions{
		Clock: s.clock, Slots: s.w.slots, MinRecords: minRecords, MaxRecords: maxRecords,
		Buckets: []*memory.Bucket{s.input, s.output}, Repeat: s.w.answer, Answer: s.reply,
	})
	s.dead = memory.NewQueue(memory.QueueOptions{Name: "dead", Clock: s.clock})
	queue := func(name string) *memory.Queue {
		return memory.NewQueue(memory.QueueOptions{Name: name, Clock: s.clock, Visibility: 6 * s.w.timeout, MaxReceives: maxReceives, DeadLetters: s.dead})
	}
	s.uploads, s.jobs = queue("uploads"), queue("jobs")
	s.topic = memory.NewTopic[pipeline.Publication](nil)
	s.ledger = newLedger(s)
	s.input.Watch(s.notify)
	s.output.Watch(s.ledger.written)
	s.bedrock.Watch(s.jobChanged)
	s.tell("weather: %v", s.w)
	return s
}

// tell writes a line of the trace.
func (s *sim) tell(format string, args ...any) {
	if s.trace != nil {
		fmt.Fprintf(s.trace, "%-13s %s\n", s.since(s.clock.Now()), fmt.Sprintf(format, args...))
	}
}

func (s *sim) since(t time.Time) string { return t.Sub(epoch).Round(time.Millisecond).String() }

// violation notes that something is not as it must always be.
func (s *sim) violation(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.tell("VIOLATION %s", text)
	if len(s.report.Violations) < 20 {
		s.report.Violations = append(s.report.Violations, text)
	}
}

// fault counts a deliberate fault.
func (s *sim) fault(format string, args ...any) {
	s.report.Faults++
	if s.trace != nil {
		s.tell("  ~ "+format, args...)
	}
}

func (s *sim) chance(p float64) bool { return p > 0 && s.rnd.Float64() < p }

// between draws a duration.
func (s *sim) between(from, to time.Duration) time.Duration {
	return from + time.Duration(s.rnd.Int64N(int64(to-from)+1))
}

// in has something happen after a while.
func (s *sim) in(d time.Duration, do func()) {
	s.serial++
	heap.Push(&s.events, event{at: s.clock.Now().Add(d), seq: s.serial, do: do})
}

// due reports whether something of the world is to happen now.
func (s *sim) due() bool {
	return len(s.events) > 0 && !s.events[0].at.After(s.clock.Now())
}

// mostCalls is how many calls a schedule may take. What waits for a slot looks
// for one each quarter of an hour, and so often is tried what kills whoever does
// it; over days that adds up.
func (s *sim) mostCalls() int {
	switch {
	case s.w.drought:
		return 10 * maxCalls
	case (s.w.siege || s.w.cursed) && s.report.Calls > maxCalls:
		s.mostOpen = max(s.mostOpen, len(s.output.Keys("open/")))
		return maxCalls + int(s.clock.Now().Sub(epoch).Hours())*callsPerHour*max(1, s.mostOpen)
	}
	return maxCalls
}

func (s *sim) run() {
	s.arrange()
	s.in(s.w.tick, s.tick)
	s.in(s.w.storm, s.clear)
	end := epoch.Add(s.w.storm + patience)
	for len(s.report.Violations) == 0 {
		for s.due() {
			heap.Pop(&s.events).(event).do()
		}
		if !s.stormy && len(s.alive) == 0 && s.quiet() {
			break
		}
		if s.report.Calls > s.mostCalls() {
			s.violation("nobody rests: %d calls within %v", s.report.Calls, s.clock.Now().Sub(epoch))
			break
		}
		if s.clock.Now().After(end) {
			s.stuck()
			break
		}
		if !s.step() {
			break
		}
	}
	s.stopAll()
	s.check()
	s.report.Digest = s.digest.Sum64()
}

// step lets one invocation run on, starts one, or moves the clock to where
// something happens.
func (s *sim) step() bool {
	now := s.clock.Now()
	var awake []*invocation
	for _, i := range s.alive {
		if !i.wake.After(now) {
			awake = append(awake, i)
		}
	}
	ready := 0
	if len(s.alive) < s.w.alive {
		ready = len(s.uploads.Ready()) + len(s.jobs.Ready())
	}
	switch {
	case ready > 0 && (len(awake) == 0 || s.rnd.IntN(2) == 0):
		s.start()
	case len(awake) > 0:
		s.resume(awake[s.rnd.IntN(len(awake))])
	default:
		next, ok := s.next()
		if !ok {
			return false
		}
		s.clock.AdvanceTo(next)
	}
	return true
}

// next is when something happens next.
func (s *sim) next() (next time.Time, ok bool) {
	at := func(t time.Time) {
		if !ok || t.Before(next) {
			next, ok = t, true
		}
	}
	if len(s.events) > 0 {
		at(s.events[0].at)
	}
	for _, i := range s.alive {
		at(i.wake)
	}
	if len(s.alive) < s.w.alive {
		for _, q := range []*memory.Queue{s.uploads, s.jobs} {
			if t, is := q.Next(); is {
				at(t)
			}
		}
	}
	return next, ok
}

// tick is the schedule's, on both queues.
func (s *sim) tick() {
	if s.stormy || !s.idle() {
		for _, q := range []*memory.Queue{s.uploads, s.jobs} {
			if s.chance(s.w.fault) {
				s.fault("a tick is lost")
				continue
			}
			q.Put([]byte(`{"bedrock-batch":1,"do":"tick"}`), 0)
		}
	}
	s.in(s.w.tick, s.tick)
}

// clear ends the storm.
func (s *sim) clear() {
	s.stormy = false
	if s.w.siege || s.w.drought {
		s.ledger.patient()
	}
	s.w.calm()
	s.tell("the weather clears: %v", s.w)
	s.setSlots(s.w.slots)
	s.output.Delete(bg, "control/pause")
	s.ledger.unpaused()
	s.settleWorld()
}

// idle reports that nothing of the product's work stands anywhere.
func (s *sim) idle() bool {
	for _, prefix := range []string{"open/", "waiting/", "gather/"} {
		if len(s.output.Keys(prefix)) > 0 {
			return false
		}
	}
	return true
}

// quiet reports that all is over.
func (s *sim) quiet() bool {
	return s.uploads.Len() == 0 && s.jobs.Len() == 0 && s.idle() && s.bedrock.Live("") == 0 && !s.redrive()
}

// redrive puts the news of uploads that became dead letters back, as the
// operator does. Nothing else that is there may be needed.
func (s *sim) redrive() bool {
	put := false
	for {
		m, ok := s.dead.Receive()
		if !ok {
			return put
		}
		s.dead.Delete(m)
		switch {
		case isRequest(m.Body):
			put = s.redriveRequest(m.MessageID, m.Body) || put
		case isNotification(m.Body):
			s.tell("redrive %.200s", m.Body)
			s.uploads.Put(m.Body, 0)
			put = true
		}
	}
}
