package model

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// composer writes short answers from the words of the prompt. It understands
// nothing; it is there so that answers are cheap, readable, the same in every
// run and different in every row.
type composer struct{ rates Rates }

// Complete writes the answer.
func (c composer) Complete(_ context.Context, chat Chat) (Completion, error) {
	var prompt strings.Builder
	input := tokens(chat.System)
	for _, t := range chat.Turns {
		input += tokens(t.Text) + 4 + 256*t.Media // 4 for the turn's frame, 256 an image
		if t.Role == "user" {
			prompt.Reset()
			prompt.WriteString(t.Text)
		}
	}
	done := Completion{InputTokens: max(1, input)}
	done.Text = compose(prompt.String(), chat.System, chat.Seed)
	switch {
	case chance(chat.Seed, "refuse") < c.rates.Refuse:
		done.Text, done.Stop = "I can't help with that request.", Refused
	case chat.Think || chance(chat.Seed, "reason") < c.rates.Reason:
		done.Reasoning = "The text mentions " + listed(topics(prompt.String(), 4)) + ". The answer should say what is made of it."
	}
	for _, stop := range chat.Stop {
		if i := strings.Index(done.Text, stop); stop != "" && i >= 0 {
			done.Text, done.Stop, done.StopText = done.Text[:i], StopSequence, stop
		}
	}
	room := chat.MaxTokens
	if chance(chat.Seed, "truncate") < c.rates.Truncate {
		room = min(room, max(1, tokens(done.Text)/2))
	}
	if tokens(done.Reasoning)+tokens(done.Text) > room {
		done.Stop, done.StopText = MaxTokens, ""
		done.Reasoning = cut(done.Reasoning, room)
		done.Text = cut(done.Text, room-tokens(done.Reasoning))
	}
	done.OutputTokens = max(1, tokens(done.Reasoning)+tokens(done.Text))
	return done, nil
}

// tokens counts a text: one for four bytes or part of them.
func tokens(s string) int { return (len(s) + 3) / 4 }

// cut keeps so much of s that tokens(s) is at most n, in whole characters.
func cut(s string, n int) string {
	if tokens(s) <= n {
		return s
	}
	end := max(0, n) * 4
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// chance is a number from 0 to 1 that depends on seed and purpose alone.
func chance(seed uint64, purpose string) float64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%x/%s", seed, purpose)
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}

var (
	praise = []string{"love", "great", "excellent", "perfect", "happy", "comfortable", "sturdy", "quiet", "fast", "easy", "recommend", "beautiful", "good", "solid", "works", "delicious", "best", "nice", "smooth", "pleased"}
	blame  = []string{"broke", "broken", "disappointed", "terrible", "poor", "refund", "returned", "cheap", "noisy", "slow", "stopped", "worst", "waste", "leaks", "leaked", "cracked", "bad", "useless", "late", "wrong"}
	filler = []string{"about", "after", "again", "also", "because", "been", "before", "being", "could", "didn", "does", "doesn", "from", "have", "having", "here", "into", "just", "like", "made", "make", "more", "much", "only", "other", "over", "really", "same", "should", "some", "still", "than", "that", "them", "then", "there", "these", "they", "thing", "this", "those", "very", "well", "were", "what", "when", "where", "which", "while", "will", "with", "would", "your"}
)

// compose writes the text of an answer.
func compose(prompt, system string, seed uint64) string {
	mood := "mixed"
	switch up, down := hits(prompt, praise), hits(prompt, blame); {
	case up > down:
		mood = "positive"
	case down > up:
		mood = "negative"
	}
	about := topics(prompt, 3)
	mark := fmt.Sprintf("%06x", seed&0xffffff)
	if strings.Contains(system+prompt, "JSON") {
		list := make([]any, len(about))
		for i, t := range about {
			list[i] = t
		}
		return string(appendJSON(nil, ordered{
			{"sentiment", mood}, {"topics", list}, {"score", int(seed%5) + 1},
			{"summary", "The writer speaks of " + listed(about) + "."}, {"reference", mark},
		}))
	}
	openings := []string{
		"Overall the tone is %s; the writer speaks of %s.",
		"This reads as %s. What matters here: %s.",
		"A %s text, mostly on %s.",
		"In short: %s in tone, with %s at its centre.",
	}
	closings := []string{
		"Nothing else stands out.",
		"The rest adds detail to that point.",
		"A reader in a hurry needs no more than this.",
		"It gives reasons for what it says.",
		"The wording is plain and direct.",
	}
	return fmt.Sprintf(openings[seed%uint64(len(openings))], mood, listed(about)) + " " +
		closings[(seed>>8)%uint64(len(closings))] + " [" + mark + "]"
}

// words are the lower-case words of a text's first part.
func words(s string) []string {
	s = cut(s, 512) // 2 KB say enough, and long rows must not make the model slow
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

func hits(s string, list []string) int {
	n := 0
	for _, w := range words(s) {
		if slices.Contains(list, w) {
			n++
		}
	}
	return n
}

// topics are the n longest words of some weight, in the order they come.
func topics(s string, n int) []string {
	var all []string
	for _, w := range words(s) {
		if utf8.RuneCountInString(w) > 3 && !slices.Contains(filler, w) && !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	longest := slices.Clone(all)
	slices.SortStableFunc(longest, func(a, b string) int { return len(b) - len(a) })
	if len(longest) > n {
		longest = longest[:n]
	}
	return slices.DeleteFunc(all, func(w string) bool { return !slices.Contains(longest, w) })
}

func listed(list []string) string {
	switch len(list) {
	case 0:
		return "nothing in particular"
	case 1:
		return list[0]
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}
