package part

import (
	"errors"
	"fmt"
	"os"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

// row is a row in the queue. Its bytes, the record with its line of the index
// behind it (the known result likewise) or the set-aside line, lie in the
// store; those of a row that has just come still lie with the caller.
type row struct {
	record   int // size of the record, 0 for a set-aside row, less for a known one
	row      int64
	at, next dataset.Position
	span     span
	lent     []byte // the record or set-aside line at the caller's
	line     []byte // the line of the index there
	bytes    int64  // in all
}

func (r *row) size() int64 { return r.bytes }

// queue is first in, first out. It is a ring, so that nothing is allocated
// for a row.
type queue struct {
	ring        []row
	head, count int
	lent        int // so many of the last rows lie with the caller
	store       store
	buffer      []byte
}

func (q *queue) len() int { return q.count }

func (q *queue) at(i int) *row { return &q.ring[(q.head+i)%len(q.ring)] }

// push takes a row, whose bytes stay with the caller until own.
func (q *queue) push(item *Item) {
	if q.count == len(q.ring) {
		grown := make([]row, max(256, 2*len(q.ring)))
		for i := range q.count {
			grown[i] = *q.at(i)
		}
		q.ring, q.head = grown, 0
	}
	r := row{record: len(item.Record), row: item.Row, at: item.At, next: item.Next, lent: item.Record, line: item.Line}
	if r.record == 0 {
		r.lent = item.Aside
		if item.Known {
			r.record = -len(item.Aside)
		}
	}
	r.bytes = int64(len(r.lent) + len(r.line))
	q.count++
	q.lent++
	*q.at(q.count - 1) = r
}

// own copies what still lies with the caller.
func (q *queue) own() error {
	for i := q.count - q.lent; i < q.count; i++ {
		r := q.at(i)
		var err error
		if r.span, err = q.store.put(r.lent, r.line); err != nil {
			return fmt.Errorf("hold back row %d: %w", r.row, err)
		}
		r.lent, r.line = nil, nil
	}
	q.lent = 0
	return nil
}

// payload is the bytes of a row, and behind them its line of the index, valid
// until the next call of any method.
func (q *queue) payload(r *row) (body, tail []byte, err error) {
	if r.lent != nil {
		return r.lent, r.line, nil
	}
	bytes, err := q.store.get(r.span, &q.buffer)
	if err != nil {
		return nil, nil, fmt.Errorf("take row %d back: %w", r.row, err)
	}
	if r.record == 0 {
		return bytes, nil, nil
	}
	size := max(r.record, -r.record)
	return bytes[:size], bytes[size:], nil
}

func (q *queue) pop() {
	r := q.at(0)
	if r.lent != nil {
		q.lent--
	} else {
		q.store.drop(r.span)
	}
	*r = row{}
	q.head = (q.head + 1) % len(q.ring)
	q.count--
}

// span is where bytes lie in the store.
type span struct {
	arena int
	off   int64
	size  int
}

// store keeps bytes that come and go in the order of a queue: in memory up to
// a limit, then in temporary files. There are two arenas in memory and two in
// files. One of a pair is written to while the other, older one empties; then
// they change places. So neither memory nor files grow beyond a small
// multiple of what they hold.
type store struct {
	arenas [4]arena // two in memory, two files
	limit  int64    // of one arena in memory
	dir    string
	// current are the arenas of each pair that are written to.
	current [2]int
}

type arena struct {
	memory []byte
	file   *os.File
	used   int64 // end of what has been written
	live   int64 // bytes not dropped
	name   string
}

// minFile is how far a file is written before it may change places.
const minFile = 64 << 20

func (s *store) init(memory int, dir string) {
	s.limit = int64(memory / 2)
	s.dir = dir
	s.current = [2]int{0, 2}
}

// put stores body and tail, one behind the other.
func (s *store) put(body, tail []byte) (span, error) {
	size := int64(len(body) + len(tail))
	if i, ok := s.room(0, size, s.limit); ok {
		a := &s.arenas[i]
		at := span{arena: i, off: a.used, size: int(size)}
		a.memory = append(append(a.memory[:a.used], body...), tail...)
		a.used += size
		a.live += size
		return at, nil
	}
	i, ok := s.room(1, size, minFile)
	if !ok {
		i = s.current[1] // the file grows
	}
	a := &s.arenas[i]
	if a.file == nil {
		file, err := os.CreateTemp(s.dir, "held-back-*")
		if err != nil {
			return span{}, err
		}
		a.file, a.name = file, file.Name()
	}
	if _, err := a.file.WriteAt(body, a.used); err != nil {
		return span{}, err
	}
	if _, err := a.file.WriteAt(tail, a.used+int64(len(body))); err != nil {
		return span{}, err
	}
	at := span{arena: i, off: a.used, size: int(size)}
	a.used += size
	a.live += size
	return at, nil
}

// room finds the arena of a pair that takes size more bytes below its limit.
func (s *store) room(pair int, size, limit int64) (int, bool) {
	i := s.current[pair]
	if a := &s.arenas[i]; a.live == 0 {
		a.used = 0
	}
	if s.arenas[i].used+size <= limit {
		return i, true
	}
	other := i ^ 1
	if s.arenas[other].live == 0 {
		s.arenas[other].used = 0
		if size <= limit {
			s.current[pair] = other
			return other, true
		}
	}
	return i, false
}

// get reads a span; buffer is for spans in files.
func (s *store) get(at span, buffer *[]byte) ([]byte, error) {
	a := &s.arenas[at.arena]
	if a.file == nil {
		return a.memory[at.off : at.off+int64(at.size)], nil
	}
	if cap(*buffer) < at.size {
		*buffer = make([]byte, at.size)
	}
	read := (*buffer)[:at.size]
	if _, err := a.file.ReadAt(read, at.off); err != nil {
		return nil, err
	}
	return read, nil
}

// drop gives up a span.
func (s *store) drop(at span) { s.arenas[at.arena].live -= int64(at.size) }

func (s *store) close() error {
	var all []error
	for i := range s.arenas {
		a := &s.arenas[i]
		if a.file == nil {
			continue
		}
		all = append(all, a.file.Close(), os.Remove(a.name))
		a.file = nil
	}
	return errors.Join(all...)
}
