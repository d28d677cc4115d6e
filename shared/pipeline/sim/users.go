package sim

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// Quotas are small, so that few rows make many parts.
const (
	minRecords   = 3
	maxRecords   = 8
	maxFileBytes = 2500
	maxParts     = 30
)

const (
	nova   = "us.amazon.nova-lite-v1:0"
	claude = "anthropic.claude-3-haiku-20240307-v1:0"
)

func (s *sim) settings() config.Settings {
	set := config.Default()
	set.Quotas = config.Quotas{MinRecords: minRecords, MaxRecords: maxRecords, MaxFileBytes: maxFileBytes}
	set.OnDemandConcurrency = s.seats // few enough that a slice never has two
	set.Parallel = 1                  // what runs at once must do so in a known order
	set.MaxParts = maxParts
	return set
}

// users is what people do.
type users struct {
	uploads  []*upload
	rounds   []*upload // of gathered folders, as uploads
	byID     map[string]*upload
	deniedTo time.Time // until then the job role cannot be used yet
	slots    int
	since    time.Time     // when they came to be so many
	noSlots  time.Duration // how long there were none
}

// cursed reports whether a key is of the first upload's submission.
func (u *users) cursed(key string) bool {
	return len(u.uploads) > 0 && strings.Contains(key, u.uploads[0].id)
}

func (u *users) denied(now time.Time) bool { return now.Before(u.deniedTo) }

// upload is one version of one object that somebody put.
type upload struct {
	serial  int
	key     string
	version string
	id      string // of its submission
	rows    []row
	retries int
	reject  string // why it must be rejected; empty: it must not
	may     bool   // it may be rejected: settings come late, or it was deleted
	older   bool   // a newer version was put
	// gathered: it becomes part of a folder's rounds; rounds are those that
	// took it, round the last.
	gathered bool
	rounds   int
	round    string
	at       time.Time
	// asked is the name of a request, unnamed one that gives itself none;
	// attribute is one that it gives its notice.
	asked     string
	unnamed   bool
	attribute string
}

// row is one row of an upload.
type row struct {
	n, line int
	mark    string // is in its prompt and comes back in its answer
	source  string // the object's key, in a folder's round
	raw     string
	good    bool
	id      string // the user's, as JSON
}

func (r row) recordID() string { return fmt.Sprintf("r%010d", r.n) }

// tag is in a row's prompt, and comes back in its answer.
func tag(serial, n int) string { return fmt.Sprintf("t%d.%d.", serial, n) }

var tags = regexp.MustCompile(`t(\d+)\.(\d+)\.`)

// untag finds the first tag in a text.
func untag(text []byte) (serial, n int, ok bool) {
	m := tags.FindSubmatch(text)
	if m == nil {
		return 0, 0, false
	}
	serial, _ = strconv.Atoi(string(m[1]))
	n, _ = strconv.Atoi(string(m[2]))
	return serial, n, true
}

// folder is a place to upload to, with its settings.
type folder struct {
	name, settings, ext string
	reject              bool
	gather              bool
	retries             int
	small               bool // small: reject
	pool                int  // of its rows, 0: each is new
	row                 func(s *sim, serial, n int, good bool) (raw, id string)
	write               func(s *sim, rows []row) []byte
}

var folders = []folder{
	{name: "prompts", ext: ".jsonl", settings: "model: " + nova + "\n", retries: 1, row: promptRow, write: lines},
	{name: "native", ext: ".jsonl", settings: "model: " + claude + "\nretries: 2\n", retries: 2, row: nativeRow, write: lines},
	{name: "raw/deep", ext: ".jsonl", settings: "model: " + nova + "\nretries: 0\noutput: {raw: true}\nprompt_template: 'Say {question} {{x}}'\n", row: templateRow, write: lines},
	{name: "tables", ext: ".csv", settings: "model: " + nova + "\nprompt_template: 'Say {question}'\nnotice: {attributes: {team: blue}}\n", retries: 1, row: tableRow, write: table},
	{name: "arrays", ext: ".json", settings: "model: " + nova + "\nprompt_template: 'Say {question}'\n", retries: 1, row: templateRow, write: array},
	{name: "packed", ext: ".jsonl.gz", settings: "model: " + nova + "\n", retries: 1, row: promptRow, write: packed},
	{name: "big only", ext: ".jsonl", settings: "model: " + nova + "\nsmall: reject\n", retries: 1, small: true, row: promptRow, write: lines},
	{name: "wrong", ext: ".jsonl", settings: "modle: " + nova + "\n", reject: true, row: promptRow, write: lines},
	{name: "dear", ext: ".jsonl", settings: "model: " + nova + "\nlimits: {max_records: 2}\n", reject: true, row: promptRow, write: lines},
	{name: "docs", ext: ".txt", settings: "model: " + nova + "\nprompt_template: 'Sum up {content}'\n", retries: 1, gather: true, row: documentRow, write: document},
	{name: "expected", ext: ".md", settings: "model: " + nova + "\nprompt_template: 'Sum up {content}'\ngather: {quiet: 20m, expect: 3}\n", retries: 1, gather: true, row: documentRow, write: document},
	{name: "quiet", ext: ".jsonl", settings: "model: " + nova + "\ngather: {quiet: 2m}\n", retries: 1, gather: true, row: promptRow, write: lines},
	{name: "urgent", ext: ".jsonl", settings: "model: " + nova + "\ninference: {max_tokens: 1000}\ndeadline: {after: 15m, max_cost_usd: 0.005}\n", retries: 1, row: promptRow, write: lines},
	{name: "known", ext: ".jsonl", settings: "model: " + nova + "\nonly_new: true\n", retries: 1, pool: firstPool, row: repeatedRow, write: lines},
	{name: "known tables", ext: ".csv", settings: "model: " + nova + "\nonly_new: true\nretries: 0\nprompt_template: 'Say {question}'\n", pool: firstPool + 1, row: repeatedTableRow, write: table},
	{name: "known packed", ext: ".jsonl.gz", settings: "model: " + nova + "\nonly_new: true\n", retries: 1, pool: firstPool + 2, row: repeatedRow, write: packed},
	{name: "late", ext: ".jsonl", settings: "model: " + nova + "\n", retries: 1, row: promptRow, write: lines},
}

// urgent is the folder with a deadline.
func urgent() folder {
	return folders[slices.IndexFunc(folders, func(f folder) bool { return f.name == "urgent" })]
}

func pad(s *sim) string { return strings.Repeat("x", s.rnd.IntN(pick(s.rnd, 20, 20, 20, 400))) }

func promptRow(s *sim, serial, n int, good bool) (string, string) {
	if !good {
		return pick(s.rnd, `{"prompt": "`, `42`, `{"prompt": 7}`, `{"prompt": " "}`, `{}`, "{\"prompt\": \"\xff\"}", `{"recordId": {}, "prompt": "x"}`) + strings.Repeat(" ", s.rnd.IntN(2)), ""
	}
	prompt := fmt.Sprintf("Say %s %s", tag(serial, n), pad(s))
	if s.rnd.IntN(60) == 0 {
		prompt += strings.Repeat("y", maxFileBytes)
	}
	switch s.rnd.IntN(3) {
	case 0:
		return fmt.Sprintf(`{"prompt": "%s"}`, prompt), ""
	case 1:
		return fmt.Sprintf(`{"recordId": "row %d", "prompt": "%s"}`, n, prompt), fmt.Sprintf(`"row %d"`, n)
	}
	return fmt.Sprintf(`{"prompt": "%s", "id": %d, "other": [{"a": "}\n{"}]}`, prompt, n), strconv.Itoa(n)
}

func nativeRow(s *sim, serial, n int, good bool) (string, string) {
	if !good {
		return pick(s.rnd, `{"modelInput": [1]}`, `{"recordId": "a"}`, `nothing`, `{"modelInput": {"a": }}`), ""
	}
	id := fmt.Sprintf(`"n-%d"`, n)
	return fmt.Sprintf(`{"recordId": %s, "modelInput": {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "%s %s"}]}}`, id, tag(serial, n), pad(s)), id
}

func templateRow(s *sim, serial, n int, good bool) (string, string) {
	if !good {
		return pick(s.rnd, `{"nothing": 1}`, `7`, `"text"`), ""
	}
	return fmt.Sprintf(`{"question": "%s %s", "custom_id": "c%d"}`, tag(serial, n), pad(s), n), fmt.Sprintf(`"c%d"`, n)
}

func tableRow(s *sim, serial, n int, good bool) (string, string) {
	if !good {
		return fmt.Sprintf("%d,too,many", n), ""
	}
	return fmt.Sprintf(`%d,"%s, ""%s"""`, n, tag(serial, n), pad(s)), fmt.Sprintf(`"%d"`, n)
}

// lines writes JSON lines as people's tools do: with either line end, blank
// lines between, with or without a last end.
func lines(s *sim, rows []row) []byte {
	end := pick(s.rnd, "\n", "\n", "\r\n")
	var b bytes.Buffer
	if s.rnd.IntN(10) == 0 {
		b.WriteString("\xef\xbb\xbf")
	}
	line := 1
	for i := range rows {
		for s.rnd.IntN(12) == 0 {
			b.WriteString(pick(s.rnd, "", "  ") + end)
			line++
		}
		rows[i].line = line
		b.WriteString(rows[i].raw)
		if i < len(rows)-1 || s.rnd.IntN(2) == 0 {
			b.WriteString(end)
		}
		line++
	}
	return b.Bytes()
}

func documentRow(s *sim, serial, n int, _ bool) (string, string) {
	return fmt.Sprintf("A text.\nIt says %s\n%s", tag(serial, n), pad(s)), ""
}

func document(_ *sim, rows []row) []byte {
	rows[0].line = 1
	return []byte(rows[0].raw)
}

func packed(s *sim, rows []row) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(lines(s, rows))
	z.Close()
	return b.Bytes()
}

func table(s *sim, rows []row) []byte {
	end := pick(s.rnd, "\n", "\r\n")
	var b bytes.Buffer
	b.WriteString("id,question" + end)
	for i := range rows {
		rows[i].line = i + 2
		b.WriteString(rows[i].raw + end)
	}
	return b.Bytes()
}

func array(s *sim, rows []row) []byte {
	var b bytes.Buffer
	b.WriteString("[\n")
	for i := range rows {
		rows[i].line = i + 2
		b.WriteString(rows[i].raw)
		if i < len(rows)-1 {
			b.WriteString(",")
		}
		b.WriteString("\n")
	}
	b.WriteString("]")
	return b.Bytes()
}

// arrange plans what people do during the storm.
func (s *sim) arrange() {
	r := s.rnd
	s.users.byID = map[string]*upload{}
	for _, f := range folders {
		set := func() { s.input.Set(f.name+"/workload.yaml", []byte(f.settings)) }
		if f.name == "late" {
			s.in(s.between(0, s.w.storm/2), set)
			continue
		}
		set()
	}
	drops := s.w.storm / 2
	if s.w.siege || s.w.drought {
		drops = 4 * time.Hour
	}
	if s.w.siege {
		for _, model := range []string{nova, claude} {
			s.siege(model)
		}
	}
	n := 1 + r.IntN(3)
	if r.IntN(8) == 0 {
		n = 6
	}
	for range n {
		f := folders[r.IntN(len(folders))]
		if r.IntN(3) == 0 {
			f = folders[0]
		} else if r.IntN(5) == 0 {
			f = urgent()
		}
		if f.pool > 0 { // the same comes again
			for range 1 + r.IntN(3) {
				s.in(s.between(0, s.w.storm), func() { s.drop(f, "") })
			}
		}
		at := s.between(0, drops)
		s.in(at, func() { s.drop(f, "") })
		if !f.gather && !s.w.drought && r.IntN(8) == 0 { // somebody drops several small ones at once
			for range 1 + r.IntN(4) {
				s.in(at+s.between(0, 2*time.Second), func() { s.dropRows(f, "", pick(r, 1, 2, 2)) })
			}
		}
		if f.gather {
			for range r.IntN(6) {
				s.in(at+s.between(0, pick(r, time.Minute, 10*time.Minute)), func() { s.drop(f, "") })
			}
		}
	}
	for s.chance(0.3) {
		s.in(s.between(0, drops), s.request)
	}
	if s.chance(0.15) {
		s.in(s.between(0, s.w.storm), func() {
			s.fault("paused")
			s.output.Set("control/pause", []byte("{}"))
			s.ledger.paused()
		})
		s.in(s.between(0, s.w.storm), func() {
			s.output.Delete(bg, "control/pause")
			s.tell("no longer paused")
			s.ledger.unpaused()
		})
	}
	if s.chance(0.1) {
		s.in(s.between(0, s.w.storm/2), func() {
			s.users.deniedTo = s.clock.Now().Add(s.between(0, 4*time.Minute))
			s.fault("the job role cannot be used until %s", s.since(s.users.deniedTo))
		})
	}
	for s.chance(0.3) {
		slots := pick(r, -1, 1, 2, 3)
		s.in(s.between(0, s.w.storm), func() {
			if s.stormy && !s.w.siege {
				s.fault("%d slots now", slots)
				s.setSlots(slots)
			}
		})
	}
	for s.chance(0.4) {
		s.in(s.between(0, s.w.storm), s.somebodyElsesJob)
	}
	for s.chance(0.3) {
		s.in(s.between(0, s.w.storm), s.forget)
	}
	if s.chance(0.1) {
		s.in(s.between(0, s.w.storm), s.upgrade)
	}
}

// setSlots changes the quota and counts how long there was none.
func (s *sim) setSlots(n int) {
	if s.users.slots < 0 {
		s.users.noSlots += s.clock.Now().Sub(s.users.since)
	}
	s.users.slots, s.users.since = n, s.clock.Now()
	s.bedrock.SetSlots(n)
}

// drop puts an upload; key names one that is to be overwritten.
func (s *sim) drop(f folder, key string) {
	s.dropRows(f, key, pick(s.rnd, 0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 16, 17, 20, 30))
}

func (s *sim) dropRows(f folder, key string, count int) {
	if !s.stormy {
		return
	}
	r := s.rnd
	u := &upload{serial: len(s.users.uploads) + 1, key: key, retries: f.retries, at: s.clock.Now(), gathered: f.gather}
	if key == "" {
		u.key = f.name + "/" + pick(r, "", "", "sub/", "a=b/c d/") + fmt.Sprintf("%s-%d", pick(r, "rows", "a+b %41 ü", "x&y#z"), u.serial) + f.ext
	}
	wrong := pick(r, 0, 0, 0.1, 0.4)
	if r.IntN(20) == 0 {
		wrong = 1
	}
	if f.ext == ".txt" || f.ext == ".md" {
		count, wrong = 1, 0
	}
	good := 0
	drawn := r.Perm(poolSize)
	for n := 1; n <= count; n++ {
		serial, k := u.serial, n
		if f.pool > 0 {
			serial, k = f.pool, drawn[n-1]
		}
		row := row{n: n, good: !s.chance(wrong), mark: tag(serial, k)}
		row.raw, row.id = f.row(s, serial, k, row.good)
		if row.good {
			good++
		}
		u.rows = append(u.rows, row)
	}
	body := f.write(s, u.rows)
	switch {
	case f.reject && good > 2 || f.name == "wrong":
		u.reject = "its settings"
	case good == 0:
		u.reject = "no good row"
	case f.small && good < minRecords:
		u.reject = "too few rows"
	case f.name == "late":
		u.may = true
	}
	s.users.uploads = append(s.users.uploads, u)
	for _, other := range s.users.uploads {
		if other != u && other.key == u.key {
			other.older = true
		}
	}
	o := s.input.Set(u.key, body)
	u.version = o.Version
	u.id = pipeline.SubmissionID(pipeline.Upload{Bucket: inputBucket, Key: u.key, VersionID: o.Version})
	if !u.gathered {
		s.users.byID[u.id] = u
	}
	s.tell("upload %d: %s, %d rows, %d good, %d bytes, submission %s", u.serial, u.key, count, good, len(body), u.id)
	soon := pick(r, time.Second, time.Minute, 20*time.Minute, s.w.storm)
	if s.chance(0.1) {
		s.in(s.between(0, soon), func() { s.drop(f, u.key) })
	}
	if s.chance(0.04) {
		s.in(s.between(0, soon), func() {
			s.tell("delete %s", u.key)
			s.input.Delete(bg, u.key)
			for _, other := range s.users.uploads {
				if other.key == u.key {
					other.may = true
				}
			}
		})
	}
	if s.chance(0.2) || s.w.plan.call == "Jobs.Stop" {
		s.in(s.between(0, soon), func() {
			id := u.id
			if u.gathered {
				id = u.round
			}
			s.tell("stop %s", id)
			s.uploads.Put(pipeline.Message{Do: pipeline.DoStop, Submission: id}.Encode(), 0)
		})
	}
	if s.chance(0.1) { // delivered again, much later
		s.in(s.between(0, 2*s.w.storm), func() {
			s.fault("the news of %s come again", u.key)
			s.send(s.record(o))
		})
	}
}

// notify is S3's: it tells of every object that was put.
func (s *sim) notify(o batch.Object) {
	if s.chance(0.1) && s.users.byID != nil && len(s.users.uploads) > 1 {
		// One message may hold several records.
		other := s.users.uploads[s.rnd.IntN(len(s.users.uploads))]
		if other.version != "" {
			if old, err := s.input.Stat(bg, other.key, other.version); err == nil {
				s.send(s.record(old), s.record(o))
				return
			}
		}
	}
	s.send(s.record(o))
}

func (s *sim) record(o batch.Object) json.RawMessage {
	key := strings.ReplaceAll(url.QueryEscape(o.Key), "%2F", "/")
	return json.RawMessage(fmt.Sprintf(`{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-east-1","eventTime":"2026-11-02T10:15:30.123Z","eventName":"ObjectCreated:Put","s3":{"s3SchemaVersion":"1.0","configurationId":"uploads","bucket":{"name":"%s"},"object":{"key":"%s","size":%d,"eTag":"%s","versionId":"%s","sequencer":"00"}}}`, inputBucket, key, o.Size, o.ETag, o.Version))
}

func (s *sim) send(records ...json.RawMessage) {
	body, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		panic(err)
	}
	s.uploads.Put(body, s.delay("an S3 notification"))
}

func isNotification(body []byte) bool { return bytes.Contains(body, []byte(`"Records":[`)) }

// delay is how long a message takes to its queue.
func (s *sim) delay(what string) time.Duration {
	if s.chance(s.w.late) {
		d := s.between(time.Minute, 3*time.Hour)
		s.fault("%s comes %v late", what, d)
		return d
	}
	return s.between(0, 2*time.Second)
}

// upgrade has a newer version of the product write a state for a while.
func (s *sim) upgrade() {
	var open []*account
	for _, u := range append(s.users.uploads[:len(s.users.uploads):len(s.users.uploads)], s.users.rounds...) {
		if a := s.ledger.accounts[u.id]; a != nil && a.state != nil && !a.state.State.Terminal() {
			open = append(open, a)
		}
	}
	if len(open) == 0 {
		return
	}
	a := open[s.rnd.IntN(len(open))]
	key := "submissions/" + a.upload.id + "/submission.json"
	body := s.output.Bytes(key)
	newer := newer(body)
	s.fault("a newer version writes %s", key)
	s.output.Set(key, newer)
	a.newer = true
	a.excuses++ // a notice may be published whose state it does not let be written
	s.in(s.between(time.Minute, 3*time.Hour), func() {
		if !bytes.Equal(s.output.Bytes(key), newer) {
			s.violation("the state of %s, written by a newer version, was rewritten", a.upload.id)
		}
		a.newer = false
		var old map[string]json.RawMessage
		json.Unmarshal(body, &old)
		old["writer"] = json.RawMessage(`"newer/1"`)
		back, _ := json.Marshal(old)
		s.tell("%s is the old version's again", key)
		s.output.Set(key, back)
	})
}
