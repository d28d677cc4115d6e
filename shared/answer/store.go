package answer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// chunkSize is the unit in which a store takes memory.
const chunkSize = 1 << 20

// store holds the rendered tails of rows until their turn comes: in memory up
// to a limit, behind that in a temporary file.
type store struct {
	dir           string
	memory, spill int64 // limits
	chunks        [][]byte
	current       int   // the chunk that is being filled
	held          int64 // in memory
	file          *os.File
	buffered      *bufio.Writer
	spilled       int64
	dirty         bool // the buffer may hold bytes that the file has not
	scratch       []byte
}

// address is where a tail is held: in memory as chunk<<32|offset, in the file
// as the complement of its offset.
type address int64

func (s *store) capacity() int64 { return s.memory + s.spill }

func (s *store) size() int64 { return s.held + s.spilled }

// add holds a tail. It goes beyond the limits if there is no other way; the
// caller asks first.
func (s *store) add(tail []byte) (address, error) {
	n := int64(len(tail))
	if s.held+n <= s.memory || s.spill == 0 {
		s.held += n
		return s.addMemory(tail), nil
	}
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "answers-*")
		if err != nil {
			return 0, fmt.Errorf("spill rendered rows: %w", err)
		}
		s.file = f
		s.buffered = bufio.NewWriterSize(f, 256<<10)
	}
	at := s.spilled
	if _, err := s.buffered.Write(tail); err != nil {
		return 0, fmt.Errorf("spill rendered rows to %s: %w", s.file.Name(), err)
	}
	s.spilled += n
	s.dirty = true
	return address(^at), nil
}

func (s *store) addMemory(tail []byte) address {
	for s.current < len(s.chunks) {
		c := s.chunks[s.current]
		if cap(c)-len(c) >= len(tail) {
			at := address(int64(s.current)<<32 | int64(len(c)))
			s.chunks[s.current] = append(c, tail...)
			return at
		}
		s.current++
	}
	s.chunks = append(s.chunks, append(make([]byte, 0, max(chunkSize, len(tail))), tail...))
	s.current = len(s.chunks) - 1
	return address(int64(s.current) << 32)
}

// get returns a tail; it is valid until the next call.
func (s *store) get(at address, n int) ([]byte, error) {
	if at >= 0 {
		off := int(at & (1<<32 - 1))
		return s.chunks[at>>32][off : off+n], nil
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
	if _, err := s.file.ReadAt(tail, int64(^at)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read spilled rows from %s: %w", s.file.Name(), err)
	}
	return tail, nil
}

// reset forgets all tails, keeping memory and file for the next.
func (s *store) reset() error {
	kept := s.chunks[:0]
	for _, c := range s.chunks {
		if cap(c) == chunkSize {
			kept = append(kept, c[:0])
		}
	}
	clear(s.chunks[len(kept):])
	s.chunks, s.current, s.held, s.spilled, s.dirty = kept, 0, 0, 0, false
	if cap(s.scratch) > chunkSize {
		s.scratch = nil
	}
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

// close gives back memory and file.
func (s *store) close() error {
	s.chunks = nil
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if rerr := os.Remove(s.file.Name()); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}
