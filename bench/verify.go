package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/bench/data"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// verified is the most bytes of the uploads whose contents are checked.
const verified = 16e6

// verify runs every job once, untimed, with all contents kept, and compares
// what came out with what the rows' numbers say, byte for byte.
func verify(ctx context.Context, s *session, p plan, say func(string, ...any)) error {
	var rows int64
	for _, shape := range []data.Shape{data.Prompt, data.Native, data.OpenAI, data.Template, data.CSV, data.Short, data.Documents} {
		size := min(verified, p.mb*1e6)
		if shape == data.Short {
			size /= 16
		}
		if shape == data.Documents && size < verified {
			continue // a hundred rows of a megabyte are no small upload
		}
		n, err := s.verify(ctx, shape, size)
		if err != nil {
			return fmt.Errorf("%s rows: %w", shape, err)
		}
		rows += n
	}
	say("bench: verified value=%d unit=rows", rows)
	return nil
}

func (s *session) verify(ctx context.Context, shape data.Shape, size int64) (int64, error) {
	// Small parts, so that there are several.
	rows, quotas := int64(0), "quotas: {max_records: 3000, max_file_bytes: 5000000}\n"
	if shape == data.Documents {
		rows, quotas = 230, "quotas: {max_file_bytes: 130000000}\n"
	}
	u, err := s.ready(ctx, shape, size, rows, quotas, false)
	if err != nil {
		return 0, err
	}
	asides, err := s.checkRecords(ctx, u)
	if err != nil {
		return 0, err
	}
	if _, err := s.own(ctx, u.fresh(), false, "copy", inBucket+"/"+shape.Key()); err != nil {
		return 0, err
	}
	if err := s.checkCopy(ctx, u); err != nil {
		return 0, err
	}
	r, err := s.own(ctx, u.ended(), false, "collect", u.id, string(shape))
	if err != nil {
		return 0, err
	}
	return u.rows, s.checkResults(ctx, u, r.Notice, asides)
}

// each calls visit with every line of an object of the output bucket.
func (s *session) each(ctx context.Context, key string, visit func(line []byte) error) error {
	body, err := s.output.Open(ctx, key, "", 0, batch.Whole)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewReaderSize(body, 4<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if err := visit(line[:len(line)-1]); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
}

// checkRecords compares the staged parts with the rows.
func (s *session) checkRecords(ctx context.Context, u *upload) (asides int64, err error) {
	row := int64(0)
	next := func() int64 {
		for row++; !u.shape.Good(row); row++ {
			asides++
		}
		return row
	}
	for _, p := range u.parts {
		err := s.each(ctx, fmt.Sprintf("%sin/%d-%d.jsonl", pipeline.StagedPrefix(u.id), p.N, p.Attempt), func(line []byte) error {
			n := next()
			if want := `{"recordId":"` + data.RecordID(n) + `","modelInput":` + u.shape.ModelInput(n) + `}`; string(line) != want {
				return fmt.Errorf("row %d: a record of %d bytes differs from the %d bytes expected", n, len(line), len(want))
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	for n := row + 1; n <= u.rows; n++ {
		if u.shape.Good(n) {
			return 0, fmt.Errorf("row %d has no record", n)
		}
		asides++
	}
	return asides, nil
}

// checkCopy looks whether the floor copies what it says it does.
func (s *session) checkCopy(ctx context.Context, u *upload) error {
	row := int64(0)
	var want []byte
	return s.each(ctx, "copy/0", func(line []byte) error {
		if u.shape == data.CSV && row == 0 && bytes.HasPrefix(line, []byte("id,")) {
			return nil
		}
		row++
		if want = u.shape.AppendRow(want[:0], row); !bytes.Equal(line, want[:len(want)-1]) {
			return fmt.Errorf("row %d was copied wrong", row)
		}
		return nil
	})
}

// checkResults compares results, errors, set-aside rows and the notice.
func (s *session) checkResults(ctx context.Context, u *upload, notice string, asides int64) error {
	var n pipeline.Notice
	if err := json.Unmarshal([]byte(notice), &n); err != nil {
		return err
	}
	answered := u.rows - asides - u.failed
	if r := n.Rows; r.Total != u.rows || r.Answered != answered || r.Failed != u.failed || r.SetAside != asides || r.Missing != 0 {
		return fmt.Errorf("the notice counts %+v of %d rows, %d failed, %d set aside", r, u.rows, u.failed, asides)
	}
	folder := "results/" + u.shape.Key() + "/" + u.id + "/"
	row, results, tokens := int64(0), int64(0), int64(0)
	err := s.each(ctx, folder+"results.jsonl", func(line []byte) error {
		for row++; !u.shape.Good(row) || data.Failed(row); row++ {
		}
		results++
		tokens += 400 + row%7
		if string(line) != u.shape.Result(row) {
			return fmt.Errorf("row %d: a result of %d bytes differs from the %d bytes expected", row, len(line), len(u.shape.Result(row)))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if results != answered || n.Tokens.Input != tokens {
		return fmt.Errorf("%d results and %d tokens, %d and %d were expected", results, n.Tokens.Input, answered, tokens)
	}
	row = 0
	var wrong int64
	if err := s.each(ctx, folder+"errors.jsonl", func(line []byte) error {
		for row++; !u.shape.Good(row) || !data.Failed(row); row++ {
		}
		wrong++
		var got map[string]json.RawMessage
		if err := json.Unmarshal(line, &got); err != nil {
			return err
		}
		if got["_error"] == nil || !strings.Contains(string(line), u.shape.ID(row)) || u.shape != data.Native && !strings.Contains(string(line), u.shape.Text(row)) {
			return fmt.Errorf("row %d: its error does not hold the row", row)
		}
		return nil
	}); err != nil {
		return err
	}
	var aside int64
	if asides > 0 {
		if err := s.each(ctx, folder+"set-aside.jsonl", func([]byte) error { aside++; return nil }); err != nil {
			return err
		}
	}
	if wrong != u.failed || aside != asides {
		return fmt.Errorf("%d errors and %d set aside, %d and %d were expected", wrong, aside, u.failed, asides)
	}
	return nil
}
