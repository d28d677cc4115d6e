package answer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
)

// Failures reads a Failed stream. The failure yielded is valid until the next.
// An error ends the sequence.
func Failures(r io.Reader) iter.Seq2[*Failure, error] {
	return func(yield func(*Failure, error) bool) {
		lines := newLines(r)
		var f Failure
		for n := 1; ; n++ {
			line, err := lines.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil {
				err = f.read(line)
			}
			if err != nil {
				yield(nil, fmt.Errorf("read failed rows: line %d: %w", n, err))
				return
			}
			if !yield(&f, nil) {
				return
			}
		}
	}
}

// read reads a line of a Failed stream. ID, ModelInput and ModelOutput are
// parts of the line.
func (f *Failure) read(line []byte) error {
	*f = Failure{Source: part.NoSource, Row: -1}
	var c cursor.Cursor
	c.Reset(line)
	c.EnterObject()
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		f.member(string(name), &c)
	}
	c.End()
	if c.Err() != nil {
		return c.Err()
	}
	if f.Row < 0 {
		return errors.New("it has no row")
	}
	return nil
}

// readTail reads what stands in a tail ahead of the record.
func readTail(tail []byte) (Failure, error) {
	f := Failure{Source: part.NoSource}
	// The tail begins with the comma behind the head.
	var c cursor.Cursor
	text := append([]byte{'{'}, cutRecord(tail[1:])...)
	c.Reset(text)
	c.EnterObject()
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		f.member(string(name), &c)
	}
	return f, c.Err()
}

// cutRecord cuts a rendered tail in front of the record and answer it quotes,
// which may be large. What it looks for cannot stand inside a string.
func cutRecord(tail []byte) []byte {
	end := len(tail)
	for _, name := range []string{`,"modelInput":`, `,"modelOutput":`} {
		if i := bytes.Index(tail[:end], []byte(name)); i >= 0 {
			end = i
		}
	}
	if end == len(tail) {
		return tail
	}
	return append(bytes.Clone(tail[:end]), '}')
}

func (f *Failure) member(name string, c *cursor.Cursor) {
	number := func() int64 { n, _ := c.Int(); return n }
	text := func() string { q, _ := c.String(); return cursor.Unquote(q) }
	truth := func() bool { return string(c.Raw()) == "true" }
	switch name {
	case "row":
		f.Row = number()
	case "recordId":
		f.RecordID = text()
	case "id":
		f.ID = c.Raw()
	case "source":
		f.Source = int(number())
	case "off":
		f.Off = number()
	case "len":
		f.Len = number()
	case "code":
		f.Code = text()
	case "message":
		f.Message = text()
	case "retryable":
		f.Retryable = truth()
	case "missing":
		f.Missing = truth()
	case "attempts":
		f.Attempts = int(number())
	case "modelInput":
		f.ModelInput = c.Raw()
	case "modelOutput":
		f.ModelOutput = c.Raw()
	default:
		c.Skip()
	}
}

// lines reads lines of any length.
type lines struct {
	r    *bufio.Reader
	long []byte
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, 64<<10)} }

// next returns the next line without its end; it is valid until the next call.
// A last line without an end is one too.
func (l *lines) next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		l.long = append(l.long[:0], line...)
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = l.r.ReadSlice('\n')
			l.long = append(l.long, line...)
		}
		line = l.long
	}
	if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
		return nil, err
	}
	if err == nil {
		line = line[:len(line)-1]
	}
	return line, nil
}
