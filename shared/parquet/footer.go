package parquet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// The first and last bytes of a file.
const (
	magic          = "PAR1"
	encryptedMagic = "PARE"
)

// smallFile is the size up to which a file is read whole, with one request.
const smallFile = 4 << 20

// File is an open Parquet file. It may be used by several goroutines.
type File struct {
	r      io.ReaderAt
	size   int64
	root   *node
	leaves []*leaf
	groups []group
	rows   int64
}

// group is a row group: rows that lie together, column by column.
type group struct {
	first, rows int64
	chunks      []chunk
}

// chunk is a column of a row group.
type chunk struct {
	start, end int64
	values     int64
	codec      int64
}

// Open reads the footer of a file of size bytes. Errors of r are returned as
// they are; everything else is ErrBroken.
func Open(r io.ReaderAt, size int64) (*File, error) {
	if size < int64(2*len(magic)+4) {
		return nil, broken("%d bytes are too few", size)
	}
	if size <= smallFile {
		whole := make([]byte, size)
		if err := readFull(r, whole, 0); err != nil {
			return nil, err
		}
		r = bytes.NewReader(whole)
	}
	head, tail := make([]byte, len(magic)), make([]byte, min(size, 64<<10))
	if err := readFull(r, head, 0); err != nil {
		return nil, err
	}
	if err := readFull(r, tail, size-int64(len(tail))); err != nil {
		return nil, err
	}
	end := string(tail[len(tail)-len(magic):])
	switch {
	case string(head) == encryptedMagic || end == encryptedMagic:
		return nil, broken("it is encrypted")
	case string(head) != magic:
		return nil, broken("it does not begin with %s", magic)
	case end != magic:
		return nil, broken("it does not end with %s; it is incomplete", magic)
	}
	length := int64(binary.LittleEndian.Uint32(tail[len(tail)-8:]))
	if length > size-12 {
		return nil, broken("its footer is longer than the file")
	}
	if length > MaxFooter {
		return nil, broken("its footer has %d bytes, the limit is %d", length, MaxFooter)
	}
	if length > int64(len(tail)-8) {
		tail = make([]byte, length+8)
		if err := readFull(r, tail, size-length-8); err != nil {
			return nil, err
		}
	}
	f := &File{r: r, size: size}
	if err := f.readFooter(tail[int64(len(tail))-8-length : len(tail)-8]); err != nil {
		return nil, err
	}
	return f, nil
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		return broken("it is shorter than it was said to be")
	}
	return readError{fmt.Errorf("read %d bytes at %d: %w", len(p), off, err)}
}

// readError is an error of the reader below.
type readError struct{ err error }

func (e readError) Error() string { return e.err.Error() }
func (e readError) Unwrap() error { return e.err }

// NumRows is how many rows the file holds.
func (f *File) NumRows() int64 { return f.rows }

// Columns are the names of the columns at the top.
func (f *File) Columns() []string {
	names := make([]string, len(f.root.children))
	for i, c := range f.root.children {
		names[i] = c.name
	}
	return names
}

func (f *File) readFooter(b []byte) error {
	c := &compact{b: b}
	var elements []element
	var rows int64
	encrypted, elsewhere := false, false
	columns := 0
	c.fields(func(id int16, kind byte) bool {
		switch id {
		case 2:
			c.list(kind, func(kind byte) {
				e := c.element(kind)
				if e.physical >= 0 {
					columns++
				}
				if elements = append(elements, e); len(elements) > 4*MaxColumns {
					c.fail(fmt.Errorf("it has more than %d columns", MaxColumns))
				}
			})
		case 3:
			rows = c.int(kind)
		case 4:
			chunks := 0
			c.list(kind, func(kind byte) {
				g := c.group(kind, &encrypted, &elsewhere)
				if chunks += len(g.chunks); chunks > MaxChunks || len(f.groups) > MaxChunks {
					c.fail(fmt.Errorf("it has more than %d pieces of columns; write larger row groups", MaxChunks))
				}
				f.groups = append(f.groups, g)
			})
		case 8:
			encrypted = true
			return false
		default:
			return false
		}
		return true
	})
	switch {
	case encrypted:
		return broken("it is encrypted")
	case elsewhere:
		return broken("some of its columns are in other files")
	case c.err != nil:
		return broken("its footer cannot be read: %v", c.err)
	case columns > MaxColumns:
		return broken("it has %d columns, the limit is %d", columns, MaxColumns)
	}
	if err := f.buildSchema(elements); err != nil {
		return err
	}
	return f.checkGroups(rows)
}

func (c *compact) group(kind byte, encrypted, elsewhere *bool) (g group) {
	if kind != typeStruct {
		c.fail(errShape)
		return g
	}
	c.fields(func(id int16, kind byte) bool {
		switch id {
		case 1:
			c.list(kind, func(byte) { g.chunks = append(g.chunks, c.chunk(encrypted, elsewhere)) })
		case 3:
			g.rows = c.int(kind)
		default:
			return false
		}
		return true
	})
	return g
}

func (c *compact) chunk(encrypted, elsewhere *bool) (k chunk) {
	var dictionary, data, size int64
	c.fields(func(id int16, kind byte) bool {
		switch id {
		case 1:
			*elsewhere = len(c.binary(kind)) > 0 || *elsewhere
		case 3:
			c.fields(func(id int16, kind byte) bool {
				switch id {
				case 4:
					k.codec = c.int(kind)
				case 5:
					k.values = c.int(kind)
				case 7:
					size = c.int(kind)
				case 9:
					data = c.int(kind)
				case 11:
					dictionary = c.int(kind)
				default:
					return false
				}
				return true
			})
		case 8, 9:
			*encrypted = true
			return false
		default:
			return false
		}
		return true
	})
	k.start = data
	if dictionary > 0 && dictionary < data {
		k.start = dictionary
	}
	k.end = k.start + size
	return k
}

// checkGroups checks that the row groups fit the file and each other.
func (f *File) checkGroups(rows int64) error {
	for n := range f.groups {
		g := &f.groups[n]
		g.first = f.rows
		if g.rows < 0 || g.rows > 1<<40 || f.rows > 1<<50 {
			return broken("row group %d has %d rows", n+1, g.rows)
		}
		f.rows += g.rows
		if len(g.chunks) != len(f.leaves) {
			return broken("row group %d has %d columns of %d", n+1, len(g.chunks), len(f.leaves))
		}
		for i, k := range g.chunks {
			l := f.leaves[i]
			if k.start < int64(len(magic)) || k.end < k.start || k.end > f.size {
				return broken("column %q of row group %d lies outside the file", l.path, n+1)
			}
			if k.values < g.rows || l.maxRep == 0 && k.values != g.rows {
				return broken("column %q of row group %d has %d values for %d rows", l.path, n+1, k.values, g.rows)
			}
			if _, ok := codecs[k.codec]; !ok {
				return broken("column %q is compressed with %s; read are %s", l.path, codecName(k.codec), codecNames())
			}
		}
	}
	if f.rows != rows {
		return broken("its footer says %d rows, its row groups have %d", rows, f.rows)
	}
	return nil
}
