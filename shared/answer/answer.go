// Package answer turns the output files of jobs into results in the order of
// the rows they belong to.
//
// [Order] takes the output of one part in one attempt: lines in any order,
// spread over any number of files, failed in any of the shapes that jobs write.
// Each line is placed by its recordId, and two streams come out in row order:
// finished lines of results.jsonl, and a [Failure] for every row that has no
// answer. [Merge] joins the streams of several attempts, and [Errors] renders
// what is left without an answer as lines of errors.jsonl.
//
// Everything streams. What is held at once is a few buffers, some 40 bytes for
// each row of the part, and rendered lines up to a limit beyond which they go
// to a temporary file, and beyond that file's limit the output is read again.
package answer

import (
	"context"
	"io"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/model/schema"
)

// Output is one `*.jsonl.out` file of a job.
type Output struct {
	// Open reads the file from its beginning. It may be called several
	// times, one reader after the other, and must yield the same bytes.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// Size is the file's length in bytes where it is known. It is a hint.
	Size int64
}

// The limits that a zero Job stands for.
const (
	// DefaultMemory is how many bytes of rendered lines are held in memory.
	DefaultMemory int64 = 32 << 20
	// DefaultSpill is how many bytes of rendered lines a temporary file may
	// hold beyond those in memory.
	DefaultSpill int64 = 384 << 20
)

// Job is the output of one part in one attempt, and where its rows go.
type Job struct {
	// Index opens the part's index file as package part writes it. It is read
	// several times, one reader after the other.
	Index func(ctx context.Context) (io.ReadCloser, error)
	// Outputs are read in this order; of several lines for one row the first
	// valid answer wins.
	Outputs []Output
	// Invocation and Family say how answers are read; with Converse the
	// family does not matter.
	Invocation batch.Invocation
	Family     model.Family
	// Attempt is written to each result.
	Attempt int
	// Raw keeps the bytes of modelOutput in each result.
	Raw bool
	// JSON has answers read as JSON, which must fit the schema; nil takes
	// them as text.
	JSON *schema.Schema
	// Source names the object that a number in the index's source field
	// stands for. If it is nil, results carry no source.
	Source func(n int) (key string, err error)
	// Dir is a private folder for temporary files, needed where more than
	// Memory has to be held. Nothing is left in it.
	Dir string
	// Memory and Spill are limits in bytes on the rendered lines held; 0
	// takes the default, less than 0 means none at all. The smaller they are
	// the more often the output is read; at least one row is placed by each
	// reading.
	Memory, Spill int64
	// Results receives lines of results.jsonl, Failed one [Failure] a line,
	// both in row order and in small pieces, as a writer of the bucket likes
	// them. Neither is closed.
	Results, Failed io.Writer
}

// Tally is what came of the records of a part.
type Tally struct {
	// Records = Answered + Failed + Missing.
	Records  int64 `json:"records"`
	Answered int64 `json:"answered"`
	// Failed counts rows whose line says that they failed or cannot be read.
	Failed int64 `json:"failed"`
	// Missing counts rows without any line.
	Missing int64 `json:"missing"`
	// Retryable counts those of Failed that failed for a passing reason.
	Retryable int64 `json:"retryable"`
	// InputTokens and OutputTokens are sums over the answered rows;
	// TokensKnown is false if an answered row does not report its own, so
	// that the sums are too low.
	InputTokens  int64 `json:"inputTokens"`
	OutputTokens int64 `json:"outputTokens"`
	TokensKnown  bool  `json:"tokensKnown"`
	// Foreign counts lines with a recordId that is not of this part,
	// Duplicate further lines for a row that had one, Unreadable lines from
	// which no recordId could be read. None of them becomes a row.
	Foreign    int64 `json:"foreign"`
	Duplicate  int64 `json:"duplicate"`
	Unreadable int64 `json:"unreadable"`
	// StopReasons counts the answered rows by normalised stop reason.
	StopReasons map[string]int64 `json:"stopReasons,omitempty"`
	// Errors are the most common errors among Failed, most common first.
	Errors []ErrorCount `json:"errors,omitempty"`
	// Passes is how often the output was read.
	Passes int `json:"passes"`
}

// ErrorCount is how often an error occurred.
type ErrorCount struct {
	Code string `json:"code"`
	// Message is cut at 200 characters.
	Message string `json:"message"`
	Count   int64  `json:"count"`
}

// Failure is one row without an answer: a line of the Failed streams.
type Failure struct {
	Row      int64
	RecordID string
	// ID is the user's id as raw JSON, nil if there is none.
	ID []byte
	// Source is the number of the object the row came from in a submission
	// of several, part.NoSource where there is only one.
	Source int
	// Off and Len are the place of the row's bytes in its source.
	Off, Len int64
	// Code is the status number or error code that the job wrote, or one of
	// the codes of this package. Message is whole.
	Code, Message string
	Retryable     bool
	// Missing: no line of the job's output was about this row.
	Missing bool
	// Attempts is how many attempts the row has been through; [Merge] sets
	// it.
	Attempts int
	// ModelInput is the record as sent, where the output line echoed it, and
	// ModelOutput the answer that could not be read as one.
	ModelInput, ModelOutput []byte
}

// The codes of failures that are found here; all others are the job's own.
const (
	// CodeUnreadableLine: the row's line is not a JSON object. Retryable.
	CodeUnreadableLine = "unreadable_line"
	// CodeNoAnswer: the row's line has neither answer nor error. Retryable.
	CodeNoAnswer = "no_answer"
	// CodeUnreadableAnswer: the answer is not in the shape of the model's
	// family. Asking again would be paid again and answered alike.
	CodeUnreadableAnswer = "unreadable_answer"
	// CodeUnnamed: the job wrote an error without a code.
	CodeUnnamed = "unnamed_error"
	// CodeMissing: no line is about the row. Whether it is worth a retry
	// depends on how the job ended; that is the caller's to decide.
	CodeMissing = "missing"
)

// Attempt is what [Order] wrote for one part in one attempt, as an input of
// [Merge]. Either stream may be nil: empty.
type Attempt struct {
	// Number orders attempts: the earliest that answered wins.
	Number int
	// Results and Failed are streams in row order. They may hold rows
	// outside the span that is merged.
	Results, Failed io.Reader
}

// Merging is the span of one original part and the attempts that hold its
// rows. Several retry parts of one attempt are several entries with the same
// number.
type Merging struct {
	FirstRow, LastRow int64 // both included
	Attempts          []Attempt
	// Results receives the final lines, Failed what never was answered: the
	// error of the last attempt, with "attempts".
	Results, Failed io.Writer
}

// Merged is what came of the rows of a span after all attempts.
type Merged struct {
	Answered  int64 `json:"answered"`
	Failed    int64 `json:"failed"`
	Missing   int64 `json:"missing"`
	Recovered int64 `json:"recovered"` // of Answered, by a later attempt than the first
	// Errors are the most common errors among Failed.
	Errors []ErrorCount `json:"errors,omitempty"`
}

// OriginKind says in what shape a failed row is given back.
type OriginKind int

const (
	// Gone: the row's source cannot be read any more.
	Gone OriginKind = iota
	// Object: Raw is the row's JSON object.
	Object
	// Columns: the row is Values under Header.
	Columns
	// Document: the row was a whole object, named by Bucket, Key, Version.
	Document
)

// Origin is the row that a failed record was made from.
type Origin struct {
	Kind           OriginKind
	Raw            []byte
	Header, Values []string
	Bucket, Key    string
	Version        string
}

// Erring renders the final Failed stream of a part.
type Erring struct {
	// Failed is what [Merge] wrote.
	Failed io.Reader
	// Origin finds a row again; it is called in row order, and what it
	// returns is used before the next call.
	Origin func(ctx context.Context, f *Failure) (Origin, error)
	// Errors receives lines of errors.jsonl.
	Errors io.Writer
}
