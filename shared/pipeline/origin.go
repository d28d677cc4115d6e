package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// origins finds the rows of one part again, for errors.jsonl. Rows come in
// order, so each source is read once, from front to back.
type origins struct {
	*collectRun
	s *Submission
	w workload.Workload
	p Part

	listing []gathered
	source  int    // the object at hand
	upload  Upload // what it is
	format  dataset.Format
	header  []byte // what the format must know to read a row by itself
	known   bool   // upload, format and header are those of source
	gone    bool   // source cannot be read any more
	missing bool   // some source could not

	body io.ReadCloser
	rows dataset.Reader // of a format that is read anywhere
	at   int64
	raw  []byte
	row  []byte
}

func (o *origins) close() {
	if o.body != nil {
		o.body.Close()
		o.body = nil
	}
	o.rows = nil
}

// find reads the row that a failed record was made from.
func (o *origins) find(ctx context.Context, f *answer.Failure) (answer.Origin, error) {
	if !o.known || f.Source != o.source {
		o.close()
		o.source, o.known, o.gone, o.header = f.Source, true, false, nil
		if err := o.use(ctx); errors.Is(err, batch.ErrNotFound) {
			o.gone = true
		} else if err != nil {
			return answer.Origin{}, err
		}
	}
	if !o.gone && o.format.Anywhere() {
		return o.anywhereRow(ctx, f)
	}
	if !o.gone {
		err := o.seek(ctx, f)
		if err != nil && !errors.Is(err, batch.ErrNotFound) {
			return answer.Origin{}, err
		}
		o.gone = err != nil
	}
	switch {
	case o.gone:
		o.missing = true
		return answer.Origin{Kind: answer.Gone}, nil
	case o.format.Whole():
		return answer.Origin{Kind: answer.Document, Bucket: o.upload.Bucket, Key: o.upload.Key, Version: o.upload.VersionID}, nil
	case o.format.Lines():
		return answer.Origin{Kind: answer.Object, Raw: o.raw}, nil
	}
	// A table's or array's row is given back as an object of its members.
	raw, at := io.Reader(bytes.NewReader(o.raw)), dataset.Position{Row: f.Row, Line: 2, Context: o.header}
	if o.format == dataset.JSON {
		raw, at = io.MultiReader(strings.NewReader("["), raw, strings.NewReader("]")), dataset.Position{}
	}
	rows, err := dataset.New(o.format, raw, at, dataset.Options{})
	if err != nil {
		return answer.Origin{}, err
	}
	row, err := rows.Next()
	if err != nil {
		return answer.Origin{}, fmt.Errorf("read row %d again: %w", f.Row, err)
	}
	o.row = append(o.row[:0], '{')
	o.row = row.AppendMembers(o.row)
	o.row = append(o.row, '}')
	return answer.Origin{Kind: answer.Object, Raw: o.row}, nil
}

// anywhereRow reads a row of a file whose positions are numbers of rows.
func (o *origins) anywhereRow(ctx context.Context, f *answer.Failure) (answer.Origin, error) {
	number := f.Off + 1
	var err error
	if o.rows == nil || number < o.rows.Position().Row {
		o.rows, err = dataset.New(o.format, o.anywhere(ctx, o.upload), dataset.Position{Row: number}, dataset.Options{})
	} else {
		err = dataset.GoTo(o.rows, number)
	}
	var row *dataset.Row
	if err == nil {
		row, err = o.rows.Next()
	}
	if errors.Is(err, batch.ErrNotFound) {
		o.gone, o.missing = true, true
		return answer.Origin{Kind: answer.Gone}, nil
	}
	if err != nil {
		return answer.Origin{}, fmt.Errorf("read row %d again: %w", f.Row, err)
	}
	o.row = append(row.AppendMembers(append(o.row[:0], '{')), '}')
	return answer.Origin{Kind: answer.Object, Raw: o.row}, nil
}

// staged reports whether the rows were written down while the upload was
// read, since it cannot be read from the middle.
func (o *origins) staged() bool { return o.s.Compression != dataset.Plain }

// use finds out what the object at hand is.
func (o *origins) use(ctx context.Context) error {
	o.upload, o.format = o.s.Upload, o.s.Format
	if o.source != part.NoSource {
		if o.listing == nil {
			var err error
			if o.listing, err = o.readListing(ctx, o.s.Listing); err != nil {
				return err
			}
		}
		if o.source < 0 || o.source >= len(o.listing) {
			return fmt.Errorf("object %d of a listing of %d", o.source, len(o.listing))
		}
		o.upload = o.listing[o.source].Upload
		head, err := o.head(ctx, o.upload)
		if err != nil {
			return err
		}
		if o.format, _, err = dataset.Recognise(o.upload.Key, head, o.w.Format); err != nil {
			return fmt.Errorf("recognise %s again: %w", o.upload.Key, err)
		}
	}
	if o.format != dataset.CSV && o.format != dataset.TSV {
		return nil
	}
	body, err := o.input.Open(ctx, o.upload.Key, version(o.upload), 0, batch.Whole)
	if err != nil {
		return fmt.Errorf("read the header again: %w", err)
	}
	defer body.Close()
	var source io.Reader = body
	if o.staged() {
		packed, err := dataset.Decompress(body, o.s.Compression, 0)
		if err != nil {
			return fmt.Errorf("read the header again: %w", err)
		}
		defer packed.Close()
		source = packed
	}
	rows, err := dataset.New(o.format, source, dataset.Position{}, dataset.Options{})
	if err != nil {
		return fmt.Errorf("read the header again: %w", err)
	}
	if _, err := rows.Next(); err != nil && err != io.EOF {
		return fmt.Errorf("read the header again: %w", err)
	}
	o.header = rows.Position().Context
	return nil
}

// seek reads the row's bytes into raw.
func (o *origins) seek(ctx context.Context, f *answer.Failure) error {
	if o.format.Whole() {
		_, err := o.input.Stat(ctx, o.upload.Key, version(o.upload))
		return err
	}
	if o.body == nil || f.Off < o.at {
		o.close()
		var body io.ReadCloser
		var err error
		switch {
		case o.staged():
			body, err = o.output.Open(ctx, sourceKey(o.s.ID, 0), "", f.Off, batch.Whole)
		case o.source != part.NoSource:
			body, err = o.input.Open(ctx, o.upload.Key, version(o.upload), f.Off, batch.Whole)
		default:
			body, err = o.openRows(ctx, o.s, f.Off, max(o.p.Source.End, f.Off+f.Len))
		}
		if err != nil {
			return fmt.Errorf("read the rows again: %w", err)
		}
		o.body, o.at = body, f.Off
	}
	if err := pass(o.body, f.Off-o.at); err != nil {
		return fmt.Errorf("read the rows again: %w", err)
	}
	if int64(cap(o.raw)) < f.Len {
		o.raw = make([]byte, f.Len)
	}
	o.raw = o.raw[:f.Len]
	if _, err := io.ReadFull(o.body, o.raw); err != nil {
		return fmt.Errorf("read the rows again: %w", err)
	}
	o.at = f.Off + f.Len
	return nil
}

// pass passes over n bytes of r.
func pass(r io.Reader, n int64) error {
	if d, ok := r.(interface{ Discard(int) (int, error) }); ok {
		_, err := d.Discard(int(n))
		return err
	}
	_, err := io.CopyN(io.Discard, r, n)
	return err
}
