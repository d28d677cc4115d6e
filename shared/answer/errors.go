package answer

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

// errorMember is the member that tells in a row of errors.jsonl what happened
// to it. Intake drops it again.
const errorMember = "_error"

// Errors writes a line of errors.jsonl for each failed row, missing ones
// included, and returns how many it wrote. A row is given back in the shape it
// came in, with "_error" added (or replaced), so that the file can be dropped
// again as it is. An error of a reader, a writer or of Origin ends it and is
// returned; a row that is not there any more, or not what it was, is none: it
// is given back as the record that was sent.
func Errors(ctx context.Context, e Erring) (int64, error) {
	w := bufio.NewWriterSize(e.Errors, 64<<10)
	var n int64
	var line []byte
	for f, err := range Failures(e.Failed) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return n, fmt.Errorf("write errors: %w", err)
		}
		o, err := e.Origin(ctx, f)
		if err != nil {
			return n, fmt.Errorf("write errors: row %d: find its source: %w", f.Row, err)
		}
		line = appendErrorLine(line[:0], f, o)
		if _, err := w.Write(line); err != nil {
			return n, fmt.Errorf("write errors: row %d: %w", f.Row, err)
		}
		n++
	}
	if err := w.Flush(); err != nil {
		return n, fmt.Errorf("write errors: %w", err)
	}
	return n, nil
}

func appendErrorLine(dst []byte, f *Failure, o Origin) []byte {
	start := len(dst)
	ok := false
	switch o.Kind {
	case Object:
		dst, ok = appendObject(dst, o.Raw)
	case Columns:
		dst, ok = appendColumns(dst, o.Header, o.Values), true
	case Document:
		dst = appendText(append(dst, `{"_document":{"bucket":`...), o.Bucket)
		dst = appendText(append(dst, `,"key":`...), o.Key)
		dst = appendText(append(dst, `,"versionId":`...), o.Version)
		dst, ok = append(dst, '}'), true
	}
	if !ok {
		dst = appendText(append(dst[:start], `{"recordId":`...), f.RecordID)
		if len(f.ModelInput) > 0 {
			dst = append(append(dst, `,"modelInput":`...), f.ModelInput...)
		}
	}
	if len(dst) > start+1 {
		dst = append(dst, ',')
	}
	dst = appendText(append(dst, `"`+errorMember+`":{"code":`...), f.Code)
	dst = appendText(append(dst, `,"message":`...), f.Message)
	dst = strconv.AppendBool(append(dst, `,"retryable":`...), f.Retryable)
	dst = strconv.AppendInt(append(dst, `,"attempts":`...), int64(max(f.Attempts, 1)), 10)
	if len(f.ModelOutput) > 0 { // it was paid for
		dst = append(append(dst, `,"modelOutput":`...), f.ModelOutput...)
	}
	return append(dst, '}', '}', '\n')
}

// appendObject appends the members of a row without its end, on one line and
// without the error of an earlier time. It reports false if the row is no
// object.
func appendObject(dst, raw []byte) ([]byte, bool) {
	raw = bytes.TrimSpace(bytes.TrimPrefix(raw, byteOrderMark))
	var c cursor.Cursor
	c.Reset(raw)
	if !c.EnterObject() {
		return dst, false
	}
	dst = append(dst, '{')
	first := true
	for {
		mark := c.Mark()
		name, ok := c.Member()
		if !ok {
			break
		}
		old := string(name) == errorMember
		c.Skip()
		if old || c.Err() != nil {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		at := len(dst)
		dst = append(dst, c.Since(mark)...)
		// Line ends stand between values only: inside a string they are
		// escaped.
		for i, b := range dst[at:] {
			if b == '\n' || b == '\r' {
				dst[at+i] = ' '
			}
		}
	}
	c.End()
	return dst, c.Err() == nil
}

func appendColumns(dst []byte, header, values []string) []byte {
	dst = append(dst, '{')
	first := true
	for i, name := range header {
		if i >= len(values) || name == errorMember {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendText(dst, name), ':')
		dst = appendText(dst, values[i])
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(cursor.AppendQuoted(append(dst, '"'), s), '"')
}
