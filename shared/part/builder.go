package part

import (
	"errors"
	"fmt"
	"io"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

const (
	defaultMemory = 8 << 20
	// Files may take up to about twice of what they hold, which is to leave
	// room in a function's 512 MB of temporary storage.
	defaultHeld = 128 << 20
)

// Builder cuts rows into parts. It is used by one goroutine.
//
// Rows pass through a queue. Those of the part being filled come first; the
// first MinRecords records of a part are certain to stay in it, so they go
// straight to the sink, while the last MinRecords-1 records, with the
// set-aside rows between them, wait: they may be needed to fill up the next
// part. Once the part is full, the rows that follow wait too, until there are
// enough for a part of their own or no more come. Then the end of the part is
// settled, and what lies behind it is taken into the next part by the same
// rules as if it had just been added. So all that decides is the sequence of
// rows from the start of the part.
type Builder struct {
	quota Quota
	sink  Sink
	opt   Options

	queue queue
	// admitted is how many rows of the queue have been looked at; those
	// behind wait to be looked at again after a part has ended.
	admitted int

	// The part being filled.
	n         int
	counts    tally // of all its rows, those waiting in the queue included
	first     *bounds
	last      bounds // of its last row that has been written
	written   tally
	streams   [streams]io.Writer
	runs      [streams][]byte // what the streams are still to get of the rows that were lent
	full      bool
	rest      tally // of the rows admitted since it is full
	restStart int   // their beginning in the queue
	held      int64 // bytes of the admitted rows in the queue

	err error
}

// tally counts rows.
type tally struct {
	records int
	bytes   int64 // of records
	aside   int
	known   int
}

func (t *tally) add(r *row, sign int) {
	if r.record > 0 {
		t.records += sign
		t.bytes += int64(sign) * int64(r.record)
		return
	}
	if r.record < 0 {
		t.known += sign
		return
	}
	t.aside += sign
}

// enough: so many rows that are no records were taken that the part ends.
func (b *Builder) enough(t *tally) bool {
	return t.aside >= b.opt.MaxAside || t.known >= b.opt.MaxKnown
}

// bounds is where rows lie.
type bounds struct {
	row      int64
	at, next dataset.Position
}

// NewBuilder makes a builder that writes into sink. Close it always.
func NewBuilder(q Quota, sink Sink, opt Options) (*Builder, error) {
	if q.MinRecords < 1 || q.MaxRecords < 2*q.MinRecords || q.MaxBytes < 1 {
		return nil, fmt.Errorf("cut into parts: quota %+v: min records must be at least 1, max records at least twice that, max bytes at least 1", q)
	}
	if sink == nil {
		return nil, errors.New("cut into parts: no sink")
	}
	if opt.MaxAside <= 0 {
		opt.MaxAside = MaxAside
	}
	if opt.MaxKnown <= 0 {
		opt.MaxKnown = MaxKnown
	}
	if opt.Memory <= 0 {
		opt.Memory = defaultMemory
	}
	if opt.Held <= 0 {
		opt.Held = defaultHeld
	}
	b := &Builder{quota: q, sink: sink, opt: opt, n: opt.First}
	b.queue.store.init(opt.Memory, opt.TempDir)
	return b, nil
}

// Add takes the next row. Errors are those of the sink and of temporary
// files; after one the builder is of no more use.
func (b *Builder) Add(item Item) error {
	if err := b.Lend(item); err != nil {
		return err
	}
	return b.Own()
}

// Lend is Add of a row whose bytes do not change until Own is called: what can
// be written by then needs not be copied.
func (b *Builder) Lend(item Item) error {
	if b.err != nil {
		return b.err
	}
	if (len(item.Record) > 0) == (len(item.Aside) > 0) {
		return b.fail(fmt.Errorf("add row %d to a part: exactly one of record and set-aside line must be given", item.Row))
	}
	if (len(item.Record) > 0 || item.Known) != (len(item.Line) > 0) {
		return b.fail(fmt.Errorf("add row %d to a part: a line of the index belongs to a record or a known result, and to nothing else", item.Row))
	}
	b.queue.push(&item)
	return b.fail(b.settle())
}

// Own copies what is held back of the rows that were lent.
func (b *Builder) Own() error {
	if b.err != nil {
		return b.err
	}
	if err := b.flush(); err != nil {
		return b.fail(err)
	}
	return b.fail(b.queue.own())
}

// End says that no row follows, and completes the last parts.
func (b *Builder) End() error {
	if b.err != nil {
		return b.err
	}
	for b.full {
		if err := b.cut(true); err != nil {
			return b.fail(err)
		}
		if err := b.settle(); err != nil {
			return b.fail(err)
		}
	}
	if b.first != nil {
		if err := b.close(b.admitted); err != nil {
			return b.fail(err)
		}
	}
	b.err = errors.New("add to parts: they have been ended")
	return nil
}

// Close removes temporary files. It completes nothing and may be called
// twice, and before End.
func (b *Builder) Close() error {
	if b.err == nil {
		b.err = errors.New("add to parts: the builder is closed")
	}
	return b.queue.store.close()
}

func (b *Builder) fail(err error) error {
	if err != nil {
		b.err = err
	}
	return err
}

// settle looks at all rows of the queue that have not been looked at.
func (b *Builder) settle() error {
	for b.admitted < b.queue.len() {
		r := b.queue.at(b.admitted)
		var err error
		if b.full {
			err = b.admitRest(r)
		} else {
			err = b.admit(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take counts r, the next row to be looked at, as looked at.
func (b *Builder) take(r *row) {
	b.admitted++
	b.held += r.size()
}

// admit takes a row into the part, or finds the part full.
func (b *Builder) admit(r *row) error {
	if r.record > 0 && b.counts.records > 0 &&
		(b.counts.records == b.quota.MaxRecords || b.counts.bytes+int64(r.record) > b.quota.MaxBytes) {
		b.full = true
		b.rest = tally{}
		b.restStart = b.admitted
		return nil // looked at again as a row of the rest
	}
	if b.first == nil {
		b.first = &bounds{row: r.row, at: r.at, next: r.next}
	}
	b.take(r)
	b.counts.add(r, 1)
	if b.enough(&b.counts) {
		return b.close(b.admitted)
	}
	return b.release()
}

// release writes the rows that are certain to stay in the part.
func (b *Builder) release() error {
	for b.admitted > 0 {
		waiting := b.counts.records - b.written.records
		front := b.queue.at(0)
		certain := b.written.records < b.quota.MinRecords || waiting >= b.quota.MinRecords || b.held > b.opt.Held
		// Any other row is certain when no record that may move stands
		// before it, and those at the front have none before them.
		if front.record > 0 && !certain {
			return nil
		}
		if err := b.write(); err != nil {
			return err
		}
	}
	return nil
}

// write moves the row at the front of the queue into the part.
func (b *Builder) write() error {
	r := *b.queue.at(0)
	body, tail, err := b.queue.payload(&r)
	if err != nil {
		return err
	}
	if r.record > 0 {
		if err := b.put(Records, body); err != nil {
			return err
		}
		if err := b.put(Index, tail); err != nil {
			return err
		}
	} else if err := b.putOther(&r, body, tail); err != nil {
		return err
	}
	if r.lent == nil { // its bytes may not last
		if err := b.flush(); err != nil {
			return err
		}
	}
	b.written.add(&r, 1)
	b.last = bounds{row: r.row, at: r.at, next: r.next}
	b.queue.pop()
	b.held -= r.size()
	b.admitted--
	if b.full {
		b.restStart--
	}
	return nil
}

// putOther writes a row that is no record.
func (b *Builder) putOther(r *row, body, tail []byte) error {
	if r.record == 0 {
		return b.put(Aside, body)
	}
	if err := b.put(Known, body); err != nil {
		return err
	}
	return b.put(KnownIndex, tail)
}

// put gives bytes to a stream. Rows that were lent mostly lie one behind the
// other where they are: they are written together.
func (b *Builder) put(s Stream, bytes []byte) error {
	run := b.runs[s]
	if n := len(run); n > 0 && cap(run)-n >= len(bytes) && &run[:n+1][n] == &bytes[0] {
		b.runs[s] = run[:n+len(bytes)]
		return nil
	}
	if err := b.flushOne(s); err != nil {
		return err
	}
	b.runs[s] = bytes
	return nil
}

// flush writes what put has joined.
func (b *Builder) flush() error {
	for s := range b.runs {
		if err := b.flushOne(Stream(s)); err != nil {
			return err
		}
	}
	return nil
}

func (b *Builder) flushOne(s Stream) error {
	run := b.runs[s]
	if len(run) == 0 {
		return nil
	}
	b.runs[s] = nil
	if b.streams[s] == nil {
		w, err := b.sink.Open(b.n, s)
		if err != nil {
			return err
		}
		b.streams[s] = w
	}
	_, err := b.streams[s].Write(run)
	return err
}

// admitRest takes a row behind a full part, and settles the part's end once
// it can be.
func (b *Builder) admitRest(r *row) error {
	if r.record > 0 && b.rest.records > 0 && b.rest.bytes+int64(r.record) > b.quota.MaxBytes {
		return b.cut(false) // the rest fills a part by its bytes
	}
	if r.record > 0 && b.rest.records+1 >= b.quota.MinRecords {
		return b.cut(false) // enough for a part of its own
	}
	b.take(r)
	b.rest.add(r, 1)
	if b.enough(&b.rest) {
		return b.cut(true) // a part will end here whatever follows
	}
	return b.bound()
}

// bound keeps what waits behind a full part within its limit.
func (b *Builder) bound() error {
	for b.held > b.opt.Held {
		if b.restStart == 0 {
			return b.cut(false)
		}
		if err := b.write(); err != nil {
			return err
		}
	}
	return nil
}

// cut ends the full part. Where the rest is all that will go into the next
// part (short), and it is less than a job takes, rows from the end of the
// full part go with it, if both are legal then.
func (b *Builder) cut(short bool) error {
	at := b.restStart
	if short && b.rest.records > 0 && b.rest.records < b.quota.MinRecords {
		if moved, ok := b.move(b.quota.MinRecords - b.rest.records); ok {
			at = moved
		}
	}
	return b.close(at)
}

// move finds where the last count records of the full part begin in the
// queue; false if they cannot be moved.
func (b *Builder) move(count int) (int, bool) {
	if b.counts.records-count < b.quota.MinRecords {
		return 0, false
	}
	bytes := b.rest.bytes
	for i := b.restStart - 1; i >= 0; i-- {
		r := b.queue.at(i)
		if r.record <= 0 {
			continue
		}
		if bytes += int64(r.record); bytes > b.quota.MaxBytes {
			return 0, false
		}
		if count--; count == 0 {
			return i, true
		}
	}
	return 0, false
}

// close writes the first rows of the queue and completes the part with them.
// The rows behind are to be looked at again.
func (b *Builder) close(rows int) error {
	b.full = false
	for range rows {
		if err := b.write(); err != nil {
			return err
		}
	}
	if err := b.flush(); err != nil {
		return err
	}
	p := Part{
		N:        b.n,
		Records:  b.written.records,
		Bytes:    b.written.bytes,
		Aside:    b.written.aside,
		Known:    b.written.known,
		FirstRow: b.first.row,
		LastRow:  b.last.row,
		Source:   Source{Start: b.first.at.Off, End: b.last.next.Off},
		Small:    b.written.records > 0 && b.written.records < b.quota.MinRecords || b.written.bytes > b.quota.MaxBytes,
		Resume:   b.last.next,
	}
	if b.queue.len() > 0 {
		p.Resume = b.queue.at(0).at
	}
	b.n++
	b.admitted, b.held = 0, 0
	b.counts, b.written, b.rest = tally{}, tally{}, tally{}
	b.first = nil
	clear(b.streams[:])
	return b.sink.Closed(p)
}
