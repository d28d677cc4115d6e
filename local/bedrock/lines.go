package bedrock

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// lineLimit bounds a line: the largest modelInput and room for the rest.
const lineLimit = bodyLimit + 64<<10

// lines reads a JSONL file line by line in flat memory.
type lines struct {
	r   *bufio.Reader
	buf []byte
	no  int64
	dec *jsontext.Decoder
	src *bytes.Reader
}

func newLines(r io.Reader) *lines {
	src := bytes.NewReader(nil)
	return &lines{r: bufio.NewReaderSize(r, 256<<10), src: src, dec: jsontext.NewDecoder(src)}
}

// next returns the next line without its end, valid until the next call;
// io.EOF ends.
func (l *lines) next() ([]byte, error) {
	l.buf = l.buf[:0]
	l.no++
	for {
		piece, err := l.r.ReadSlice('\n')
		switch {
		case err == nil && len(l.buf) == 0:
			return bytes.TrimSuffix(piece, []byte("\n")), nil
		case err == nil:
			return append(l.buf, bytes.TrimSuffix(piece, []byte("\n"))...), nil
		case errors.Is(err, bufio.ErrBufferFull):
			if l.buf = append(l.buf, piece...); len(l.buf) > lineLimit {
				return nil, faultf("Line %d is larger than the allowed maximum of %d bytes", l.no, lineLimit)
			}
		case errors.Is(err, io.EOF):
			if l.buf = append(l.buf, piece...); len(l.buf) == 0 {
				return nil, io.EOF
			}
			return l.buf, nil
		default:
			return nil, err
		}
	}
}

// record is a line taken apart. Input lies in the line.
type record struct {
	id    string
	hasID bool
	input []byte
}

// read takes a line apart, as Validating does: recordId, a string, may be
// there; modelInput, an object, must; nothing else may.
func (l *lines) read(line []byte) (record, error) {
	var rec record
	l.src.Reset(line)
	l.dec.Reset(l.src)
	token, err := l.dec.ReadToken()
	if err != nil || token.Kind() != '{' {
		return rec, errors.New("is not a JSON object")
	}
	for l.dec.PeekKind() != '}' {
		name, err := l.dec.ReadToken()
		if err != nil {
			return rec, errors.New("is not valid JSON")
		}
		member := name.String()
		value, err := l.dec.ReadValue()
		if err != nil {
			return rec, errors.New("is not valid JSON")
		}
		switch member {
		case "recordId":
			if value.Kind() != '"' {
				return rec, errors.New("has a recordId that is not a string")
			}
			id, err := jsontext.AppendUnquote(nil, value)
			if err != nil {
				return rec, errors.New("is not valid JSON")
			}
			rec.id, rec.hasID = string(id), true
		case "modelInput":
			if value.Kind() != '{' {
				return rec, errors.New("has a modelInput that is not a JSON object")
			}
			end := l.dec.InputOffset()
			rec.input = line[end-int64(len(value)) : end]
		default:
			return rec, fmt.Errorf("has the member %q: only recordId and modelInput are allowed", member)
		}
	}
	if _, err := l.dec.ReadToken(); err != nil {
		return rec, errors.New("is not valid JSON")
	}
	if _, err := l.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return rec, errors.New("holds more than one JSON value")
	}
	if rec.input == nil {
		return rec, errors.New("has no modelInput")
	}
	if len(rec.input) > bodyLimit {
		return rec, fmt.Errorf("has a modelInput of %d bytes, more than the allowed maximum of %d", len(rec.input), bodyLimit)
	}
	return rec, nil
}
