package answer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Merge joins the attempts of one part into its final streams. A row answered
// in several attempts keeps the earliest answer; one answered in none keeps the
// error of its last attempt, where an error counts more than a missing line.
// Every row that stands in any stream comes out exactly once, in row order. An
// error of a reader or writer, or a stream out of order, ends it and is
// returned.
func Merge(ctx context.Context, m Merging) (Merged, error) {
	j := joining{m: m}
	if err := j.run(ctx); err != nil {
		return Merged{}, fmt.Errorf("merge rows %d to %d: %w", m.FirstRow, m.LastRow, err)
	}
	j.merged.Errors = j.errors.list()
	return j.merged, nil
}

// What the lines of the two kinds of stream begin with.
var (
	resultHead = []byte(`{"recordId":"r0000000000","row":`) // any digits
	failedHead = []byte(`{"row":`)
)

// rowStream is one stream of an attempt, standing at a row.
type rowStream struct {
	attempt int
	what    string
	head    int // bytes ahead of the row's number
	lines   *lines
	row     int64
	line    []byte
	ended   bool
}

// next goes to the next row up to last.
func (s *rowStream) next(first, last int64) error {
	for {
		line, err := s.lines.next()
		if errors.Is(err, io.EOF) {
			s.ended = true
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s of attempt %d: %w", s.what, s.attempt, err)
		}
		row, ok := rowAt(line, s.head)
		if !ok {
			return fmt.Errorf("read %s of attempt %d behind row %d: the line does not begin with its row", s.what, s.attempt, s.row)
		}
		if row <= s.row {
			return fmt.Errorf("read %s of attempt %d: row %d stands behind row %d", s.what, s.attempt, row, s.row)
		}
		s.row, s.line = row, line
		if row > last {
			s.ended = true
			return nil
		}
		if row >= first {
			return nil
		}
	}
}

// rowAt reads the row's number at its fixed place in a line.
func rowAt(line []byte, head int) (row int64, ok bool) {
	if len(line) <= head || line[0] != '{' {
		return 0, false
	}
	i := head
	for ; i < len(line) && line[i] >= '0' && line[i] <= '9' && i-head < 18; i++ {
		row = row*10 + int64(line[i]-'0')
	}
	return row, i > head && i < len(line) && (line[i] == ',' || line[i] == '}')
}

type joining struct {
	m              Merging
	answers, fails []*rowStream
	errors         errorCounter
	merged         Merged
	first          int // the number of the first attempt
}

func (j *joining) run(ctx context.Context) error {
	for i, a := range j.m.Attempts {
		if i == 0 || a.Number < j.first {
			j.first = a.Number
		}
		if a.Results != nil {
			j.answers = append(j.answers, &rowStream{attempt: a.Number, what: "results", head: len(resultHead), lines: newLines(a.Results), row: -1})
		}
		if a.Failed != nil {
			j.fails = append(j.fails, &rowStream{attempt: a.Number, what: "failed rows", head: len(failedHead), lines: newLines(a.Failed), row: -1})
		}
	}
	for _, streams := range [][]*rowStream{j.answers, j.fails} {
		for _, s := range streams {
			if err := s.next(j.m.FirstRow, j.m.LastRow); err != nil {
				return err
			}
		}
	}
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		row, ok := j.lowest()
		if !ok {
			break
		}
		if err := j.write(row); err != nil {
			return err
		}
		for _, streams := range [][]*rowStream{j.answers, j.fails} {
			for _, s := range streams {
				if !s.ended && s.row == row {
					if err := s.next(j.m.FirstRow, j.m.LastRow); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// lowest is the next row of all streams.
func (j *joining) lowest() (row int64, ok bool) {
	for _, streams := range [][]*rowStream{j.answers, j.fails} {
		for _, s := range streams {
			if !s.ended && (!ok || s.row < row) {
				row, ok = s.row, true
			}
		}
	}
	return row, ok
}

// write writes what the streams have about a row.
func (j *joining) write(row int64) error {
	var best *rowStream
	for _, s := range j.answers {
		if !s.ended && s.row == row && (best == nil || s.attempt < best.attempt) {
			best = s
		}
	}
	if best != nil {
		j.merged.Answered++
		if best.attempt > j.first {
			j.merged.Recovered++
		}
		return writeLine(j.m.Results, "results", best.line, []byte{'\n'})
	}
	return j.writeFailed(row)
}

func (j *joining) writeFailed(row int64) error {
	var last *rowStream
	var lastFailure Failure
	attempts := 0
	for _, s := range j.fails {
		if s.ended || s.row != row {
			continue
		}
		attempts++
		f, err := readFailedLine(s.line)
		if err != nil {
			return fmt.Errorf("read %s of attempt %d: row %d: %w", s.what, s.attempt, row, err)
		}
		switch {
		case last == nil,
			lastFailure.Missing && !f.Missing,
			lastFailure.Missing == f.Missing && s.attempt > last.attempt:
			last, lastFailure = s, f
		}
	}
	if lastFailure.Missing {
		j.merged.Missing++
	} else {
		j.merged.Failed++
		j.errors.add(lastFailure.Code, lastFailure.Message, 1)
	}
	line, ok := bytes.CutSuffix(last.line, []byte{'}'})
	if !ok {
		return fmt.Errorf("read %s of attempt %d: row %d: the line does not end an object", last.what, last.attempt, row)
	}
	end := strconv.AppendInt([]byte(`,"attempts":`), int64(attempts), 10)
	return writeLine(j.m.Failed, "failed rows", line, append(end, '}', '\n'))
}

// readFailedLine reads what a Failed line says ahead of the record it quotes.
func readFailedLine(line []byte) (Failure, error) {
	var f Failure
	if f.read(cutRecord(line)) == nil {
		return f, nil
	}
	// The user's id looks like the cut.
	err := f.read(line)
	return f, err
}
