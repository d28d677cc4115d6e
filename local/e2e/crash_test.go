package e2e

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// kill ends a function's processes as a crash would (kill -9) once when says
// so, which it asks in short intervals, and goes on until an invocation has
// died of it.
func (u *user) kill(function, moment string, when func() bool) {
	u.t.Helper()
	before := u.crashes(function)
	u.within(*patience, moment, func() string {
		if u.crashes(function) > before {
			return ""
		}
		if !when() {
			return "not yet; in the output bucket: " + u.brief("")
		}
		for _, pid := range u.processes(u.t, function) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				u.t.Fatal(err)
			}
		}
		return "no invocation has died"
	})
}

// crashes counts the invocations that died.
func (u *user) crashes(function string) (n int) {
	u.t.Helper()
	for _, i := range u.invocations(u.t, function) {
		if i.Outcome == "crash" {
			n++
		}
	}
	return n
}

// staged counts the keys below staged/ that hold a text.
func (u *user) staged(part string) int {
	u.t.Helper()
	n := 0
	for _, key := range u.keys("staged/") {
		if strings.Contains(key, part) {
			n++
		}
	}
	return n
}

// hasty are services whose functions have ten seconds and little patience, on
// a store that is a little slow.
func hasty(seconds int, more ...string) setup {
	return setup{
		scheduled: true,
		flags:     append([]string{"--slow-s3", "15ms", "--set", quotas, "--set", `stale_after="5s"`, "--set", "on_demand_concurrency=1"}, more...),
		edit:      func(_ *testing.T, c *cloud) { c.timeout(seconds, 6*seconds) },
	}
}

func TestACrashWhileAnsweringOnDemandLosesNothing(t *testing.T) {
	t.Parallel()
	u := begin(t, hasty(10))
	u.settings("", nova)
	u.drop("a.jsonl", prompts(95))
	u.kill("submit", "some answers", func() bool { return u.staged("/answers/") >= 10 })
	u.completed("a.jsonl", 95)
	u.once()
}

func TestACrashWhileGatheringLosesNothing(t *testing.T) {
	t.Parallel()
	u := begin(t, hasty(10, "--slow-s3", "60ms")) // so that a round takes as long as a look at it
	u.settings("docs/", nova+"prompt_template: 'Say it in few words: {content}'\ngather: {quiet: 3s}\n")
	bodies := map[string][]byte{}
	for i := range 120 {
		bodies[fmt.Sprintf("docs/%03d.txt", i)] = []byte(subject(i))
	}
	u.dropAll(bodies)
	u.kill("submit", "the first notes", func() bool { return len(u.keys("gather/")) > 10 })
	u.kill("submit", "a settled round", func() bool { return len(u.keys("rounds/")) > 0 })
	seen := map[string]int{}
	u.within(*patience, "an answer to each document", func() string {
		clear(seen)
		for _, n := range u.said() {
			if n.Results.Results == "" {
				u.t.Fatalf("notice: %s", n.Raw)
			}
			for _, r := range lines[result](u, n.Results.Results) {
				seen[r.Source]++
			}
		}
		if len(seen) < len(bodies) {
			return fmt.Sprintf("%d of %d, in the output bucket: %s", len(seen), len(bodies), u.brief(""))
		}
		return ""
	})
	for key, n := range seen {
		if n != 1 || bodies[key] == nil {
			t.Errorf("%s is answered %d times", key, n)
		}
	}
	u.once()
}

func TestACrashInAContinuationLosesNothing(t *testing.T) {
	t.Parallel()
	const rows = 8_000
	u := begin(t, hasty(3, "--slow-s3", "80ms"))
	u.settings("", nova)
	u.drop("long.jsonl", prompts(rows))
	slices := func(function string) (n int) {
		for _, i := range u.invocations(t, function) {
			if i.DurationMS > 700 {
				n++
			}
		}
		return n
	}
	u.kill("submit", "the second slice", func() bool { return slices("submit") > 0 && u.staged("/in/") > 6 })
	u.kill("collect", "collecting", func() bool { return u.staged("/answers/") > 1 })
	u.completed("long.jsonl", rows)
	// The slow store makes preparing longer than a slice on any machine;
	// collecting comes in pieces as long as the jobs' events are apart.
	if n := slices("submit"); n < 2 {
		t.Errorf("%d slices of more than 0.7 s prepared the upload, want several", n)
	}
	u.once()
}

// once is ended where a crash may have published a notice twice: it then has
// the same id, by which receivers know it.
func (u *user) once() {
	u.t.Helper()
	u.mu.Lock()
	seen := map[string]bool{}
	var first []notice
	for _, n := range u.notices {
		if !seen[n.NoticeID] {
			first = append(first, n)
		}
		seen[n.NoticeID] = true
	}
	u.notices = first
	u.mu.Unlock()
	u.ended()
}
