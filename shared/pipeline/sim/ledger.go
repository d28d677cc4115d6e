package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// ledger is what the world saw.
type ledger struct {
	s          *sim
	accounts   map[string]*account  // by submission
	fates      map[string]*fate     // by job name
	ending     bool                 // a job's answers are being made
	pauseAt    time.Time            // zero: not paused
	everPaused bool                 // a pause starts the clock of what waits anew
	late       map[string]bool      // outputs that came late
	known      map[string][]learned // answers that are remembered, by tag
	forgot     map[string]bool      // what held some, and has expired
}

// fate is what became of a job's records.
type fate struct {
	status batch.Status
	lines  map[string]memory.Line // by recordId; none: no output
	// certain: the output was there in time, so it must have been gathered.
	certain bool
}

// account is what the world saw of one submission.
type account struct {
	upload *upload
	state  *pipeline.Submission // as last written
	body   []byte
	newer  bool // a newer version has it
	stopAt time.Time
	// jobs is by attempt and recordId the job that holds the record; stored
	// is by attempt and recordId whether what was stored is an answer.
	jobs   map[int]map[string]string
	stored map[int]map[string]bool
	// deaths are invocations that died at work on it, hurts those that failed,
	// late those that slow calls cost most of their time; excuses are those
	// that died or failed behind a publication.
	deaths, hurts, late, excuses int
	published                    int
}

func newLedger(s *sim) ledger {
	return ledger{s: s, accounts: map[string]*account{}, fates: map[string]*fate{}, late: map[string]bool{}, known: map[string][]learned{}, forgot: map[string]bool{}}
}

func (l *ledger) paused()   { l.pauseAt, l.everPaused = l.s.clock.Now(), true }
func (l *ledger) unpaused() { l.pauseAt = time.Time{} }

var ofSubmission = regexp.MustCompile(`(?:submissions|staged|open)/([0-9a-f]{26})`)

// account finds a submission's account; nil for one of an upload that nobody
// put.
func (l *ledger) account(id string) *account {
	if a := l.accounts[id]; a != nil {
		return a
	}
	u := l.s.users.byID[id]
	if u == nil {
		return nil
	}
	a := &account{upload: u, jobs: map[int]map[string]string{}, stored: map[int]map[string]bool{}}
	l.accounts[id] = a
	return a
}

// before sees a call that is about to be made.
func (l *ledger) before(i *invocation, call, key string) {
	if m := ofSubmission.FindStringSubmatch(key); m != nil {
		i.touched[m[1]] = true
	}
}

// after sees a call's effect.
func (l *ledger) after(i *invocation, call, key string, err error) {
	if err != nil {
		return
	}
	if call == "Topic.Publish" {
		all := l.s.topic.Published()
		var n pipeline.Notice
		if json.Unmarshal([]byte(all[len(all)-1].JSON), &n) == nil {
			i.published = append(i.published, n.Submission)
			l.s.tell("%s . notice %s of %s: %+v %s", i.name, n.Status, n.Submission, n.Rows, n.Reason)
		}
	}
}

func (l *ledger) died(i *invocation) {
	for id := range i.touched {
		if a := l.account(id); a != nil {
			a.deaths++
		}
	}
	l.excuse(i)
}

func (l *ledger) failed(i *invocation) {
	for id := range i.touched {
		if a := l.account(id); a != nil {
			a.hurts++
		}
	}
	l.excuse(i)
}

// slow notes a slice that slow calls cost so much of its time that it may have
// ended in good order with nothing done.
func (l *ledger) slow(i *invocation) {
	if 3*i.slept < l.s.w.timeout {
		return
	}
	for id := range i.touched {
		if a := l.account(id); a != nil {
			a.late++
		}
	}
}

func (l *ledger) excuse(i *invocation) {
	for _, id := range i.published {
		if a := l.account(id); a != nil {
			a.excuses++
		}
	}
}

var rank = map[pipeline.PartStatus]int{pipeline.PartStaged: 0, pipeline.PartWaiting: 1, pipeline.PartCreating: 2, pipeline.PartRunning: 3, pipeline.PartEnded: 4, pipeline.PartCollected: 5}

// written sees every object that comes to stand in the output bucket.
func (l *ledger) written(o batch.Object) {
	switch {
	case strings.HasPrefix(o.Key, "submissions/") && strings.HasSuffix(o.Key, "/submission.json"):
		l.stateWritten(o.Key)
	case strings.Contains(o.Key, "/answers/") && strings.Contains(o.Key, "/rows/"):
		l.answerStored(o.Key)
	case strings.HasPrefix(o.Key, "known/"):
		l.learns(o.Key)
	case strings.Contains(o.Key, "/in/"):
		l.staged(o.Key)
	}
}

var storedKey = regexp.MustCompile(`^staged/([0-9a-f]{26})/answers/([0-9]+)-([0-9]+)/rows/(r[0-9]{10})$`)

func (l *ledger) answerStored(key string) {
	m := storedKey.FindStringSubmatch(key)
	if m == nil {
		return
	}
	a := l.account(m[1])
	if a == nil {
		return
	}
	attempt, _ := strconv.Atoi(m[3])
	if a.stored[attempt] == nil {
		a.stored[attempt] = map[string]bool{}
	}
	a.stored[attempt][m[4]] = bytes.Contains(l.s.output.Bytes(key), []byte(`"modelOutput"`))
}

func (l *ledger) stateWritten(key string) {
	s := l.s
	body := s.output.Bytes(key)
	id := key[len("submissions/") : len("submissions/")+26]
	if s.users.byID[id] == nil {
		l.roundBegun(id, body)
	}
	a := l.account(id)
	if a == nil {
		s.violation("state of %s, which nobody uploaded", id)
		return
	}
	var now pipeline.Submission
	if err := json.Unmarshal(body, &now); err != nil {
		s.violation("state of %s cannot be read: %v", id, err)
		return
	}
	if now.Version > pipeline.StateVersion {
		return // the newer version's
	}
	was := a.state
	a.state, a.body = &now, body
	if s.trace != nil {
		s.tell("    state of %s: %s", id[:6], brief(&now))
	}
	if now.Stop && a.stopAt.IsZero() {
		a.stopAt = s.clock.Now()
	}
	if was == nil {
		return
	}
	if was.State.Terminal() {
		s.violation("finished means finished: the state of %s, %s, was written again as %s", id, was.State, now.State)
	}
	if last := len(now.Parts) - 1; !a.stopAt.IsZero() && len(now.Parts) > len(was.Parts) && now.Parts[last].Attempt > 1 && s.clock.Now().Sub(a.stopAt) > s.w.timeout+time.Minute {
		s.violation("%s was stopped %v ago, and a retry round is staged", id, s.clock.Now().Sub(a.stopAt))
	}
	for _, p := range was.Parts {
		if rank[p.Status] < rank[pipeline.PartWaiting] {
			continue
		}
		found := false
		for _, q := range now.Parts {
			if q.N == p.N && q.Attempt == p.Attempt {
				found = true
				if rank[q.Status] < rank[p.Status] {
					s.violation("part %d attempt %d of %s was lowered from %s to %s", p.N, p.Attempt, id, p.Status, q.Status)
				}
			}
		}
		if !found {
			s.violation("part %d attempt %d of %s, %s, is gone from its state", p.N, p.Attempt, id, p.Status)
		}
	}
}

// roundBegun takes a folder's round for an upload of all its objects' rows.
func (l *ledger) roundBegun(id string, body []byte) {
	s := l.s
	var state pipeline.Submission
	if json.Unmarshal(body, &state) != nil || state.Kind != "folder" {
		return
	}
	u := &upload{id: id, key: state.Upload.Key, at: s.clock.Now()}
	listing, err := objects(s.output.Bytes(state.Listing))
	if err != nil {
		s.violation("the listing of %s cannot be read: %v", id, err)
	}
	good := 0
	for _, o := range listing {
		var key, version string
		json.Unmarshal(o["key"], &key)
		json.Unmarshal(o["versionId"], &version)
		i := slices.IndexFunc(s.users.uploads, func(u *upload) bool { return u.key == key && u.version == version })
		if i < 0 || !s.users.uploads[i].gathered {
			s.violation("the listing of %s names %s, version %s, which nobody put there", id, key, version)
			continue
		}
		from := s.users.uploads[i]
		from.rounds++
		from.round, u.retries = id, from.retries
		rows := from.rows
		if len(rows) == 0 {
			rows = []row{{line: 1}} // an empty object is set aside as one
		}
		for _, r := range rows {
			r.n, r.source = len(u.rows)+1, key
			u.rows = append(u.rows, r)
			if r.good {
				good++
			}
		}
	}
	if good == 0 {
		u.reject = "no good row"
	}
	s.users.byID[id] = u
	s.users.rounds = append(s.users.rounds, u)
	s.tell("round of %s: %d objects, %d rows, submission %s", u.key, len(listing), len(u.rows), id)
}

// locate finds the account and row of a tag.
func (l *ledger) locate(serial, n int) (*account, int) {
	if pooled(serial) {
		return l.owner(serial, n)
	}
	if serial < 1 || serial > len(l.s.users.uploads) {
		return nil, 0
	}
	u := l.s.users.uploads[serial-1]
	if !u.gathered {
		return l.account(u.id), n
	}
	a := l.account(u.round)
	if a == nil {
		return nil, 0
	}
	for _, r := range a.upload.rows {
		if r.mark == tag(serial, n) {
			return a, r.n
		}
	}
	return nil, 0
}

// patient checks, when nothing could be got for nine days, that nobody still
// waits after eight.
func (l *ledger) patient() {
	if l.everPaused {
		return
	}
	for id, a := range l.accounts {
		if a.state == nil || a.state.State.Terminal() || a.state.WaitSince == nil || a.state.Ending != nil {
			continue
		}
		if waited := l.s.clock.Now().Sub(*a.state.WaitSince); waited > 8*24*time.Hour {
			l.s.violation("%s still waits after %v: %s", id, waited, brief(a.state))
		}
	}
}

// brief is a state in a line.
func brief(s *pipeline.Submission) string {
	var b strings.Builder
	b.WriteString(string(s.State))
	for _, p := range s.Parts {
		b.WriteString(" " + strconv.Itoa(p.N) + "-" + strconv.Itoa(p.Attempt) + ":" + string(p.Status))
		if p.JobStatus != "" {
			b.WriteString("/" + string(p.JobStatus))
		}
		if p.How == pipeline.OnDemand {
			b.WriteString("(od)")
		}
	}
	if s.Lease != nil {
		b.WriteString(" lease=" + s.Lease.Owner)
	}
	if s.Stalls > 0 {
		b.WriteString(" stalls=" + strconv.Itoa(s.Stalls))
	}
	if s.Stop {
		b.WriteString(" stop")
	}
	if s.Checkpoint != nil {
		b.WriteString(" checkpoint=" + strconv.Itoa(s.Checkpoint.Part))
	}
	if s.Ending != nil {
		b.WriteString(" ending=" + string(s.Ending.State) + " (" + s.Ending.Reason + ")")
	}
	return b.String()
}

// created sees a job come into being: nothing is paid for twice.
func (l *ledger) created(job batch.Job) {
	s := l.s
	_, id, part, attempt, ok := pipeline.ParseJobName(job.Name)
	if !ok {
		s.violation("job %s: a name that no job of ours has", job.Name)
		return
	}
	a := l.account(id)
	if a == nil {
		s.violation("job %s is of a submission that nobody uploaded", job.Name)
		return
	}
	if a.state == nil || a.state.State.Terminal() {
		s.violation("job %s was created though its submission has ended", job.Name)
		return
	}
	if i := s.running; i != nil {
		if !a.stopAt.IsZero() {
			if i.started.After(a.stopAt) || i.after[id] > 0 {
				s.violation("job %s was created by %s %v after its submission was stopped", job.Name, i.name, s.clock.Now().Sub(a.stopAt))
			}
			i.after[id]++
		}
		if !l.pauseAt.IsZero() {
			if i.started.After(l.pauseAt) || i.after["pause"] > 0 {
				s.violation("job %s was created by %s %v after the deployment was paused", job.Name, i.name, s.clock.Now().Sub(l.pauseAt))
			}
			i.after["pause"]++
		}
	}
	if i := s.running; i != nil && a.overdue(job.Name) && i.started.After(*a.state.Deadline.DecidedAt) {
		s.violation("job %s was created by %s %v after its rows were to go on demand", job.Name, i.name, s.clock.Now().Sub(*a.state.Deadline.DecidedAt))
	}
	if attempt < 1 || attempt > 1+a.upload.retries {
		s.violation("job %s: attempt %d, though %d retries are wanted", job.Name, attempt, a.upload.retries)
	}
	input := s.output.Bytes(strings.TrimPrefix(job.Input, "s3://"+outputBucket+"/"))
	records := 0
	for line := range bytes.Lines(input) {
		rec := string(between(line, `{"recordId":"`, `"`))
		records++
		l.paid(a, attempt, rec, "job "+job.Name)
		if a.jobs[attempt] == nil {
			a.jobs[attempt] = map[string]string{}
		}
		if other := a.jobs[attempt][rec]; other != "" {
			s.violation("record %s is in job %s and in job %s", rec, other, job.Name)
		}
		a.jobs[attempt][rec] = job.Name
	}
	if records < minRecords || records > maxRecords || len(input) > maxFileBytes {
		s.violation("job %s was created with %d records and %d bytes", job.Name, records, len(input))
	}
	_ = part
}

// obeyed is how long after a stop a job may still run untold: what was lost is
// made up for by a tick.
const obeyed = 3 * time.Hour

// outlived sees a job about to end: one of a stopped submission was told so.
func (l *ledger) outlived(job batch.Job) {
	_, id, _, _, _ := pipeline.ParseJobName(job.Name)
	a := l.account(id)
	if a == nil || a.stopAt.IsZero() || job.Status == batch.Stopping || a.newer {
		return
	}
	if d := l.s.clock.Now().Sub(a.stopAt); d > obeyed {
		l.s.violation("job %s is %s %v after its submission was stopped", job.Name, job.Status, d)
	}
}

func between(line []byte, from, to string) []byte {
	_, rest, _ := bytes.Cut(line, []byte(from))
	out, _, _ := bytes.Cut(rest, []byte(to))
	return out
}

// paid checks that a record may be asked about in an attempt: what was heard
// of it before must be worth it.
func (l *ledger) paid(a *account, attempt int, rec, by string) {
	if d := a.state.Deadline; d != nil && d.Attempt != attempt && a.stored[d.Attempt][rec] {
		l.s.violation("record %s of %s is asked again, as %s: the deadline had it answered", rec, a.upload.id, by)
	}
	for before := 1; before < attempt; before++ {
		if l.worth(a, before, rec) == no {
			l.s.violation("record %s of %s is asked again, as %s: what came of attempt %d is not worth it", rec, a.upload.id, by, before)
		}
	}
}

// overdue reports whether the rows of a job's part go on demand, since the deadline
// came before their answers.
func (a *account) overdue(job string) bool {
	_, _, n, attempt, ok := pipeline.ParseJobName(job)
	if !ok || a.state == nil || a.state.Deadline == nil || a.state.Deadline.DecidedAt == nil {
		return false
	}
	return slices.ContainsFunc(a.state.Parts, func(p pipeline.Part) bool { return p.N == n && p.Attempt == attempt && p.Late })
}

type verdict int

const (
	unknown verdict = iota
	yes
	no
)

// worth says whether what came of a record in an attempt is worth another.
func (l *ledger) worth(a *account, attempt int, rec string) verdict {
	if ok, is := a.stored[attempt][rec]; is {
		if ok {
			return no
		}
		return unknown // what was stored says why
	}
	job := a.jobs[attempt][rec]
	if job == "" {
		return unknown
	}
	f := l.fates[job]
	if f == nil {
		return unknown
	}
	if !f.certain {
		return unknown
	}
	late := a.overdue(job)
	if f.status == batch.Stopped && !late {
		return no
	}
	line, there := f.lines[rec]
	if !there || line.Shape == memory.Missing {
		switch f.status {
		case batch.Expired, batch.PartiallyCompleted, batch.Failed, batch.Stopped:
			return yes
		}
		return no
	}
	switch line.Shape {
	case memory.Answered, memory.Twice:
		return no
	case memory.Neither, memory.Broken:
		return yes
	}
	if codes[line.Code] {
		return yes
	}
	return no
}

// asked sees a request that reached a model on demand.
func (l *ledger) asked(serial, n int) {
	s := l.s
	a, n := l.locate(serial, n)
	if a == nil {
		s.violation("somebody asked on demand about %s, which nobody put", tag(serial, n))
		return
	}
	u := a.upload
	rec := row{n: n}.recordID()
	if a.state == nil || a.state.State.Terminal() {
		s.violation("%s of %s was asked on demand though its submission has ended", rec, u.id)
		return
	}
	now := 0 // the attempt
	for _, p := range a.state.Parts {
		if p.How == pipeline.OnDemand && p.Status == pipeline.PartRunning && p.FirstRow <= int64(n) && int64(n) <= p.LastRow {
			now = max(now, p.Attempt)
		}
	}
	if now == 0 {
		s.violation("%s of %s was asked on demand though no part on demand runs", rec, u.id)
		return
	}
	if _, is := a.stored[now][rec]; is {
		s.violation("%s of %s has a stored answer in attempt %d and was asked again", rec, u.id, now)
	}
	l.paid(a, now, rec, "on demand")
	if !a.stopAt.IsZero() && s.clock.Now().Sub(a.stopAt) > 6*time.Second+s.lately() {
		s.violation("%s of %s was asked %v after its stop", rec, u.id, s.clock.Now().Sub(a.stopAt))
	}
	if !l.pauseAt.IsZero() && s.clock.Now().Sub(l.pauseAt) > 6*time.Second+s.lately() {
		s.violation("%s of %s was asked %v after the pause", rec, u.id, s.clock.Now().Sub(l.pauseAt))
	}
}

// lately is what the running invocation's last calls took beside their usual
// time: it may have looked before it slept.
func (s *sim) lately() time.Duration {
	if s.running == nil {
		return 0
	}
	return s.running.slept
}

// ended sees a job's end.
func (l *ledger) ended(job batch.Job) {
	if job.Status == batch.Failed && strings.HasPrefix(job.Message, "Batch job") {
		l.s.violation("job %s was refused: %s", job.Name, job.Message)
	}
	if l.fates[job.Name] == nil {
		l.fates[job.Name] = &fate{status: job.Status, certain: true}
	}
}

// objects reads lines of JSON.
func objects(data []byte) (out []map[string]json.RawMessage, err error) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var o map[string]json.RawMessage
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return out, err
		}
		out = append(out, o)
	}
	return out, lines.Err()
}
