// Package parquet reads and writes Parquet files in flat memory.
//
// [Open] reads a file's footer, [File.Rows] its rows from any row on: page by
// page, so that what is held at once is a page of every column and its
// dictionary, bounded by [MaxPage] and [MaxHeld] whatever the file claims of
// itself. Nothing in a file is believed before it is checked, and nothing is
// allocated because a number in the file says so. [Writer] writes results:
// flat columns and lists of numbers, compressed with Snappy.
//
// It stands by itself because the library for this format brings reflection
// over all methods into a binary, which more than doubles the functions, and
// allocates what a page's header asks for. Tests hold it against that library
// in both directions.
package parquet

import (
	"errors"
	"fmt"
)

// Limits of what is read. All are far above what writers make by default.
const (
	// MaxFooter is the largest footer in bytes.
	MaxFooter = 64 << 20
	// MaxColumns is how many columns a file may have, members of nested ones
	// counted by themselves.
	MaxColumns = 2000
	// MaxChunks is how many columns times row groups a file may have.
	MaxChunks = 1 << 20
	// MaxPage is the largest page or dictionary in bytes, unpacked.
	MaxPage = 128 << 20
	// MaxHeld is how many bytes the pages and dictionaries of all columns
	// may take together.
	MaxHeld = 320 << 20
	// maxPageValues bounds the values of one page.
	maxPageValues = 32 << 20
	// maxHeader is the largest header of a page, which holds statistics.
	maxHeader = 16 << 20
	// maxNesting is how deep columns may be nested.
	maxNesting = 64
)

// ErrBroken: the file is not one that can be read. The message says why, and
// never quotes a row.
var ErrBroken = errors.New("unreadable Parquet file")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrBroken}, args...)...)
}
