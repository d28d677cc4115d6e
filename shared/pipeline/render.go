package pipeline

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
	"github.com/bedrock-batch/bedrock-batch/shared/prompt"
)

// renderers is how many batches are rendered at once.
var renderers = max(1, min(4, runtime.GOMAXPROCS(0)))

// spare is how many more batches there are, so that a stage which the machine
// keeps waiting does not stop the others at once.
const spare = 4

// lone is the size from which a batch travels alone, so that few large rows
// are held at once.
const lone = 4 << 20

// rendered is a batch of rows on its way from the reader over a renderer to
// the one who adds them to parts in order.
type rendered struct {
	batch dataset.Batch
	rows  []renderedRow
	out   []byte // records and set-aside lines
	lines []byte // of the index
	// contents are the rows' by which a memory knows them; none without one.
	contents []content
	asked    int64 // the longest answer asked for so far
	done     chan struct{}
}

// renderedRow is a row made ready: its record, or its line of set-aside.jsonl.
type renderedRow struct {
	start, end int // in out
	line       int // where its line of the index ends in lines; it begins where the one before ends
	aside      bool
	known      bool // it is the line of its result
	entry      part.Entry
	raw        []byte
	next       dataset.Position
}

// stream turns batches into items of the builder until the object ends: one
// goroutine reads, several render, and this one writes.
func (p *preparing) stream(ctx context.Context, batches *dataset.Batches, format dataset.Format, builder *part.Builder, from place) error {
	at, err := from.tell(batches.Position())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	count := renderers + spare
	free := make(chan *rendered, count)
	work, ordered := make(chan *rendered, count), make(chan *rendered, count)
	for range count {
		free <- &rendered{done: make(chan struct{}, 1)}
	}
	var group sync.WaitGroup
	defer group.Wait() // the object is closed behind it
	defer cancel()
	var each []*prompt.Renderer
	for range renderers {
		renderer, err := prompt.NewRenderer(p.w, format)
		if err != nil {
			return err
		}
		each = append(each, renderer)
	}
	var readErr error
	group.Go(func() {
		defer close(ordered)
		defer close(work)
		readErr = readBatches(ctx, batches, free, count, func(b *rendered) { ordered <- b; work <- b })
	})
	for _, renderer := range each {
		looker := batches.Looker()
		group.Go(func() {
			for b := range work {
				b.render(looker, renderer, from)
				if p.memory != nil {
					b.summon()
				}
				b.done <- struct{}{}
			}
		})
	}
	for b := range ordered {
		<-b.done
		if p.memory != nil {
			if err := p.memory.look(ctx, b, from); err != nil {
				return err
			}
		}
		if at, err = p.addAll(b, at, builder, from); err != nil {
			return err
		}
		if b.batch.Size() > lone {
			b.batch.Drop()
		}
		if cap(b.out) > lone {
			b.out = nil
		}
		free <- b
	}
	if readErr != io.EOF {
		return p.readError(readErr, from)
	}
	return nil
}

// readBatches reads batches into free ones until there is an error.
func readBatches(ctx context.Context, batches *dataset.Batches, free chan *rendered, count int, emit func(*rendered)) error {
	take := func() (*rendered, error) {
		select {
		case b := <-free:
			return b, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	for {
		b, err := take()
		if err != nil {
			return err
		}
		if err := batches.Next(&b.batch); err != nil {
			return err
		}
		if b.batch.Size() <= lone {
			emit(b)
			continue
		}
		others := make([]*rendered, 0, count)
		for len(others) < count-1 {
			o, err := take()
			if err != nil {
				return err
			}
			others = append(others, o)
		}
		emit(b)
		if b, err = take(); err != nil { // it is back: its memory is free
			return err
		}
		for _, o := range append(others, b) {
			free <- o
		}
	}
}

// render makes the rows of the batch ready.
func (b *rendered) render(looker *dataset.Looker, renderer *prompt.Renderer, from place) {
	b.empty()
	for i := range b.batch.Len() {
		row := looker.Row(&b.batch, i)
		row.Row += from.base
		r := renderedRow{
			start: len(b.out), raw: row.Raw, next: b.batch.Next(i),
			entry: part.Entry{Row: row.Row, Off: row.Off, Len: row.End - row.Off, Source: from.n, ID: row.ID},
		}
		bad := row.Bad
		if bad == nil {
			b.out, bad = appendRecord(b.out, row, renderer)
		}
		b.add(r, row, bad, from)
	}
	b.asked = renderer.MaxTokens()
}

// add takes a row whose record stands at the end of out, or that bad says is
// to be set aside.
func (b *rendered) add(r renderedRow, row *dataset.Row, bad *dataset.Bad, from place) {
	if r.aside = bad != nil; r.aside {
		row.Bad = bad
		b.out = dataset.AppendAside(b.out[:r.start], row, from.source)
	} else {
		b.lines = part.AppendEntry(b.lines, r.entry)
	}
	r.end, r.line = len(b.out), len(b.lines)
	b.rows = append(b.rows, r)
}

// empty forgets the rows.
func (b *rendered) empty() { b.rows, b.out, b.lines = b.rows[:0], b.out[:0], b.lines[:0] }

// appendRecord appends a row's record with its line end, or says why it has
// none.
func appendRecord(dst []byte, row *dataset.Row, renderer *prompt.Renderer) ([]byte, *dataset.Bad) {
	from := len(dst)
	dst, bad := renderer.Append(appendRecordID(dst, row.Row), row)
	if bad != nil {
		return dst, bad
	}
	if dst = append(dst, '}', '\n'); len(dst)-from > dataset.MaxRow+recordFrame {
		return dst, tooLongRecord
	}
	return dst, nil
}

var tooLongRecord = &dataset.Bad{Code: dataset.CodeRowTooLarge, Reason: fmt.Sprintf("the rendered record has more than %d bytes", dataset.MaxRow)}

// addAll gives the rows of a batch to the builder; at is where the first of
// them starts, and what is returned where the next one does.
func (p *preparing) addAll(b *rendered, at dataset.Position, builder *part.Builder, from place) (dataset.Position, error) {
	if p.sliceOver() {
		return at, errSliceOver
	}
	p.asked = max(p.asked, b.asked)
	begin := 0
	for i := range b.rows {
		r := &b.rows[i]
		if r.entry.Row > maxRows {
			return at, tooManyRows
		}
		next, err := from.tell(r.next)
		if err != nil {
			return at, err
		}
		item := part.Item{At: at, Next: next, Row: r.entry.Row}
		at = next
		if line := b.out[r.start:r.end]; r.aside {
			item.Aside = line
		} else {
			if r.known {
				item.Aside, item.Known = line, true
			} else {
				item.Record = line
			}
			item.Line = b.lines[begin:r.line]
			if p.rows != nil {
				if err := p.keep(&r.entry, r.raw); err != nil {
					return at, err
				}
				end := len(b.lines)
				b.lines = part.AppendEntry(b.lines, r.entry)
				item.Line = b.lines[end:]
			}
		}
		begin = r.line
		if err := builder.Lend(item); err != nil {
			return at, err
		}
	}
	return at, builder.Own()
}

const tooManyRows = refusal("the file has more than 9999999999 rows")

// readError words an error of reading rows.
func (p *preparing) readError(err error, from place) error {
	if dataset.Unusable(err) && from.n != part.NoSource {
		return err
	}
	if dataset.Unusable(err) {
		return refusal(err.Error())
	}
	return fmt.Errorf("read upload %s: %w", p.h.Label(), err)
}
