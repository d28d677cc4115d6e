package dataset

import (
	"io"
	"path"
	"slices"
	"strings"
)

// Format is how the rows of an upload are written.
type Format string

// The formats of this package. Others may be registered.
const (
	// Native: JSON lines {"recordId"?, "modelInput": {...}}.
	Native Format = "native"
	// Prompt: JSON lines {"prompt": "..."}.
	Prompt Format = "prompt"
	// OpenAI: OpenAI batch lines {"custom_id", "method", "url", "body"}.
	OpenAI Format = "openai"
	// Anthropic: Anthropic message batch lines {"custom_id", "params"}.
	Anthropic Format = "anthropic"
	// JSONL: JSON lines with any members, for a prompt template.
	JSONL Format = "jsonl"
	// JSON: an array of objects, for a prompt template.
	JSON Format = "json"
	// CSV and TSV: tables with a header, for a prompt template.
	CSV Format = "csv"
	TSV Format = "tsv"
	// Parquet: a Parquet file, for a prompt template over its columns.
	Parquet Format = "parquet"
	// Text: the upload is one document, for a prompt template over {content}.
	Text Format = "text"
	// Media: the upload is one document or image that is not text, for a
	// prompt template that says what to ask about it.
	Media Format = "media"
)

// Spec is what there is to know of a format. Each format's file registers one.
type Spec struct {
	// Format is its name in a workload's format key.
	Format Format
	// Row, Read and Back are for the table in the documentation: what one row
	// is, what of it is read, and in what shape it comes back.
	Row, Read, Back string
	// Endings are the endings of names that tell the format by themselves,
	// as ".csv".
	Endings []string
	// Lines says that a row is one line of JSON.
	Lines bool
	// Whole says that an upload is one row: a document. Documents of a folder
	// are gathered, and named rather than copied where they fail.
	Whole bool
	// Anywhere says that an upload is read in many places rather than from
	// front to back: New is given a Sized, which is not packed, and positions
	// are numbers of rows.
	Anywhere bool
	// Names reports, of a format with Lines, whether the member names of the
	// first row tell it. Formats are asked in the order of Formats.
	Names func(has func(name string) bool) bool
	// New makes a reader of the upload's decompressed bytes from at.Off on.
	New func(r io.Reader, at Position, opt Options) (Reader, error)
}

// Formats are the names of all formats, in the order of the documentation.
var Formats = []Format{Native, Prompt, OpenAI, Anthropic, JSONL, JSON, CSV, TSV, Parquet, Text, Media}

// specs are all registered formats.
var specs = map[Format]Spec{}

// Register adds a format. It is called while package variables are set up, so
// that a new format is one new file; a name that is taken is replaced.
func Register(s Spec) Format {
	specs[s.Format] = s
	if !slices.Contains(Formats, s.Format) {
		Formats = append(Formats, s.Format)
	}
	return s.Format
}

// SpecOf is what is known of a format; false where there is none of the name.
func SpecOf(f Format) (Spec, bool) {
	s, ok := specs[f]
	return s, ok
}

// Known reports whether f is one of Formats.
func (f Format) Known() bool {
	_, ok := specs[f]
	return ok
}

// Lines reports whether a row of the format is one line of JSON.
func (f Format) Lines() bool { return specs[f].Lines }

// Whole reports whether an upload in the format is one row, a document.
func (f Format) Whole() bool { return specs[f].Whole }

// Anywhere reports whether a reader of the format is made of a Sized.
func (f Format) Anywhere() bool { return specs[f].Anywhere }

// NamedDocument reports whether a key names a document by its ending.
func NamedDocument(key string) bool {
	f, ok := byEnding(strings.ToLower(path.Ext(key)))
	return ok && f.Whole()
}

// Compression is how the bytes of an upload are packed.
type Compression string

// The compressions.
const (
	Plain Compression = ""
	Gzip  Compression = "gzip"
	Zstd  Compression = "zstd"
)
