package answer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sync"
)

// sizing is how the outputs are read. Tests read in smaller steps.
type sizing struct {
	// block is how much is read at once.
	block int
	// line is the longest line that is read whole. A record's input is at
	// most 25 MB; escaping and the answer come on top.
	line int
	// workers is how many lines are parsed at once.
	workers int
	// index is how large an index may not be to be kept from one walk to the
	// next. Fifty thousand rows with ids of their own take half of it.
	index int64
}

var sizes = sizing{block: 256 << 10, line: 128 << 20, index: 4 << 20, workers: max(1, min(4, runtime.GOMAXPROCS(0)))}

const (
	// keptOfLong is what is kept of a longer line, in the hope that it
	// begins with the recordId.
	keptOfLong = 64 << 10
)

// block is a run of whole lines on its way from the reader over a worker to the
// one who commits them in order.
type block struct {
	data  []byte // each line with its end
	first int64  // the number of its first line; of a pass over all, when it is committed
	count int64  // its lines
	lines []placed
	out   []byte // rendered tails
	done  chan struct{}
}

// reading is one pass over the outputs.
type reading struct {
	outputs []Output
	sizes   sizing
	workers []*lineReader
	// position finds a row in the part.
	position func(row int64) (int, bool)
	// wanted are the numbers of the only lines to be read, ascending; nil
	// reads all.
	wanted []int64
	// commit takes the blocks in the order of their lines.
	commit func(b *block) error
}

// run reads until all is committed or something fails.
func (p *reading) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	blocks := len(p.workers) + 2
	free := make(chan *block, blocks)
	work := make(chan *block, blocks)
	ordered := make(chan *block, blocks)
	for range blocks {
		free <- &block{done: make(chan struct{}, 1)}
	}
	var group sync.WaitGroup
	var readErr error
	group.Go(func() {
		defer close(ordered)
		defer close(work)
		f := &filler{ctx: ctx, free: free, blocks: blocks, sizes: p.sizes, last: math.MaxInt64, emit: func(b *block) {
			ordered <- b
			work <- b
		}}
		if p.wanted != nil {
			f.last, f.counts = p.wanted[len(p.wanted)-1], true // who wants some must know which they are
		}
		readErr = f.readAll(p.outputs)
	})
	for _, w := range p.workers {
		group.Go(func() {
			for b := range work {
				p.parse(w, b)
				b.done <- struct{}{}
			}
		})
	}
	var err error
	var line int64
	for b := range ordered {
		<-b.done
		if p.wanted == nil {
			b.first = line
			line += b.count
		}
		if err == nil {
			if err = p.commit(b); err != nil {
				cancel()
			}
		}
		free <- b
	}
	group.Wait()
	if err != nil {
		return err
	}
	return readErr
}

// parse reads the lines of a block.
func (p *reading) parse(w *lineReader, b *block) {
	b.lines, b.out = b.lines[:0], b.out[:0]
	if cap(b.out) > 4*p.sizes.block {
		b.out = nil
	}
	if b.out == nil {
		b.out = takeRoom(w.room)
	}
	// The next block's tails are about as long; what they do not fill is lost
	// while they are held.
	defer func() { w.room = len(b.out) + len(b.out)/8 }()
	wanted := p.wanted
	if wanted != nil {
		i, _ := slices.BinarySearch(wanted, b.first)
		wanted = wanted[i:]
	}
	b.count = 0
	for rest := b.data; len(rest) > 0; {
		if p.wanted != nil && len(wanted) == 0 {
			return
		}
		number := b.count
		b.count++
		end := bytes.IndexByte(rest, '\n')
		line := rest[:end]
		rest = rest[end+1:]
		if p.wanted != nil {
			if wanted[0] != b.first+number {
				continue
			}
			wanted = wanted[1:]
		}
		if blank(line) {
			continue
		}
		w.read(line)
		l := placed{line: number, row: -1, hasID: w.found.id != nil}
		row, ours := rowOf(w.found.id)
		if ours {
			l.pos, ours = p.position(row)
		}
		if ours {
			l.row = row
			l.tail.start = len(b.out)
			b.out, l.what = w.render(b.out)
			l.tail.end = len(b.out)
			if l.what == answered {
				l.stop = stopOf(&w.answer)
				l.in, l.out = w.answer.InputTokens, w.answer.OutputTokens
				l.counted = w.answer.HasInputTokens && (w.answer.HasOutputTokens || w.answer.Embedding != nil)
			}
		}
		b.lines = append(b.lines, l)
	}
}

// filler reads the outputs into blocks.
type filler struct {
	ctx    context.Context
	free   chan *block
	blocks int
	sizes  sizing
	emit   func(*block)
	counts bool  // lines, which takes a second look at each byte
	line   int64 // number of the next line, if it counts
	last   int64 // the last line that is wanted
}

func (f *filler) readAll(outputs []Output) error {
	for n, o := range outputs {
		if f.line > f.last {
			return nil
		}
		if err := f.readOne(o); err != nil {
			return fmt.Errorf("read output file %d of %d: %w", n+1, len(outputs), err)
		}
	}
	return nil
}

// take waits for a free block.
func (f *filler) take() (*block, error) {
	select {
	case b := <-f.free:
		if cap(b.data) > 2*f.sizes.block || b.data == nil {
			b.data = make([]byte, 0, f.sizes.block)
		}
		b.data = b.data[:0]
		return b, nil
	case <-f.ctx.Done():
		return nil, context.Cause(f.ctx)
	}
}

func (f *filler) readOne(o Output) (err error) {
	r, err := o.Open(f.ctx)
	if err != nil {
		return err
	}
	whole := false
	defer func() {
		// A stream left half way may complain about it.
		if cerr := r.Close(); err == nil && whole && cerr != nil {
			err = cerr
		}
	}()
	b, err := f.take()
	if err != nil {
		return err
	}
	seen := 0 // so much of the block holds no line end
	for f.line <= f.last {
		if err := f.ctx.Err(); err != nil {
			return context.Cause(f.ctx)
		}
		n, rerr := io.ReadFull(r, b.data[len(b.data):cap(b.data)])
		b.data = b.data[:len(b.data)+n]
		ended := errors.Is(rerr, io.EOF) || errors.Is(rerr, io.ErrUnexpectedEOF)
		if rerr != nil && !ended {
			return rerr
		}
		whole = ended
		if ended && len(b.data) > 0 && b.data[len(b.data)-1] != '\n' {
			b.data = append(b.data, '\n')
		}
		end := bytes.LastIndexByte(b.data[seen:], '\n') + 1
		if end == 0 && !ended {
			seen = len(b.data)
			if len(b.data) >= f.sizes.line {
				if err := f.skipLong(r, b); err != nil {
					return err
				}
				seen = 0
				continue
			}
			if err := f.grow(b); err != nil {
				return err
			}
			continue
		}
		end += seen
		seen = 0
		var next *block
		if !ended {
			if next, err = f.take(); err != nil {
				return err
			}
			next.data = append(next.data, b.data[end:]...)
			seen = len(next.data)
		}
		b.data = b.data[:end]
		if end == 0 {
			f.free <- b
			return nil
		}
		if f.counts {
			b.first = f.line
			f.line += int64(bytes.Count(b.data, []byte{'\n'}))
		}
		f.emit(b)
		if ended {
			return nil
		}
		b = next
	}
	f.free <- b
	return nil
}

// grow doubles a block whose line does not fit. A large block travels alone:
// all others are waited for, so that few long lines are held at once.
func (f *filler) grow(b *block) error {
	held := make([]*block, 0, f.blocks)
	defer func() {
		for _, o := range held {
			f.free <- o
		}
	}()
	for len(held) < f.blocks-1 {
		o, err := f.take()
		if err != nil {
			return err
		}
		o.out = nil
		held = append(held, o)
	}
	b.data = slices.Grow(b.data, min(cap(b.data), f.sizes.line-len(b.data)))
	return nil
}

// skipLong drops a line that is too long to be read, all but its beginning.
func (f *filler) skipLong(r io.Reader, b *block) error {
	b.data = b.data[:min(len(b.data), keptOfLong)]
	kept := len(b.data)
	for {
		b.data = b.data[:kept]
		n, err := io.ReadFull(r, b.data[kept:cap(b.data)])
		ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !ended {
			return err
		}
		b.data = b.data[:kept+n]
		if i := bytes.IndexByte(b.data[kept:], '\n'); i >= 0 {
			b.data = append(b.data[:kept], b.data[kept+i:]...)
			return nil
		}
		if ended {
			b.data = append(b.data[:kept], '\n')
			return nil
		}
	}
}
