package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// Folders that pay for new rows only draw their rows from a pool each, so that
// the same comes again in other uploads. Who a tag of a pool belongs to is not in
// the tag.
const (
	firstPool = 1_000_000
	poolSize  = 30
)

func pooled(serial int) bool { return serial >= firstPool }

// repeated is a row of a pool: what it asks depends on the tag alone, and who it
// is on its place in the upload.
func repeated(serial, n int) string {
	return fmt.Sprintf("Say %s %s", tag(serial, n), strings.Repeat("x", n*7%50))
}

func repeatedRow(s *sim, serial, n int, good bool) (string, string) {
	if !good {
		return promptRow(s, serial, n, false)
	}
	id := fmt.Sprintf(`"k%d"`, s.rnd.IntN(1000))
	return fmt.Sprintf(`{"prompt": "%s", "id": %s}`, repeated(serial, n), id), id
}

func repeatedTableRow(s *sim, serial, n int, good bool) (string, string) {
	if !good {
		return "1,too,many", ""
	}
	id := s.rnd.IntN(1000)
	return fmt.Sprintf(`%d,"%s"`, id, strings.TrimPrefix(repeated(serial, n), "Say ")), fmt.Sprintf(`"%d"`, id)
}

// learned is an answer that was remembered.
type learned struct {
	at         time.Time
	submission string
	key        string // of what holds it
}

var (
	knownKey   = regexp.MustCompile(`^known/[0-9a-f]{32}/[0-9a-f]{16}-([0-9a-f]{26})-`)
	recordsKey = regexp.MustCompile(`^staged/([0-9a-f]{26})/in/[0-9]+-1\.jsonl$`)
)

// learns sees answers that are remembered.
func (l *ledger) learns(key string) {
	m := knownKey.FindStringSubmatch(key)
	if m == nil {
		l.s.violation("%s is written, which has the name of no known answers", key)
		return
	}
	for _, said := range regexp.MustCompile(`"output":"said t(\d+)\.(\d+)\."`).FindAll(l.s.output.Bytes(key), -1) {
		serial, n, _ := untag(said)
		l.known[tag(serial, n)] = append(l.known[tag(serial, n)], learned{l.s.clock.Now(), m[1], key})
	}
}

// forget has something that is remembered reach its age.
func (s *sim) forget() {
	keys := s.output.Keys("known/")
	if len(keys) == 0 {
		return
	}
	key := keys[s.rnd.IntN(len(keys))]
	s.fault("%s expires", key)
	s.ledger.forgot[key] = true
	s.output.Delete(bg, key)
}

// staged sees records that are to be paid: none whose answer was known before
// the invocation began that stages them.
func (l *ledger) staged(key string) {
	m := recordsKey.FindStringSubmatch(key)
	if m == nil || l.s.running == nil || l.s.output.Keys("known/") == nil {
		return
	}
	for line := range bytes.Lines(l.s.output.Bytes(key)) {
		serial, n, _ := untag(line)
		for _, k := range l.known[tag(serial, n)] {
			if pooled(serial) && k.at.Before(l.s.running.started) && !l.forgot[k.key] {
				l.s.violation("%s is to be asked by %s, though %s had its answer", tag(serial, n), m[1], k.submission)
			}
		}
	}
}

// owner finds the submission that the running invocation asks on demand for
// about a tag of a pool, and the row that it asks about.
func (l *ledger) owner(serial, n int) (*account, int) {
	for _, a := range l.accounts {
		if a.state == nil || a.state.Lease == nil || l.s.running == nil || !strings.HasPrefix(a.state.Lease.Owner, l.s.running.name+".") {
			continue
		}
		i := slices.IndexFunc(a.upload.rows, func(r row) bool { return r.mark == tag(serial, n) })
		if i >= 0 {
			return a, a.upload.rows[i].n
		}
	}
	return nil, 0
}

// recalled checks a result that names an earlier submission, and reports
// whether it is one.
func (s *sim) recalled(a *account, r row, o map[string]json.RawMessage, bad func(string, ...any)) bool {
	if o["known"] == nil {
		return false
	}
	var from string
	json.Unmarshal(o["known"], &from)
	if from == a.upload.id || !slices.ContainsFunc(s.ledger.known[r.mark], func(k learned) bool { return k.submission == from }) {
		bad("row %d was known from %s, which never had its answer", r.n, from)
	}
	for attempt := range 8 {
		if _, stored := a.stored[attempt][r.recordID()]; stored || a.jobs[attempt][r.recordID()] != "" {
			bad("row %d was known, and paid in attempt %d", r.n, attempt)
		}
	}
	return true
}

// newer is a state as code writes it that knows more.
func newer(state []byte) []byte {
	for _, version := range []string{`"version":1,`, fmt.Sprintf(`"version":%d,`, pipeline.StateVersion)} {
		state = bytes.Replace(state, []byte(version), fmt.Appendf(nil, `"version":%d,`, pipeline.StateVersion+1), 1)
	}
	return state
}
