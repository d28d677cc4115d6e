package dataset

import (
	"errors"
	"fmt"
	"io"

	"github.com/bedrock-batch/bedrock-batch/shared/parquet"
)

var _ = Register(Spec{
	Format: Parquet, Row: "a row of a Parquet file", Endings: []string{".parquet", ".pq"}, Anywhere: true,
	Read: "the columns, by `prompt_template` or `prompt`; nested ones as JSON",
	Back: "results.jsonl; Parquet with `output: {parquet: true}`",
	New:  newColumns,
})

// Sized is an upload that can be read at any place. Readers of formats with
// Spec.Anywhere are made of one: bytes.Reader, strings.Reader and
// io.SectionReader are such.
type Sized interface {
	io.ReaderAt
	// Size is the upload's length in bytes.
	Size() int64
}

// columns reads the rows of a Parquet file. Its positions are numbers of rows:
// where a row lies in the file is for the file's footer to say. A row's Off is
// its number from 0, and it has no length.
type columns struct {
	source Sized
	at     Position // of the next row
	limit  int
	file   *parquet.File
	rows   *parquet.Rows
	ids    identity
	row    Row
	bad    Bad
}

func newColumns(r io.Reader, at Position, opt Options) (Reader, error) {
	source, ok := r.(Sized)
	if !ok {
		return nil, fmt.Errorf("%w: Parquet is compressed by itself and is read from its end; upload it as it is", ErrBroken)
	}
	return &columns{source: source, at: at, limit: opt.maxRow(), ids: newIdentity(opt.IDColumn)}, nil
}

func (c *columns) Position() Position { return c.at }

func (c *columns) open() error {
	if c.rows != nil {
		return nil
	}
	file, err := parquet.Open(c.source, c.source.Size())
	if err != nil {
		return told(err)
	}
	c.file, c.rows = file, file.Rows(c.at.Row-1, c.limit)
	return nil
}

// told makes what is wrong with the file the upload's fault.
func told(err error) error {
	if errors.Is(err, parquet.ErrBroken) {
		return brokenFile{err}
	}
	return err
}

// brokenFile is ErrBroken in the words of what found it out.
type brokenFile struct{ error }

func (brokenFile) Is(target error) bool { return target == ErrBroken }

func (c *columns) columns() ([]string, error) {
	if err := c.open(); err != nil {
		return nil, err
	}
	return c.file.Columns(), nil
}

// goTo goes on to a row further on. What lies between is read only where it
// shares pages with rows that are.
func (c *columns) goTo(row int64) error {
	if err := c.open(); err != nil {
		return err
	}
	if err := c.rows.Skip(row - c.at.Row); err != nil {
		return told(err)
	}
	c.at = Position{Row: row, Line: row}
	return nil
}

func (c *columns) Next() (*Row, error) {
	if err := c.open(); err != nil {
		return nil, err
	}
	cells, size, err := c.rows.Next()
	if err != nil && !errors.Is(err, parquet.ErrTooLarge) && !errors.Is(err, parquet.ErrNotUTF8) {
		return nil, told(err) // io.EOF is one of them
	}
	c.row.Reset(c.at.Row, c.at.Row, c.at.Row-1)
	c.row.End = c.row.Off
	c.at = Position{Row: c.at.Row + 1, Line: c.at.Row + 1}
	switch {
	case errors.Is(err, parquet.ErrTooLarge):
		c.bad = tooLarge(size, c.limit)
		c.row.Bad, c.row.Cut = &c.bad, true
		return &c.row, nil
	case err != nil:
		c.bad = Bad{Code: CodeNotUTF8, Reason: "a text in the row is not UTF-8"}
		c.row.Bad = &c.bad
	}
	for i := range cells {
		if cell := &cells[i]; !cell.Null {
			c.row.Set(cell.Name, Value{Raw: cell.Raw, Text: cell.Text})
		}
	}
	if c.row.Bad == nil {
		c.row.Bad = c.ids.set(&c.row)
	}
	return &c.row, nil
}
