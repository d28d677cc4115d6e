// Package dataset reads uploads: it recognises what an upload is, cuts it
// into rows and says of each row what is needed to make a record of it.
//
// A row is one line of a JSONL upload, one row of a CSV or TSV table below
// its header, one element of a JSON array, or a whole text document. Rows are
// numbered from 1 in the order in which they stand, the bad ones included.
// Nothing that stands in an upload is an error of a reader: a row that cannot
// be used comes back with Row.Bad set, and the rows after it are read as if
// it were not there. The errors of a reader are those of the stream below it.
//
// Memory is bounded by the largest row allowed (MaxRow), whatever the size
// of the upload. A reader can be made anew at any Position that another one
// has reported, and goes on exactly there.
package dataset
