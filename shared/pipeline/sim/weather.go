package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
)

// weather is how rough a schedule is. Chances are per call unless they say
// otherwise.
type weather struct {
	crash    float64       // an invocation dies
	fault    float64       // a call fails, with or without its effect
	conflict float64       // a conditional write is answered as if it had lost
	slow     float64       // a call takes minutes
	preempt  float64       // another invocation runs on
	lose     float64       // per event of a job: it never comes
	late     float64       // per message: it comes hours late
	repeat   float64       // per message: it comes again
	forget   float64       // per handled message: its deletion is lost
	bad      float64       // per record of a job: it does not come back as an answer
	odd      float64       // per job: it does not end as it should
	throttle float64       // per request on demand
	ponder   time.Duration // how long a model may think about a request
	lag      time.Duration
	answer   memory.Repeat // to a repeated Create
	alive    int           // invocations at once
	timeout  time.Duration // of an invocation
	tick     time.Duration
	storm    time.Duration // how long the faults go on
	slots    int
	// stubborn answers every conditional write that had its effect as if it
	// had lost, also when the weather has cleared.
	stubborn bool
	// cursed kills whoever reads the output of the first upload's jobs, for
	// as long as the schedule lasts.
	cursed bool
	// siege: somebody else's jobs hold all slots for longer than a submission
	// waits; drought: every request on demand is throttled for as long.
	siege, drought bool
	// plan is one crash at a chosen place, beside those of chance.
	plan plan
}

// plan is a crash at the n-th time that a call is made.
type plan struct {
	call  string
	after bool
	n     int
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func (s *sim) drawWeather() {
	r := s.rnd
	w := &s.w
	w.timeout = pick(r, 15*time.Minute, 15*time.Minute, 60*time.Second, 20*time.Second)
	w.tick = pick(r, 5*time.Minute, 20*time.Minute, 30*time.Minute, 45*time.Minute, 45*time.Minute)
	w.storm = time.Duration(1+r.IntN(4)) * time.Hour
	w.slots = pick(r, 1, 1, 2, 2, 3, 20)
	w.alive = 1
	w.answer = pick(r, memory.RepeatARN, memory.RepeatConflict, memory.RepeatInvalid)
	w.bad = pick(r, 0, 0.05, 0.2, 0.5)
	w.odd = pick(r, 0, 0.1, 0.3, 0.8)
	switch r.IntN(150) {
	case 0:
		w.siege, w.slots = true, 1
	case 1:
		w.drought, w.throttle = true, 1
	}
	if w.siege || w.drought {
		w.storm, w.tick = 9*24*time.Hour, 3*time.Hour
		return
	}
	if r.IntN(10) == 0 {
		return // a fine day
	}
	w.crash = pick(r, 0, 0, 0.001, 0.003, 0.01)
	w.fault = pick(r, 0, 0, 0.005, 0.02, 0.06)
	w.conflict = pick(r, 0, 0.01, 0.05, 0.15)
	w.slow = pick(r, 0, 0, 0.002, 0.01)
	w.lose = pick(r, 0, 0, 0.1, 0.5, 1)
	w.late = pick(r, 0, 0.02, 0.1)
	w.repeat = pick(r, 0, 0.05, 0.3)
	w.forget = pick(r, 0, 0.02, 0.1)
	w.throttle = pick(r, 0, 0.05, 0.3)
	w.lag = pick(r, 0, 0, 5*time.Second, 2*time.Minute)
	w.ponder = pick(r, 0, 0, time.Second, 20*time.Second)
	w.stubborn = r.IntN(40) == 0
	w.cursed = r.IntN(60) == 0
	if r.IntN(5) < 3 {
		w.alive = 2 + r.IntN(3)
		w.preempt = pick(r, 0.02, 0.1, 0.3)
	}
	if r.IntN(2) == 0 {
		calls := memory.Calls()
		w.plan = plan{call: calls[r.IntN(len(calls))], after: r.IntN(2) == 0, n: 1 + r.IntN(1<<r.IntN(6))}
		switch w.plan.call {
		case "Jobs.Stop", "Topic.Publish", "Bucket.Compose", "Bucket.Stat", "Model.Answer":
			w.plan.n = 1 + r.IntN(2) // seldom made
		}
	}
}

func (w weather) String() string {
	return fmt.Sprintf("crash=%g fault=%g conflict=%g slow=%g preempt=%g lose=%g late=%g repeat=%g forget=%g bad=%g odd=%g throttle=%g ponder=%v lag=%v repeated-create=%d alive=%d timeout=%v tick=%v storm=%v slots=%d stubborn=%v cursed=%v siege=%v drought=%v plan=%+v",
		w.crash, w.fault, w.conflict, w.slow, w.preempt, w.lose, w.late, w.repeat, w.forget, w.bad, w.odd, w.throttle, w.ponder, w.lag, w.answer, w.alive, w.timeout, w.tick, w.storm, w.slots, w.stubborn, w.cursed, w.siege, w.drought, w.plan)
}

// calm ends all faults: what is held up comes, nothing fails any more.
func (w *weather) calm() {
	*w = weather{alive: w.alive, timeout: 15 * time.Minute, tick: 30 * time.Minute, slots: 20, lose: w.lose, answer: w.answer, stubborn: w.stubborn, cursed: w.cursed, siege: w.siege, drought: w.drought}
	if w.lose < 0.5 {
		w.lose = 0
	} else {
		w.lose = 1 // the tick is the only help
	}
}
