package part

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// NoSource is the Source of an entry whose upload is a single object.
const NoSource = -1

// Entry is a line of a part's index: where a record came from. The lines
// stand in the order of the rows, their fields separated by tabs:
// row, offset, length, source, id.
type Entry struct {
	// Row is the number of the row; the record's id follows from it.
	Row int64
	// Off and Len locate the row in the decompressed upload, or in what was
	// staged of it.
	Off, Len int64
	// Source is the number of the object that holds the row, where several
	// were gathered, else NoSource.
	Source int
	// ID is the user's id as a JSON value, nil if there is none.
	ID []byte
}

// AppendEntry appends the line of e with its line end.
func AppendEntry(dst []byte, e Entry) []byte {
	dst = strconv.AppendInt(dst, e.Row, 10)
	dst = append(dst, '\t')
	dst = strconv.AppendInt(dst, e.Off, 10)
	dst = append(dst, '\t')
	dst = strconv.AppendInt(dst, e.Len, 10)
	dst = append(dst, '\t')
	if e.Source >= 0 {
		dst = strconv.AppendInt(dst, int64(e.Source), 10)
	}
	dst = append(dst, '\t')
	dst = append(dst, e.ID...)
	return append(dst, '\n')
}

// IndexReader reads the lines that AppendEntry writes.
type IndexReader struct {
	r    *bufio.Reader
	long []byte
	line int
}

// NewIndexReader reads an index from r.
func NewIndexReader(r io.Reader) *IndexReader {
	return &IndexReader{r: bufio.NewReaderSize(r, 64<<10)}
}

// Next reads the next entry; its ID is valid until the next call. It returns
// io.EOF at the end, io.ErrUnexpectedEOF in the middle of a line, and errors
// of the stream as they are.
func (x *IndexReader) Next() (Entry, error) {
	line, err := x.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		x.long = append(x.long[:0], line...)
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = x.r.ReadSlice('\n')
			x.long = append(x.long, line...)
		}
		line = x.long
	}
	if err != nil {
		if err == io.EOF && len(line) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return Entry{}, err
	}
	x.line++
	e := Entry{Source: NoSource}
	rest := line[:len(line)-1]
	var field [4]int64
	for i := range field {
		end := bytes.IndexByte(rest, '\t')
		if end < 0 {
			return Entry{}, fmt.Errorf("index line %d: %d fields instead of 5", x.line, i+1)
		}
		if i == 3 && end == 0 {
			field[i] = NoSource
		} else if field[i], err = parseInt(rest[:end]); err != nil {
			return Entry{}, fmt.Errorf("index line %d, field %d: %w", x.line, i+1, err)
		}
		rest = rest[end+1:]
	}
	e.Row, e.Off, e.Len, e.Source = field[0], field[1], field[2], int(field[3])
	if len(rest) > 0 {
		e.ID = rest
	}
	return e, nil
}

// parseInt reads a number without making a string of it, as an index has a
// line per record.
func parseInt(b []byte) (int64, error) {
	if len(b) == 0 || len(b) > 18 {
		return 0, errors.New("not a number")
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, errors.New("not a number")
		}
		n = n*10 + int64(c-'0')
	}
	return n, nil
}
