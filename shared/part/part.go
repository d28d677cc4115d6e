// Package part stages records into parts that a batch job takes.
//
// A Builder takes the rows of an upload one after the other, the good ones as
// records and the others as set-aside lines, and writes them into parts
// through a Sink. Parts own disjoint spans of rows that together cover the
// upload. A part has at most Quota.MaxRecords records and Quota.MaxBytes
// bytes; and, because a job with fewer than Quota.MinRecords is refused, the
// last rows of a part are held back until it is known that enough rows follow
// for the next one, and are moved there if not. Where that cannot be done the
// part is marked Small, and is answered without a job.
//
// Where the parts end depends on nothing but the rows from the start of a
// part on. So a second Builder that is fed from Part.Resume makes the same
// parts, byte for byte, as the first would have made.
package part

import (
	"io"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

// MaxAside is the number of set-aside rows after which a part is closed, so
// that an upload of bad rows has boundaries to stop and go on at.
const MaxAside = 50_000

// MaxKnown is the same for rows whose answer is known. They cost a part's
// gathering little, and a part that is closed early may be too small for a job.
const MaxKnown = 250_000

// Quota bounds a part.
type Quota struct {
	// MinRecords is the fewest records that a job takes.
	MinRecords int
	// MaxRecords and MaxBytes bound one staged file. MaxRecords is at least
	// twice MinRecords, so that two parts can always share a rest.
	MaxRecords int
	MaxBytes   int64
}

// Item is one row on its way into a part. Exactly one of Record and Aside is
// set. The Builder keeps none of the slices after Add or Own has returned,
// except the positions' Context.
type Item struct {
	// Record is the whole line {"recordId":...,"modelInput":...}\n.
	Record []byte
	// Aside is the whole line for set-aside.jsonl, its line end included.
	Aside []byte
	// Known says that Aside is the line of the results of a row whose answer
	// is known already: no job is asked about it, and it counts towards no
	// quota.
	Known bool
	// Row is the row's number.
	Row int64
	// Line is the whole line of the index, see AppendEntry; a set-aside row has
	// none.
	Line []byte
	// At is where this row starts, Next where the row after it starts.
	At, Next dataset.Position
}

// Stream is one of the streams of a part.
type Stream int

// The streams of a part.
const (
	Records    Stream = iota // the records, as a job reads them
	Index                    // one line per record, see Entry
	Aside                    // the set-aside rows
	Known                    // the results of rows that are known already
	KnownIndex               // one line per such row, as in Index

	streams int = iota
)

// String names the stream.
func (s Stream) String() string {
	switch s {
	case Records:
		return "records"
	case Index:
		return "index"
	case Aside:
		return "aside"
	case Known:
		return "known"
	case KnownIndex:
		return "known index"
	}
	return "unknown"
}

// Sink receives parts. It is called from within Add and End, by the same
// goroutine; parts come one after the other.
type Sink interface {
	// Open opens a stream of part n. It is called at most once per stream
	// and part, at the first byte; a stream without bytes is not opened.
	Open(n int, stream Stream) (io.Writer, error)
	// Closed says that part n is complete: its streams get no more bytes. No
	// stream of the next part is opened before it has returned.
	Closed(Part) error
}

// Source is a byte range of the decompressed upload.
type Source struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"`
}

// Part is what is known of a complete part.
type Part struct {
	// N is the part's number, from 0.
	N int `json:"n"`
	// Records is the number of records, 0 where all rows are set aside.
	Records int `json:"records"`
	// Bytes is the size of the records stream.
	Bytes int64 `json:"bytes"`
	// Aside is the number of set-aside rows.
	Aside int `json:"aside"`
	// Known is the number of rows whose answer was known already.
	Known int `json:"known,omitempty"`
	// FirstRow and LastRow are the numbers of the first and last row, record
	// or not.
	FirstRow int64 `json:"firstRow"`
	LastRow  int64 `json:"lastRow"`
	// Source spans the rows in the upload.
	Source Source `json:"source"`
	// Small says that the part holds records but is no job: they are fewer
	// than a job takes, or it is one record larger than a file may be.
	Small bool `json:"small,omitempty"`
	// Resume is where the first row after this part starts.
	Resume dataset.Position `json:"resume"`
}

// Options are the ways of a Builder that have sensible defaults.
type Options struct {
	// First is the number of the first part, for a Builder that goes on.
	First int
	// TempDir is where rows are held back that do not fit in memory; empty
	// is the system's folder for temporary files.
	TempDir string
	// MaxAside and MaxKnown override the constants of these names.
	MaxAside, MaxKnown int
	// Memory is how many bytes are held back in memory before a temporary
	// file is used; 0 means 8 MiB.
	Memory int
	// Held is how many bytes are held back at most, in memory and in files;
	// 0 means 128 MiB. Rows beyond it go into the part where they stand and
	// cannot be moved into the next.
	Held int64
}
