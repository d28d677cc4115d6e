package dataset

import (
	"errors"
	"fmt"
	"io"
)

// MaxHeader is the largest header of a table in bytes. It is part of every
// checkpoint.
const MaxHeader = 64 << 10

// ErrHeader: the header of a table cannot be used, so none of its rows can.
var ErrHeader = errors.New("unusable header")

// ErrBroken: the upload as a whole is not what its format says.
var ErrBroken = errors.New("broken upload")

// Unusable reports whether an error of a reader is the upload's own fault, so
// that reading it again would end alike. The message is for the uploader.
func Unusable(err error) bool {
	return errors.Is(err, ErrHeader) || errors.Is(err, ErrBroken) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrCorrupt)
}

// ErrFormat: there is no reader for the format.
var ErrFormat = errors.New("no reader for this format")

// Options are what a reader must know beside the format.
type Options struct {
	// IDColumn names the member or column that is the user's id. Empty:
	// recordId, custom_id or id, whichever is there first in this order.
	IDColumn string
	// MaxRow overrides the constant of this name, for tests; 0 keeps it.
	MaxRow int
}

func (o Options) maxRow() int {
	if o.MaxRow > 0 {
		return o.MaxRow
	}
	return MaxRow
}

// Reader yields the rows of an upload.
type Reader interface {
	// Next reads the next row. It returns io.EOF when there is none, and
	// errors of the stream as they are; after an error the reader is of no
	// more use, and a new one can be made at the last Position.
	Next() (*Row, error)
	// Position is where the row that Next would return starts.
	Position() Position
}

// New makes a reader of the upload's decompressed bytes from at.Off on: r
// begins there. Of a format with Spec.Anywhere r is a Sized.
func New(f Format, r io.Reader, at Position, opt Options) (Reader, error) {
	if at.Row < 0 || at.Line < 0 || at.Off < 0 {
		return nil, fmt.Errorf("read rows in format %s: negative position %+v", f, at)
	}
	at.Row, at.Line = max(at.Row, 1), max(at.Line, 1)
	if spec, ok := specs[f]; ok {
		return spec.New(r, at, opt)
	}
	return nil, fmt.Errorf("read rows in format %q: %w", f, ErrFormat)
}

// Columns are the names that each row of a table has, read from its header,
// for checks before any row is read. Rows of other formats have no names in
// common: nil. io.EOF where there is no header, else errors as those of Next.
func Columns(r Reader) ([]string, error) {
	if t, ok := r.(interface{ columns() ([]string, error) }); ok {
		return t.columns()
	}
	return nil, nil
}

// GoTo makes Next return a row further on. Readers of formats with
// Spec.Anywhere can; for others ErrFormat.
func GoTo(r Reader, row int64) error {
	c, ok := r.(interface{ goTo(row int64) error })
	if !ok {
		return fmt.Errorf("go to row %d: %w", row, ErrFormat)
	}
	return c.goTo(row)
}

// defaultIDs are the names under which ids are looked for, in this order.
var defaultIDs = []string{"recordId", "custom_id", "id"}

// identity finds the id of each row.
type identity struct {
	names   []string
	scratch []byte
	bad     Bad
}

func newIdentity(column string) identity {
	if column != "" {
		return identity{names: []string{column}}
	}
	return identity{names: defaultIDs}
}

// set gives the row its id, or says why it cannot have it.
func (d *identity) set(row *Row) *Bad {
	for _, name := range d.names {
		v, ok := row.Lookup(name)
		if !ok || v.Null() {
			continue
		}
		id := v.Raw
		if v.Text {
			if len(id) == 0 {
				return nil
			}
			d.scratch = v.AppendJSON(d.scratch[:0])
			id = d.scratch
		}
		if c := id[0]; c != '"' && c != '-' && (c < '0' || c > '9') {
			d.bad = Bad{Code: CodeBadID, Reason: fmt.Sprintf("the id in %q is neither text nor a number", name)}
			return &d.bad
		}
		if len(id) > MaxID {
			d.bad = Bad{Code: CodeIDTooLong, Reason: fmt.Sprintf("the id in %q has %d bytes, the limit is %d", name, len(id), MaxID)}
			return &d.bad
		}
		row.ID = id
		return nil
	}
	return nil
}

// tooLarge is the verdict on a row over the limit.
func tooLarge(size int64, limit int) Bad {
	return Bad{Code: CodeRowTooLarge, Reason: fmt.Sprintf("the row has %d bytes, the limit is %d", size, limit)}
}
