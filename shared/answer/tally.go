package answer

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxErrors       = 20  // kept in a list
	maxErrorKinds   = 512 // told apart while counting
	maxErrorMessage = 200 // characters
	otherMessages   = "(other messages)"
)

// Add joins the counts of another part or attempt into t.
func (t *Tally) Add(o Tally) {
	if t.Answered == 0 {
		t.TokensKnown = true // nothing answered, nothing unknown
	}
	t.TokensKnown = t.TokensKnown && (o.TokensKnown || o.Answered == 0)
	t.Records += o.Records
	t.Answered += o.Answered
	t.Failed += o.Failed
	t.Missing += o.Missing
	t.Retryable += o.Retryable
	t.InputTokens += o.InputTokens
	t.OutputTokens += o.OutputTokens
	t.Foreign += o.Foreign
	t.Duplicate += o.Duplicate
	t.Unreadable += o.Unreadable
	t.Passes += o.Passes
	for reason, n := range o.StopReasons {
		if t.StopReasons == nil {
			t.StopReasons = map[string]int64{}
		}
		t.StopReasons[reason] += n
	}
	t.Errors = AddErrors(t.Errors, o.Errors)
}

// Lines is how many lines the output has, blank ones not counted: what a job's
// own record counts can be compared with.
func (t Tally) Lines() int64 {
	return t.Answered + t.Failed + t.Foreign + t.Duplicate + t.Unreadable
}

// AddErrors joins two lists into a new one, most common first, keeping the 20
// most common.
func AddErrors(a, b []ErrorCount) []ErrorCount {
	var c errorCounter
	for _, list := range [][]ErrorCount{a, b} {
		for _, e := range list {
			c.add(e.Code, e.Message, e.Count)
		}
	}
	return c.list()
}

// errorCounter counts errors by code and message. Messages may quote what was
// asked, so that no two are alike: it tells only so many apart.
type errorCounter struct{ counts map[ErrorCount]int64 }

func (c *errorCounter) add(code, message string, n int64) {
	key := ErrorCount{Code: cutText(code, maxErrorMessage), Message: cutText(message, maxErrorMessage)}
	if c.counts == nil {
		c.counts = map[ErrorCount]int64{}
	}
	if _, known := c.counts[key]; !known && len(c.counts) >= maxErrorKinds {
		key.Message = otherMessages
		if _, known := c.counts[key]; !known && len(c.counts) >= 2*maxErrorKinds {
			key.Code = "other"
		}
	}
	c.counts[key] += n
}

func (c *errorCounter) list() []ErrorCount {
	if len(c.counts) == 0 {
		return nil
	}
	all := make([]ErrorCount, 0, len(c.counts))
	for e, n := range c.counts {
		e.Count = n
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b ErrorCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Code, b.Code), strings.Compare(a.Message, b.Message))
	})
	return all[:min(len(all), maxErrors)]
}

// cutText cuts s to n characters, never inside one.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n--; n < 0 {
			return strings.Clone(s[:i]) // not the rest of a long message with it
		}
	}
	if !utf8.ValidString(s) {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return s
}
