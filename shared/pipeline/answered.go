package pipeline

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

// finish writes the part's output from the stored answers and ends the part.
func (a *asking) finish(ctx context.Context) error {
	lines, err := openLines(ctx, a.output, inputKey(a.h.ID, a.n, a.attempt))
	if err != nil {
		return err
	}
	defer lines.Close()
	w, err := a.output.Create(ctx, outputPrefix(a.h.ID, a.n, a.attempt)+"on-demand/"+partName(a.n, a.attempt)+".jsonl.out")
	if err != nil {
		return fmt.Errorf("write on-demand output: %w", err)
	}
	defer w.Abort()
	for {
		line, err := lines.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		id, modelInput, err := splitRecord(line)
		if err != nil {
			return err
		}
		if !a.have[id] {
			continue // stopped before its turn: missing
		}
		body, _, err := a.output.Get(ctx, a.rowPrefix()+id)
		if err != nil {
			return fmt.Errorf("read stored answer of %s: %w", id, err)
		}
		out := make([]byte, 0, len(body)+len(modelInput)+64)
		out = append(out, `{"recordId":"`...)
		out = append(out, id...)
		out = append(out, `","modelInput":`...)
		out = append(out, modelInput...)
		if len(body) > 2 {
			out = append(out, ',')
		}
		out = append(out, body[1:]...)
		if _, err := w.Write(append(out, '\n')); err != nil {
			return fmt.Errorf("write on-demand output: %w", err)
		}
	}
	if _, err := w.Commit(); err != nil {
		return fmt.Errorf("write on-demand output: %w", err)
	}
	now := a.clock.Now().UTC()
	err = a.h.progress(ctx, func(s *Submission) error {
		p := s.part(a.n, a.attempt)
		if p.rise(PartEnded) {
			p.EndedAt, p.JobStatus = &now, batch.Completed
			if errors.Is(a.halted, errStopped) {
				p.JobStatus = batch.Stopped
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.note(ctx, "part answered on demand", a.h.ID, "part", a.n, "attempt", a.attempt, "answers", len(a.have), "records", a.records)
	return a.report(ctx, a.h.Submission)
}

// splitRecord takes a record's line, which we wrote ourselves, apart.
func splitRecord(line []byte) (id string, modelInput []byte, err error) {
	rest, ok := bytes.CutPrefix(bytes.TrimRight(line, "\n"), []byte(`{"recordId":"`))
	end := bytes.Index(rest, []byte(`","modelInput":`))
	if !ok || end < 0 || !bytes.HasSuffix(rest, []byte("}")) {
		return "", nil, errors.New("a staged record is not in the shape that it was written in")
	}
	return string(rest[:end]), rest[end+len(`","modelInput":`) : len(rest)-1], nil
}

// lines reads an object of ours line by line; a line may be as long as the
// longest record.
type lines struct {
	io.Closer
	r   *bufio.Reader
	buf []byte
}

func openLines(ctx context.Context, files batch.Files, key string) (*lines, error) {
	body, err := files.Open(ctx, key, "", 0, batch.Whole)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return &lines{Closer: body, r: bufio.NewReaderSize(body, 256<<10)}, nil
}

// next is the next line, valid until the next call. io.EOF after the last.
func (l *lines) next() ([]byte, error) {
	l.buf = l.buf[:0]
	for {
		chunk, err := l.r.ReadSlice('\n')
		l.buf = append(l.buf, chunk...)
		if err == bufio.ErrBufferFull {
			if len(l.buf) > 4*dataset.MaxRow {
				return nil, errors.New("a staged line is too long")
			}
			continue
		}
		if err == io.EOF && len(l.buf) > 0 {
			err = nil
		}
		return l.buf, err
	}
}
