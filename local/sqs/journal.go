package sqs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// journal is a queue's file: one JSON line for what happened. A nil journal
// keeps nothing. Lines are written with one call each and not synced: they
// survive the end of the process, not of the machine.
type journal struct {
	path  string
	file  *os.File
	lines int
}

// entry is one line.
type entry struct {
	Op         string            `json:"op"` // head put got del
	Attributes map[string]string `json:"attributes,omitzero"`
	Tags       map[string]string `json:"tags,omitzero"`
	Created    time.Time         `json:"created,omitzero"`
	ID         string            `json:"id,omitzero"`
	Receives   int               `json:"receives,omitzero"`
	First      time.Time         `json:"first,omitzero"`
	Message    *stored           `json:"message,omitzero"`
}

// stored is a message at rest.
type stored struct {
	Body       string               `json:"body"`
	Attributes map[string]Attribute `json:"attributes,omitzero"`
	Trace      string               `json:"trace,omitzero"`
	Sender     string               `json:"sender"`
	Source     string               `json:"source,omitzero"`
	Sent       time.Time            `json:"sent"`
	Visible    time.Time            `json:"visible"`
}

func createJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("sqs: make journal: %w", err)
	}
	return &journal{path: path, file: f}, nil
}

func (j *journal) write(e entry) error {
	if j == nil {
		return nil
	}
	b, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("sqs: journal %s: %w", j.path, err)
	}
	if _, err := j.file.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("sqs: write journal: %w", err)
	}
	j.lines++
	return nil
}

func (j *journal) put(m *message) error {
	if j == nil {
		return nil
	}
	return j.write(entry{Op: "put", ID: m.id, Receives: m.receives, First: m.first, Message: &stored{
		Body: m.body, Attributes: m.attrs, Trace: m.trace, Sender: m.sender, Source: m.source, Sent: m.sent, Visible: m.visible,
	}})
}

func (j *journal) got(m *message) error {
	return j.write(entry{Op: "got", ID: m.id, Receives: m.receives, First: m.first})
}

func (j *journal) del(id string) error { return j.write(entry{Op: "del", ID: id}) }

// fail reports an error that no caller can act on.
func (j *journal) fail(err error) { slog.Error("sqs: journal", "error", err) }

func (j *journal) close() error {
	if j == nil || j.file == nil {
		return nil
	}
	return j.file.Close()
}

// writeHead journals the queue's settings; q.mu is held or q is new.
func (q *queue) writeHead() error {
	return q.journal.write(entry{Op: "head", Attributes: q.attrs.text, Tags: q.tags, Created: q.created})
}

// compact rewrites a journal that is mostly history; q.mu is held.
func (q *queue) compact() error {
	if q.journal == nil || q.journal.lines < 10000 || q.journal.lines < 4*len(q.byID) {
		return nil
	}
	return q.rewrite()
}

// rewrite replaces the journal by one that holds what there is, oldest first;
// q.mu is held.
func (q *queue) rewrite() (err error) {
	old := q.journal
	if old == nil {
		return nil
	}
	next, err := createJournal(old.path + ".new")
	if err != nil {
		return err
	}
	q.journal = next
	defer func() {
		if err != nil {
			q.journal = old
			next.file.Close()
		}
	}()
	if err := q.writeHead(); err != nil {
		return err
	}
	for _, m := range slices.SortedFunc(maps.Values(q.byID), func(a, b *message) int { return a.sent.Compare(b.sent) }) {
		if err := next.put(m); err != nil {
			return err
		}
	}
	if err := os.Rename(next.path, old.path); err != nil {
		return fmt.Errorf("sqs: replace journal: %w", err)
	}
	next.path = old.path
	return old.close()
}

func (s *Service) journalPath(name string) string {
	return filepath.Join(s.cfg.Dir, name+".jsonl")
}

// load opens all journals. Messages that were in flight are visible: who had
// received them is gone with the process.
func (s *Service) load() error {
	paths, err := filepath.Glob(filepath.Join(s.cfg.Dir, "*.jsonl"))
	if err != nil {
		return fmt.Errorf("sqs: look for journals: %w", err)
	}
	for _, path := range paths {
		if err := s.loadQueue(strings.TrimSuffix(filepath.Base(path), ".jsonl"), path); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) loadQueue(name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sqs: open journal: %w", err)
	}
	defer f.Close()
	q := newQueue(name, defaultAttributes(), nil, s.clock)
	q.reorder = s.reorder
	var order []string
	placed := map[string]bool{}
	r := bufio.NewReaderSize(f, 1<<16)
	for line := 1; ; line++ {
		b, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break // a last line without its end was cut by a crash: it was never acknowledged
		}
		if err != nil {
			return fmt.Errorf("sqs: read journal %s: %w", path, err)
		}
		var e entry
		if err := json.Unmarshal(bytes.TrimSpace(b), &e); err != nil {
			return fmt.Errorf("sqs: journal %s, line %d: %w (remove the file to forget the queue's messages)", path, line, err)
		}
		switch e.Op {
		case "head":
			a, err := parseAttributes(defaultAttributes(), e.Attributes)
			if err != nil {
				return fmt.Errorf("sqs: journal %s, line %d: %w", path, line, err)
			}
			q.attrs, q.tags, q.created = a, maps.Clone(e.Tags), e.Created
		case "put":
			if e.Message == nil {
				return fmt.Errorf("sqs: journal %s, line %d: put without a message", path, line)
			}
			m := e.Message
			q.byID[e.ID] = &message{
				id: e.ID, body: m.Body, attrs: m.Attributes, trace: m.Trace, sender: m.Sender, source: m.Source,
				sent: m.Sent, visible: m.Visible, receives: e.Receives, first: e.First,
			}
			order = append(order, e.ID)
		case "got":
			if m := q.byID[e.ID]; m != nil {
				m.receives, m.first = e.Receives, e.First
			}
		case "del":
			delete(q.byID, e.ID)
		default:
			return fmt.Errorf("sqs: journal %s, line %d: unknown entry %q", path, line, e.Op)
		}
	}
	for _, id := range order {
		m := q.byID[id]
		if m == nil || placed[id] {
			continue // deleted, or put a second time
		}
		placed[id] = true
		if m.receives > 0 {
			m.visible = time.Time{}
		}
		q.place(m)
	}
	q.journal = &journal{path: path}
	if err := q.rewrite(); err != nil {
		return err
	}
	s.queues[name] = q
	return nil
}
