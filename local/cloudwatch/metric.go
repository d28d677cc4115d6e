package cloudwatch

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Dimension is a part of a metric's identity.
type Dimension struct {
	Name, Value string
}

// Sample is one value of a metric.
type Sample struct {
	Namespace, Metric string
	Dimensions        []Dimension
	Value             float64
	// Unit is the API's word; empty is None.
	Unit string
	// At is when it was measured; zero is now.
	At time.Time
}

// maxPoints is how many points of a series are kept; the oldest go first.
const maxPoints = 50_000

// series is a metric with its dimensions.
type series struct {
	namespace, metric, unit string
	dimensions              []Dimension // by name
	points                  []point     // by time
}

// point is what was measured in one grain of time.
type point struct {
	at                 time.Time
	n                  int
	sum, least, utmost float64
}

func (p *point) add(q point) {
	if p.n == 0 {
		*p = point{at: p.at, n: q.n, sum: q.sum, least: q.least, utmost: q.utmost}
		return
	}
	p.n, p.sum = p.n+q.n, p.sum+q.sum
	p.least, p.utmost = min(p.least, q.least), max(p.utmost, q.utmost)
}

// sorted are dimensions in the order of their names.
func sorted(d []Dimension) []Dimension {
	d = slices.Clone(d)
	slices.SortFunc(d, func(a, b Dimension) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value)) })
	return d
}

// key names a series.
func key(namespace, metric string, dimensions []Dimension) string {
	var b strings.Builder
	b.WriteString(namespace + "\x00" + metric)
	for _, d := range sorted(dimensions) {
		b.WriteString("\x00" + d.Name + "\x00" + d.Value)
	}
	return b.String()
}

// put adds a value; at has been cut to the grain.
func (s *series) put(at time.Time, value float64) {
	i, found := slices.BinarySearchFunc(s.points, at, func(p point, at time.Time) int { return p.at.Compare(at) })
	if !found {
		s.points = slices.Insert(s.points, i, point{at: at})
	}
	s.points[i].add(point{n: 1, sum: value, least: value, utmost: value})
	if len(s.points) > maxPoints {
		s.points = slices.Delete(s.points, 0, maxPoints/10)
	}
}

// between sums up what was measured after from and not after to.
func (s *series) between(from, to time.Time) point {
	sum := point{at: from}
	if s == nil {
		return sum
	}
	i, _ := slices.BinarySearchFunc(s.points, from, func(p point, at time.Time) int {
		if p.at.After(at) {
			return 1
		}
		return -1
	})
	for ; i < len(s.points) && !s.points[i].at.After(to); i++ {
		sum.add(s.points[i])
	}
	return sum
}

// The statistics there are; percentiles and the like are not.
var statistics = map[string]func(point) float64{
	"SampleCount": func(p point) float64 { return float64(p.n) },
	"Sum":         func(p point) float64 { return p.sum },
	"Average":     func(p point) float64 { return p.sum / float64(p.n) },
	"Minimum":     func(p point) float64 { return p.least },
	"Maximum":     func(p point) float64 { return p.utmost },
}
