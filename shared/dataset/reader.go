package dataset

import (
	"fmt"
	"io"
)

// Options are what a reader must know beside the format.
type Options struct {
	// IDColumn names the member or column that is the user's id. Empty:
	// recordId, custom_id or id, whichever is there first in this order.
	IDColumn string
	// MaxRow overrides the constant of this name, for tests; 0 keeps it.
	MaxRow int
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
// begins there.
func New(f Format, r io.Reader, at Position, opt Options) (Reader, error) {
	return nil, fmt.Errorf("rows in format %q cannot be read yet", f)
}
