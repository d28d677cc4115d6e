package sqs

import (
	"maps"
	"slices"
	"time"
)

// Measure is what a queue shows.
type Measure struct {
	Queue                      string
	Visible, InFlight, Delayed int
	// Oldest is how long, on the service's clock, the oldest message that is not
	// delayed any more has been there; 0 where there is none. A message that
	// came from another queue brings its age along.
	Oldest time.Duration
}

// Measure looks at all queues, in the order of their names.
func (s *Service) Measure() []Measure {
	s.mu.RLock()
	queues := maps.Clone(s.queues)
	s.mu.RUnlock()
	var all []Measure
	for _, name := range slices.Sorted(maps.Keys(queues)) {
		all = append(all, queues[name].measure())
	}
	return all
}

func (q *queue) measure() Measure {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := Measure{Queue: q.name}
	m.Visible, m.InFlight, m.Delayed = q.counts()
	now := q.clock.Now()
	for _, x := range q.byID {
		if age := now.Sub(x.sent); x.where != delayed && x.where != leaving && age > 0 {
			m.Oldest = max(m.Oldest, time.Duration(float64(age)*q.clock.Speed()))
		}
	}
	return m
}
