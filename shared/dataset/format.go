package dataset

// Format is how the rows of an upload are written.
type Format string

// The formats.
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
	// Text: the upload is one document, for a prompt template over {content}.
	Text Format = "text"
)

// Formats are all formats by name, in the order of the documentation.
var Formats = []Format{Native, Prompt, OpenAI, Anthropic, JSONL, JSON, CSV, TSV, Text}

// Known reports whether f is one of Formats.
func (f Format) Known() bool {
	for _, known := range Formats {
		if f == known {
			return true
		}
	}
	return false
}

// Lines reports whether a row of the format is one line of JSON.
func (f Format) Lines() bool {
	switch f {
	case Native, Prompt, OpenAI, Anthropic, JSONL:
		return true
	}
	return false
}

// Compression is how the bytes of an upload are packed.
type Compression string

// The compressions.
const (
	Plain Compression = ""
	Gzip  Compression = "gzip"
	Zstd  Compression = "zstd"
)
