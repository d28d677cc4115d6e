package sim

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// stuck says what waits for ever.
func (s *sim) stuck() {
	what := []string{}
	for _, prefix := range []string{"open/", "waiting/", "gather/"} {
		what = append(what, s.output.Keys(prefix)...)
	}
	for _, q := range []*memory.Queue{s.uploads, s.jobs} {
		for n, body := range q.Bodies() {
			if n < 3 {
				what = append(what, fmt.Sprintf("message %.200s", body))
			}
		}
	}
	for id, a := range s.ledger.accounts {
		if a.state != nil && !a.state.State.Terminal() {
			what = append(what, id+" "+brief(a.state))
		}
	}
	s.violation("nothing waits for ever, but %v after the storm these do: %s", patience, strings.Join(what, "; "))
}

// check compares what came out with what the world saw.
func (s *sim) check() {
	if len(s.report.Violations) > 0 {
		return // what follows from it is no news
	}
	notices := map[string][]pipeline.Notice{}
	for _, p := range s.topic.Published() {
		var n pipeline.Notice
		if err := json.Unmarshal([]byte(p.JSON), &n); err != nil {
			s.violation("a notice cannot be read: %v", err)
			return
		}
		if len(p.Subject) >= 100 || p.Attributes["status"] != n.Status {
			s.violation("publication of %s: subject %q, attributes %v", n.Submission, p.Subject, p.Attributes)
		}
		if u := s.users.byID[n.Submission]; u != nil && (n.Request != u.asked || p.Attributes["team"] != cmp.Or(u.attribute, p.Attributes["team"]) || n.Attributes["team"] != u.attribute) {
			s.violation("the notice of %s is of request %q, attributes %v", u.key, n.Request, p.Attributes)
		}
		notices[n.Submission] = append(notices[n.Submission], n)
	}
	for _, u := range append(s.users.uploads[:len(s.users.uploads):len(s.users.uploads)], s.users.rounds...) {
		if u.gathered {
			if u.rounds > 1 || u.rounds == 0 && !u.older && !u.may {
				s.violation("upload %d (%s) was taken by %d rounds of its folder", u.serial, u.key, u.rounds)
			}
			continue
		}
		a := s.ledger.accounts[u.id]
		if a == nil || a.state == nil {
			s.violation("upload %d (%s) has no submission", u.serial, u.key)
			continue
		}
		s.submission(a, notices[u.id])
		delete(notices, u.id)
	}
	for id := range notices {
		s.violation("a notice of %s, which nobody uploaded", id)
	}
	for _, prefix := range []string{"staged/", "open/", "waiting/", "gather/"} {
		left := slices.DeleteFunc(s.output.Keys(prefix), func(key string) bool {
			return s.ledger.late[key] // it came when nobody reckoned with it any more
		})
		if len(left) > 0 {
			s.violation("left behind: %s", strings.Join(left[:min(len(left), 10)], " "))
		}
	}
}

// submission checks one account.
func (s *sim) submission(a *account, notices []pipeline.Notice) {
	u, id := a.upload, a.upload.id
	state := a.state
	bad := func(format string, args ...any) {
		s.violation("upload %d (%s), submission %s: %s", u.serial, u.key, id, fmt.Sprintf(format, args...))
	}
	if !state.State.Terminal() {
		bad("it ended as %s", brief(state))
		return
	}
	if len(notices) == 0 {
		bad("it is %s and no notice was published", state.State)
		return
	}
	n := notices[len(notices)-1]
	s.report.Statuses[n.Status]++
	for _, other := range notices {
		if other.NoticeID != n.NoticeID || other.Status != n.Status || other.Rows != n.Rows || other.NoticeID == "" {
			bad("its notices differ: %+v and %+v", other, n)
		}
	}
	if len(notices) > 1+a.excuses {
		bad("%d notices, though only %d invocations died behind publishing one", len(notices), a.excuses)
	}
	if r := n.Rows; r.Total != r.Answered+r.Failed+r.SetAside+r.Missing || r != state.Rows {
		bad("every row is accounted for, but the notice says %+v, the state %+v", r, state.Rows)
	}
	wrong := 0
	for _, r := range u.rows {
		if !r.good {
			wrong++
		}
	}
	switch n.Status {
	case pipeline.StatusRejected, pipeline.StatusSuperseded:
		if len(a.jobs)+len(a.stored) > 0 {
			bad("it is %s, but something was run", n.Status)
		}
		if n.Status == pipeline.StatusSuperseded && !u.older || n.Status == pipeline.StatusRejected && u.reject == "" && !u.may {
			bad("it is %s: %s", n.Status, n.Reason)
		}
		if strings.Contains(n.Reason, "set-aside.jsonl") && n.Status == pipeline.StatusRejected && !u.may && int(n.Rows.SetAside) != wrong {
			bad("%d rows are set aside, the notice says %+v", wrong, n.Rows)
		}
	case pipeline.StatusStopped:
		if a.stopAt.IsZero() {
			bad("it is Stopped, but nobody stopped it")
		}
	default:
		if e := a.state.Ending; u.reject != "" && (e == nil || !strings.Contains(e.Reason, "given up")) {
			bad("it is %s, but had to be rejected: %s", n.Status, u.reject)
		}
		if !a.stopAt.IsZero() && state.FinishedAt != nil && a.stopAt.Before(*state.FinishedAt) {
			bad("it was stopped, but is %s", n.Status)
		}
		s.early(a, n, bad)
	}
	if want := s.statusOf(n); n.Status != want {
		bad("its status is %s, not %s: %+v", n.Status, want, n.Rows)
	}
	whole := state.Ending == nil && n.Status != pipeline.StatusStopped
	if whole && int(n.Rows.Total) != len(u.rows) || int(n.Rows.Total) > len(u.rows) {
		bad("it has %d rows, the notice says %+v", len(u.rows), n.Rows)
	}
	if whole && int(n.Rows.SetAside) != wrong {
		bad("%d rows are not good, the notice says %+v", wrong, n.Rows)
	}
	s.results(a, n, whole, bad)
}

// statusOf is the status that follows from the figures; the early ends stand
// as they are.
func (s *sim) statusOf(n pipeline.Notice) string {
	switch r := n.Rows; {
	case n.Status == pipeline.StatusRejected || n.Status == pipeline.StatusSuperseded || n.Status == pipeline.StatusStopped:
		return n.Status
	case r.Answered == 0:
		return pipeline.StatusFailed
	case r.Failed+r.SetAside+r.Missing > 0:
		return pipeline.StatusCompletedWithErrors
	}
	return pipeline.StatusCompleted
}

// early checks that an end before all was tried has a reason that holds.
func (s *sim) early(a *account, n pipeline.Notice, bad func(string, ...any)) {
	if a.state.Ending == nil {
		for _, p := range a.state.Parts {
			if p.How == pipeline.ByJob && p.JobARN == "" && p.Records > 0 && !p.Late && !(strings.Contains(p.Message, "though none is running") && s.users.noSlots >= 4*time.Hour) {
				bad("part %d attempt %d never ran: %q", p.N, p.Attempt, p.Message)
			}
		}
		return
	}
	if strings.Contains(a.state.Ending.Reason, "given up: 5 attempts") {
		// A slice that a service failed twice may count too: its lease was
		// not given back.
		if n := a.deaths + a.late; n < 5 && !(s.faulty && n >= 2) {
			bad("it was given up, though only %d invocations died, %d had no time and %d failed over it", a.deaths, a.late, a.hurts)
		}
		return
	}
	reason := a.state.Ending.Reason
	if s.w.siege && strings.Contains(reason, "no slot came free") || s.w.drought && strings.Contains(reason, "throttled every request") {
		return
	}
	bad("it ended early: %+v", *a.state.Ending)
}

// want is what must have come of a row.
type want struct {
	answered int // the attempt, 0: none
	unsure   bool
}

// expect tells from what the world saw what must have come of a row.
func (s *sim) expect(a *account, rec string) (w want, lastAttempt int) {
	// A deadline's attempt comes behind all retry rounds.
	for attempt := 1; attempt <= 2+a.upload.retries; attempt++ {
		if ok, is := a.stored[attempt][rec]; is {
			lastAttempt = attempt
			if ok && s.w.cursed && a.upload.serial == 1 {
				w.unsure = true
			} else if ok {
				w.answered = attempt
				return w, attempt
			}
			continue
		}
		name := a.jobs[attempt][rec]
		if name == "" {
			continue
		}
		lastAttempt = attempt
		f := s.ledger.fates[name]
		if f == nil {
			continue
		}
		if line, there := f.lines[rec]; there && (line.Shape == memory.Answered || line.Shape == memory.Twice) {
			if f.certain && !(s.w.cursed && s.users.cursed(name)) {
				w.answered = attempt
				return w, attempt
			}
			w.unsure = true
		}
	}
	return w, lastAttempt
}

func (s *sim) file(u *upload, name string) []byte {
	return s.output.Bytes("results/" + u.key + "/" + u.id + "/" + name)
}

// results checks the files that come back.
func (s *sim) results(a *account, n pipeline.Notice, whole bool, bad func(string, ...any)) {
	u, state := a.upload, a.state
	given := map[int]int{} // row -> attempt
	known := map[int]bool{}
	last := 0
	results, err := objects(s.file(u, "results.jsonl"))
	if err != nil {
		bad("results.jsonl: %v", err)
		return
	}
	if len(results) != int(n.Rows.Answered) {
		bad("results.jsonl has %d lines, the notice says %+v", len(results), n.Rows)
	}
	for _, o := range results {
		var at, attempt int
		var output, rec string
		json.Unmarshal(o["row"], &at)
		json.Unmarshal(o["attempt"], &attempt)
		json.Unmarshal(o["output"], &output)
		json.Unmarshal(o["recordId"], &rec)
		if at <= last || at > len(u.rows) {
			bad("results.jsonl: row %d stands behind row %d", at, last)
			return
		}
		last = at
		r := u.rows[at-1]
		if rec != r.recordID() || string(o["id"]) != r.id || output != "said "+r.mark || !r.from(o["source"]) {
			bad("results.jsonl: row %d has recordId %s, id %s, output %q", at, rec, o["id"], output)
		}
		given[at], known[at] = attempt, s.recalled(a, r, o, bad)
	}
	if count := len(slices.DeleteFunc(slices.Collect(maps.Values(known)), func(is bool) bool { return !is })); count != int(n.Rows.Known) {
		bad("results.jsonl has %d rows that were known, the notice says %+v", count, n.Rows)
	}
	s.report.Known += n.Rows.Known
	lost := map[int]bool{}
	errors, err := objects(s.file(u, "errors.jsonl"))
	if err != nil {
		bad("errors.jsonl: %v", err)
		return
	}
	before := 0
	for _, o := range errors {
		line, _ := json.Marshal(o)
		at := u.rowOf(line, o)
		if at <= before || o["_error"] == nil {
			bad("errors.jsonl: %s behind row %d", line, before)
			return
		}
		before = at
		lost[at] = true
	}
	if whole && len(errors) != int(n.Rows.Failed+n.Rows.Missing) || len(errors) > int(n.Rows.Failed+n.Rows.Missing) {
		bad("errors.jsonl has %d lines, the notice says %+v", len(errors), n.Rows)
	}
	for _, r := range u.rows {
		w, tried := s.expect(a, r.recordID())
		attempt, is := given[r.n]
		switch {
		case !r.good && (is || lost[r.n]):
			bad("row %d is no good, but came back", r.n)
		case known[r.n] && !lost[r.n]:
		case is && lost[r.n]:
			bad("row %d is in results.jsonl and in errors.jsonl", r.n)
		case r.good && w.answered > 0 && !w.unsure && attempt != w.answered:
			bad("row %d was answered in attempt %d, results.jsonl has attempt %d of it", r.n, w.answered, attempt)
		case is && w.answered == 0 && !w.unsure:
			bad("row %d was never answered, but is in results.jsonl", r.n)
		case r.good && whole && !is && !lost[r.n]:
			bad("row %d is neither in results.jsonl nor in errors.jsonl", r.n)
		case r.good && whole && !is && tried > 0 && (tried <= u.retries || a.overdue(a.jobs[tried][r.recordID()])) && s.ledger.worth(a, tried, r.recordID()) == yes && !s.tooFew(a, tried):
			bad("row %d was worth another attempt after attempt %d of %d and got none", r.n, tried, 1+u.retries)
		}
	}
	if d := state.Deadline; d != nil && (d.EstimatedUSD > d.MaxCostUSD || len(a.stored[d.Attempt]) > int(d.Records) || d.DecidedAt != nil && d.DecidedAt.Before(d.At)) {
		bad("its deadline: %+v, %d rows asked", *d, len(a.stored[d.Attempt]))
	}
	s.aside(u, n, whole, bad)
	s.summary(u, n, bad)
}

// from reports whether a line names the row's source, where it has one.
func (r row) from(source json.RawMessage) bool {
	var key string
	json.Unmarshal(source, &key)
	return key == r.source
}

// rowOf finds the row that a line of errors.jsonl is about.
func (u *upload) rowOf(line []byte, o map[string]json.RawMessage) (at int) {
	serial, n, tagged := untag(line)
	var document struct{ Key string }
	json.Unmarshal(o["_document"], &document)
	for _, r := range u.rows {
		if tagged && r.mark == tag(serial, n) || document.Key != "" && r.source == document.Key {
			return r.n
		}
	}
	var rec string
	json.Unmarshal(o["recordId"], &rec)
	fmt.Sscanf(rec, "r%d", &at)
	return at
}

// tooFew reports whether the rows worth another attempt are fewer than a job
// takes, in a workload that wants no other way.
func (s *sim) tooFew(a *account, attempt int) bool {
	if !strings.HasPrefix(a.upload.key, "big only/") {
		return false
	}
	count := 0
	for _, r := range a.upload.rows {
		switch worth := s.ledger.worth(a, attempt, r.recordID()); {
		case a.jobs[attempt][r.recordID()] == "":
		case worth == yes:
			count++
		case worth == unknown:
			return true
		}
	}
	return count < minRecords+3 // parts by bytes may leave a rest
}

func (s *sim) aside(u *upload, n pipeline.Notice, whole bool, bad func(string, ...any)) {
	lines, err := objects(s.file(u, "set-aside.jsonl"))
	if err != nil {
		bad("set-aside.jsonl: %v", err)
		return
	}
	if len(lines) != int(n.Rows.SetAside) {
		bad("set-aside.jsonl has %d lines, the notice says %+v", len(lines), n.Rows)
		return
	}
	at := 0
	for _, r := range u.rows {
		if r.good || at >= len(lines) {
			continue
		}
		o := lines[at]
		at++
		var line int
		var raw string
		json.Unmarshal(o["line"], &line)
		if o["rawBase64"] != nil {
			json.Unmarshal(o["rawBase64"], &raw)
			b, _ := base64.StdEncoding.DecodeString(raw)
			raw = string(b)
		} else {
			json.Unmarshal(o["raw"], &raw)
		}
		if line != r.line || !r.from(o["source"]) || strings.TrimSpace(raw) != strings.TrimSpace(r.raw) {
			bad("set-aside.jsonl: line %d %q stands for row %d, line %d %q", line, raw, r.n, r.line, r.raw)
			return
		}
	}
}

func (s *sim) summary(u *upload, n pipeline.Notice, bad func(string, ...any)) {
	var sum pipeline.Summary
	if err := json.Unmarshal(s.file(u, "summary.json"), &sum); err != nil {
		bad("summary.json: %v", err)
		return
	}
	if sum.NoticeID != n.NoticeID || sum.Rows != n.Rows || sum.Status != n.Status {
		bad("summary.json says %s %+v, the notice %s %+v", sum.Status, sum.Rows, n.Status, n.Rows)
	}
	for _, m := range sum.Mismatches {
		if strings.Contains(m, "add up") {
			bad("summary.json: %s", m)
		}
	}
	for _, place := range []string{n.Results.Results, n.Results.Errors, n.Results.SetAside, n.Results.Summary} {
		key := strings.TrimPrefix(place, "s3://"+outputBucket+"/")
		if place != "" && s.output.Bytes(key) == nil {
			bad("its notice names %s, which is not there", place)
		}
	}
	if body := s.output.Bytes("results/" + u.key + "/latest.json"); n.Status != pipeline.StatusRejected && n.Status != pipeline.StatusSuperseded && !bytes.Contains(body, []byte(`"submission":"`)) {
		bad("latest.json is not there: %s", body)
	}
	for _, j := range n.Jobs {
		if !j.Status.Terminal() && j.Status != batch.Status("") {
			bad("its notice has a job that is %s", j.Status)
		}
	}
}
