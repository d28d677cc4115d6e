package answer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
)

// Order reads the outputs of one part in one attempt and writes its rows in
// order. An error of a reader or writer ends it and is returned, what was
// written until then is of no use; bad lines are no errors.
func Order(ctx context.Context, job Job) (tally Tally, err error) {
	answers, err := model.NewReader(job.Invocation, job.Family)
	if err != nil {
		return Tally{}, err
	}
	o := &ordering{
		job: job,
		store: store{
			dir:    job.Dir,
			memory: limit(job.Memory, DefaultMemory),
			spill:  limit(job.Spill, DefaultSpill),
		},
	}
	for range sizes.workers {
		o.workers = append(o.workers, &lineReader{answers: answers, raw: job.Raw, attempt: job.Attempt, schema: job.JSON})
	}
	defer func() {
		if cerr := o.store.close(); err == nil && cerr != nil {
			err = cerr
		}
	}()
	if err := o.run(ctx); err != nil {
		return Tally{}, fmt.Errorf("order answers: %w", err)
	}
	return o.tally, nil
}

func limit(n, otherwise int64) int64 {
	switch {
	case n == 0:
		return otherwise
	case n < 0:
		return 0
	}
	return n
}

// ordering is the work of one call of Order. The slices have an element for
// each row of the part, by its position in the index.
type ordering struct {
	job     Job
	workers []*lineReader
	store   store

	index   []byte // nil: too large to be kept
	rows    []int64
	state   []outcome
	line    []int64 // the number, over all outputs, of the line that counts for the row
	lengths []int32 // of the row's tail
	at      []address

	// overflow: the store is full; the pass goes on for the sizes alone.
	overflow  bool
	stops     [len(stopReasons)]int64
	uncounted bool
	errors    errorCounter
	tally     Tally
	head      []byte
}

// stopReasons gives each stop reason a number, to count without a map.
var stopReasons = [...]model.StopReason{
	model.EndTurn, model.MaxTokens, model.StopSequence, model.ToolUse, model.Refusal, model.ContentFiltered, model.Other,
}

func (o *ordering) run(ctx context.Context) error {
	if err := o.readIndex(ctx); err != nil {
		return err
	}
	if err := o.read(ctx, nil, o.place); err != nil {
		return err
	}
	for first := 0; first < len(o.rows); {
		end := len(o.rows)
		if o.overflow {
			var err error
			if end, err = o.hold(ctx, first); err != nil {
				return err
			}
		}
		if err := o.write(ctx, first, end); err != nil {
			return err
		}
		first = end
	}
	o.finish()
	return nil
}

// read passes over the outputs once.
func (o *ordering) read(ctx context.Context, wanted []int64, commit func(*block) error) error {
	o.tally.Passes++
	r := reading{
		outputs: o.job.Outputs, sizes: sizes, workers: o.workers, wanted: wanted, commit: commit,
		position: o.position,
	}
	return r.run(ctx)
}

// place takes the lines of the first pass. The first answer of a row counts,
// else its first failure.
func (o *ordering) place(b *block) error {
	var at address
	if size := o.store.size(); !o.overflow && size+int64(len(b.out)) > o.store.capacity() && (size > 0 || len(b.lines) > 1) {
		o.overflow = true
		if err := o.store.reset(); err != nil {
			return err
		}
	}
	if !o.overflow {
		var err error
		if at, err = o.hand(b); err != nil {
			return err
		}
	}
	for i := range b.lines {
		l := &b.lines[i]
		switch {
		case !l.hasID:
			o.tally.Unreadable++
			continue
		case l.row < 0:
			o.tally.Foreign++
			continue
		}
		pos := l.pos
		if o.state[pos] != none {
			o.tally.Duplicate++
			if o.state[pos] == answered || l.what != answered {
				continue
			}
		}
		if l.what == answered {
			o.countAnswer(l)
		}
		o.state[pos], o.line[pos], o.lengths[pos] = l.what, b.first+l.line, int32(l.tail.end-l.tail.start)
		o.at[pos] = at + address(l.tail.start)
	}
	return nil
}

// hand gives the tails of a block to the store.
func (o *ordering) hand(b *block) (at address, err error) {
	at, taken, err := o.store.add(b.out)
	if taken {
		b.out = nil
	}
	return at, err
}

func (o *ordering) countAnswer(l *placed) {
	o.tally.InputTokens += l.in
	o.tally.OutputTokens += l.out
	if !l.counted {
		o.uncounted = true
	}
	i := slices.Index(stopReasons[:], l.stop)
	o.stops[max(i, 0)]++
}

// hold reads the outputs again for as many rows from position first on as the
// store has room for, at least one with a tail, and holds their tails.
func (o *ordering) hold(ctx context.Context, first int) (end int, err error) {
	if err := o.store.reset(); err != nil {
		return 0, err
	}
	type place struct {
		line int64
		pos  int
	}
	var places []place
	var sum int64
	for end = first; end < len(o.rows); end++ {
		if o.state[end] == none {
			continue
		}
		n := int64(o.lengths[end])
		if len(places) > 0 && sum+n > o.store.capacity() {
			break
		}
		sum += n
		places = append(places, place{o.line[end], end})
	}
	if len(places) == 0 {
		return end, nil
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.line, b.line) })
	wanted := make([]int64, len(places))
	for i, p := range places {
		wanted[i] = p.line
	}
	next := 0
	err = o.read(ctx, wanted, func(b *block) error {
		at, err := o.hand(b)
		if err != nil {
			return err
		}
		for i := range b.lines {
			l := &b.lines[i]
			p := places[next]
			if b.first+l.line != p.line || l.row != o.rows[p.pos] || l.tail.end-l.tail.start != int(o.lengths[p.pos]) {
				return errChanged
			}
			o.at[p.pos] = at + address(l.tail.start)
			next++
		}
		return nil
	})
	if err == nil && next < len(places) {
		err = errChanged
	}
	return end, err
}

// errChanged: see Output.Open.
var errChanged = errors.New("an output file read differently the second time")

// write writes the rows of the positions from first up to end.
func (o *ordering) write(ctx context.Context, first, end int) error {
	pos := 0
	return o.entries(ctx, false, func(e part.Entry) error {
		p := pos
		pos++
		switch {
		case p < first:
			return nil
		case p >= end:
			return errEnough
		case p >= len(o.rows) || o.rows[p] != e.Row:
			return errors.New("the index read differently the second time")
		}
		if o.state[p] == answered {
			return o.writeResult(p, e)
		}
		return o.writeFailed(p, e)
	})
}

func (o *ordering) writeResult(p int, e part.Entry) error {
	tail, err := o.store.get(o.at[p], int(o.lengths[p]))
	if err != nil {
		return err
	}
	h := append(appendRecordID(append(o.head[:0], `{"recordId":"`...), e.Row), `","row":`...)
	h = strconv.AppendInt(h, e.Row, 10)
	if e.ID != nil {
		h = append(append(h, `,"id":`...), e.ID...)
	}
	if e.Source != part.NoSource && o.job.Source != nil {
		key, err := o.job.Source(e.Source)
		if err != nil {
			return fmt.Errorf("row %d: name its source %d: %w", e.Row, e.Source, err)
		}
		h = append(cursor.AppendQuoted(append(h, `,"source":"`...), key), '"')
	}
	o.head = h
	o.tally.Answered++
	return writeLine(o.job.Results, "results", h, tail)
}

func (o *ordering) writeFailed(p int, e part.Entry) error {
	h := strconv.AppendInt(append(o.head[:0], `{"row":`...), e.Row, 10)
	h = append(appendRecordID(append(h, `,"recordId":"`...), e.Row), '"')
	if e.ID != nil {
		h = append(append(h, `,"id":`...), e.ID...)
	}
	if e.Source != part.NoSource {
		h = strconv.AppendInt(append(h, `,"source":`...), int64(e.Source), 10)
	}
	h = strconv.AppendInt(append(h, `,"off":`...), e.Off, 10)
	h = strconv.AppendInt(append(h, `,"len":`...), e.Len, 10)
	o.head = h
	if o.state[p] == none {
		o.tally.Missing++
		return writeLine(o.job.Failed, "failed rows", h, missingTail)
	}
	tail, err := o.store.get(o.at[p], int(o.lengths[p]))
	if err != nil {
		return err
	}
	f, err := readTail(tail)
	if err != nil {
		return fmt.Errorf("row %d: %w", e.Row, err)
	}
	o.tally.Failed++
	if f.Retryable {
		o.tally.Retryable++
	}
	o.errors.add(f.Code, f.Message, 1)
	return writeLine(o.job.Failed, "failed rows", h, tail)
}

var missingTail = appendFailure(nil, model.Failure{Code: CodeMissing, Message: "the job's output has no line for this row"}, true, true, nil, nil)

func writeLine(w io.Writer, what string, head, tail []byte) error {
	_, err := w.Write(head)
	if err == nil {
		_, err = w.Write(tail)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", what, err)
	}
	return nil
}

// finish completes the tally.
func (o *ordering) finish() {
	t := &o.tally
	t.Records = int64(len(o.rows))
	t.TokensKnown = !o.uncounted
	t.Errors = o.errors.list()
	for i, n := range o.stops {
		if n > 0 {
			if t.StopReasons == nil {
				t.StopReasons = map[string]int64{}
			}
			t.StopReasons[string(stopReasons[i])] = n
		}
	}
}
