package answer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
)

// store holds the rendered tails of rows until their turn comes: in memory up
// to a limit, behind that in a temporary file. It takes the tails of a block
// together, and in memory it takes them over as they lie.
type store struct {
	dir           string
	memory, spill int64 // limits
	blocks        [][]byte
	held          int64 // in memory
	file          *os.File
	buffered      *bufio.Writer
	spilled       int64
	dirty         bool // the buffer may hold bytes that the file has not
	scratch       []byte
}

// address is where a tail is held. In memory that is block<<32|offset, in the
// file its offset, counted from the lowest number there is. The tails of one
// block lie behind each other in both.
type address int64

const inFile = address(math.MinInt64)

func (s *store) capacity() int64 { return s.memory + s.spill }

func (s *store) size() int64 { return s.held + s.spilled }

// add holds the tails of a block and returns the address of the first one. If
// it took them over, the caller may not use them again. It goes beyond the
// limits if there is no other way; the caller asks first.
func (s *store) add(tails []byte) (at address, taken bool, err error) {
	if n := int64(len(tails)); s.held+n <= s.memory || s.spill == 0 {
		s.held += n
		s.blocks = append(s.blocks, tails)
		return address(int64(len(s.blocks)-1) << 32), true, nil
	}
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "answers-*")
		if err != nil {
			return 0, false, fmt.Errorf("spill rendered rows: %w", err)
		}
		s.file = f
		s.buffered = bufio.NewWriterSize(f, 256<<10)
	}
	at = inFile + address(s.spilled)
	if _, err := s.buffered.Write(tails); err != nil {
		return 0, false, fmt.Errorf("spill rendered rows to %s: %w", s.file.Name(), err)
	}
	s.spilled += int64(len(tails))
	s.dirty = true
	return at, false, nil
}

// get returns a tail; it is valid until the next call.
func (s *store) get(at address, n int) ([]byte, error) {
	if at >= 0 {
		off := int(at & (1<<32 - 1))
		return s.blocks[at>>32][off : off+n], nil
	}
	if s.dirty {
		if err := s.buffered.Flush(); err != nil {
			return nil, fmt.Errorf("spill rendered rows to %s: %w", s.file.Name(), err)
		}
		s.dirty = false
	}
	if cap(s.scratch) < n {
		s.scratch = make([]byte, max(n, 64<<10))
	}
	tail := s.scratch[:n]
	if _, err := s.file.ReadAt(tail, int64(at-inFile)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read spilled rows from %s: %w", s.file.Name(), err)
	}
	return tail, nil
}

// reset forgets all tails, keeping the file for the next.
func (s *store) reset() error {
	s.forget()
	if s.file == nil {
		return nil
	}
	s.buffered.Reset(s.file)
	if err := s.file.Truncate(0); err != nil {
		return fmt.Errorf("empty the spill file %s: %w", s.file.Name(), err)
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("empty the spill file %s: %w", s.file.Name(), err)
	}
	return nil
}

// forget gives back the memory.
func (s *store) forget() {
	for _, b := range s.blocks {
		giveRoom(b)
	}
	clear(s.blocks)
	s.blocks, s.held, s.spilled, s.dirty = s.blocks[:0], 0, 0, false
	if cap(s.scratch) > 1<<20 {
		s.scratch = nil
	}
}

// close gives back memory and file.
func (s *store) close() error {
	s.forget()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if rerr := os.Remove(s.file.Name()); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// rooms are blocks of tails that were given back, for the next part's.
var rooms sync.Pool

const (
	// roomUnit is what the room for tails is a multiple of, mostRoom how much
	// is kept for others.
	roomUnit = 8 << 10
	mostRoom = 4 << 20
)

// takeRoom is room for n bytes of tails, and not for many more.
func takeRoom(n int) []byte {
	n = (n/roomUnit + 1) * roomUnit
	if room, ok := rooms.Get().(*[]byte); ok && cap(*room) >= n && cap(*room) <= n+n/4 {
		return (*room)[:0]
	}
	return make([]byte, 0, n)
}

func giveRoom(room []byte) {
	if cap(room) <= mostRoom {
		rooms.Put(&room)
	}
}
