package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// requestRow is a row of a message: JSON always, and without white space, as
// it is staged.
func requestRow(s *sim, serial, n int, good bool) (string, string) {
	if !good {
		return pick(s.rnd, `42`, `{"prompt":7}`, `{"prompt":" "}`, `{}`, `{"recordId":{},"prompt":"x"}`, `null`), ""
	}
	return fmt.Sprintf(`{"id":%d,"prompt":"<Say> %s %s","other":[{"a":"}\n{"}]}`, n, tag(serial, n), pad(s)), fmt.Sprint(n)
}

// request has an application send a request message.
func (s *sim) request() {
	if !s.stormy {
		return
	}
	r := s.rnd
	u := &upload{serial: len(s.users.uploads) + 1, retries: pick(r, 0, 1, 2), at: s.clock.Now(), attribute: pick(r, "", "blue")}
	inline := r.IntN(10) < 7
	make := requestRow
	if !inline {
		make = promptRow
	}
	count := pick(r, 0, 1, 2, 3, 4, 7, 8, 9, 17, 30)
	if inline {
		count = max(count, 1)
	}
	wrong, good := pick(r, 0, 0, 0.1, 0.4), 0
	for n := 1; n <= count; n++ {
		row := row{n: n, line: n, good: !s.chance(wrong), mark: tag(u.serial, n)}
		row.raw, row.id = make(s, u.serial, n, row.good)
		if row.good {
			good++
		}
		u.rows = append(u.rows, row)
	}
	members := []string{`"bedrock-batch":1`, `"do":"request"`, fmt.Sprintf(`"workload":{"model":%q,"retries":%d}`, nova, u.retries)}
	if u.attribute != "" {
		members = append(members, fmt.Sprintf(`"attributes":{"team":%q}`, u.attribute))
	}
	if u.asked = fmt.Sprintf("order-%d", u.serial); r.IntN(4) == 0 {
		u.asked = ""
	} else {
		members = append(members, fmt.Sprintf(`"id":%q`, u.asked))
	}
	object := fmt.Sprintf("prompts/_rows-%d.jsonl", u.serial)
	switch {
	case inline:
		var rows []string
		for _, row := range u.rows {
			rows = append(rows, row.raw)
		}
		members = append(members, `"prompts":[`+strings.Join(rows, pick(r, ",", ", "))+`]`)
	default:
		o := s.input.Set(object, lines(s, u.rows))
		members = append(members, fmt.Sprintf(`"s3Uri":"s3://%s/%s"`, inputBucket, object))
		if r.IntN(2) == 0 {
			members = append(members, fmt.Sprintf(`"version":%q`, o.Version))
		}
		if s.chance(0.1) {
			s.in(s.between(0, s.w.storm), func() { s.tell("delete %s", object); s.input.Delete(bg, object); u.may = true })
		}
	}
	switch {
	case r.IntN(12) == 0:
		members, u.reject = append(members, `"modell":"x"`), "a member that is not known"
	case good == 0:
		u.reject = "no good row"
	}
	r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	body := []byte("{" + strings.Join(members, pick(r, ",", ",\n  ")) + "}")
	s.users.uploads = append(s.users.uploads, u)
	if u.asked == "" {
		// Its name is that of its message, which the queue gives.
		u.unnamed = true
		s.named(u, s.uploads.Put(body, s.delay("a request")))
	} else {
		s.named(u, u.asked)
		for s.uploads.Put(body, s.delay("a request")); s.chance(0.4); {
			// The application did not hear that it was sent.
			s.fault("%s is sent again", u.key)
			s.uploads.Put(body, pick(r, 0, 0, s.between(0, 2*s.w.storm)))
		}
	}
	s.tell("request %d: %s, %d rows, %d good, %d bytes, submission %s", u.serial, u.key, count, good, len(body), u.id)
	if s.chance(0.15) {
		s.in(s.between(0, pick(r, time.Second, 20*time.Minute, s.w.storm)), func() {
			s.tell("stop %s", u.id)
			s.uploads.Put(pipeline.Message{Do: pipeline.DoStop, Submission: u.id}.Encode(), 0)
		})
	}
}

// named gives a request the name that it is known by.
func (s *sim) named(u *upload, name string) {
	delete(s.users.byID, u.id)
	u.asked, u.key, u.id = name, "requests/"+name, pipeline.RequestID(name)
	s.users.byID[u.id] = u
}

func isRequest(body []byte) bool { return bytes.Contains(body, []byte(`"do":"request"`)) }

// redriveRequest puts a request that became a dead letter back: to the queue it
// is a new message, with an id of its own.
func (s *sim) redriveRequest(id string, body []byte) (put bool) {
	var m pipeline.Message
	if json.Unmarshal(body, &m) == nil && m.Do == pipeline.DoRequest {
		for _, u := range s.users.uploads {
			if !u.unnamed || u.asked != id {
				continue
			}
			if a := s.ledger.accounts[u.id]; a != nil && a.state != nil {
				return false // a copy of it came through: the operator sees its results
			}
			s.tell("redrive %s", u.key)
			s.named(u, s.uploads.Put(body, 0))
			return true
		}
	}
	s.tell("redrive %.200s", body)
	s.uploads.Put(body, 0)
	return true
}
