package dataset

// MaxRow is the largest row in bytes. It is the limit of the body of one
// model invocation; nothing larger could be answered.
const MaxRow = 25_000_000

// MaxID is the largest user id in bytes, as written in JSON.
const MaxID = 1024

// MaxDepth is how deep the arrays and objects of a JSON row may be nested.
const MaxDepth = 1000

// Codes of rows that are set aside.
const (
	CodeRowTooLarge  = "row_too_large"  // over MaxRow
	CodeNotUTF8      = "not_utf8"       // bytes that are not UTF-8
	CodeNotJSON      = "not_json"       // broken JSON
	CodeNotObject    = "not_object"     // JSON, but no object
	CodeTooDeep      = "too_deep"       // nested deeper than MaxDepth
	CodeNoModelInput = "no_model_input" // native row without modelInput, or it is no object
	CodeNoBody       = "no_body"        // row of another service's batch without its request, or it is no object
	CodeNotMedia     = "not_media"      // a file that is none of the documents and images that can be sent
	CodeNoPrompt     = "no_prompt"      // no prompt, or it is no text
	CodeEmptyPrompt  = "empty_prompt"   // nothing but white space to send
	CodeIDTooLong    = "id_too_long"    // over MaxID
	CodeBadID        = "bad_id"         // neither text nor number
	CodeColumns      = "wrong_columns"  // more or fewer fields than the header
	CodeQuotes       = "bad_quotes"     // CSV quotes that do not match
	CodeNameMissing  = "name_missing"   // a name of the template that the row lacks
)

// Position is where a row starts; a reader made at a Position goes on there.
// The zero Position is the start of the upload. It is kept in checkpoints, so
// its JSON form is stable.
type Position struct {
	// Row is the number of the row that starts here (0 counts as 1).
	Row int64 `json:"row"`
	// Line is the physical line, counted from 1 (0 counts as 1).
	Line int64 `json:"line"`
	// Off is the byte offset in the decompressed upload.
	Off int64 `json:"off"`
	// Context is what the format must know to go on in the middle: the
	// header of a CSV, the state of a JSON array. It is never changed once
	// handed out, so positions may share it.
	Context []byte `json:"context,omitempty"`
}

// Bad says why a row is set aside.
type Bad struct {
	// Code is one of the Code constants, or one of the caller's.
	Code string
	// Reason is one sentence for people. It never quotes the row.
	Reason string
}

// Row is one row of an upload. All of it is valid until the next call of
// Next of the reader that gave it.
type Row struct {
	// Row is the row's number and Line the physical line where it starts,
	// both counted from 1.
	Row, Line int64
	// Off and End are the byte range of Raw in the decompressed upload,
	// without the line's end.
	Off, End int64
	// Raw is the row as it stands in the upload, without the line's end.
	Raw []byte
	// Cut says that Raw holds the beginning only, as the row is too large.
	Cut bool
	// ID is the user's id as a JSON value (string or number), nil if the row
	// has none.
	ID []byte
	// ModelInput is the request that the row itself holds, the bytes as
	// written: a native row's modelInput, an OpenAI row's body, an Anthropic
	// row's params.
	ModelInput []byte
	// Media is what a file of media is, as pdf or png; Raw is the file.
	Media string
	// Bad is set on a row that cannot be used.
	Bad *Bad

	members []member
	// document marks a text document, whose one name is "content".
	document bool
}

// Name of the member that a failed row carries in errors.jsonl. It is dropped
// when such a file is uploaded again.
const errorMember = "_error"

type member struct {
	name  []byte // decoded
	value Value
}

// Value is what stands under a name in a row.
type Value struct {
	// Raw is the value as written: a JSON value, or with Text plain text.
	Raw []byte
	// Text says that Raw is plain text: a CSV field or a document.
	Text bool
}

// Set puts a value under a name, behind those that are there: for readers of
// formats outside this package. Name and value must stay valid as long as the
// row.
func (r *Row) Set(name string, v Value) {
	r.members = append(r.members, member{name: []byte(name), value: v})
}

// Reset makes the row another one, keeping its memory.
func (r *Row) Reset(row, line, off int64) {
	*r = Row{Row: row, Line: line, Off: off, members: r.members[:0]}
}

// Lookup finds what stands in the row under a name: a member, a column, or
// "content" of a text document. Of several members of one name the last
// counts. "_error" is never found.
func (r *Row) Lookup(name string) (Value, bool) {
	if r.document {
		if name == "content" && r.Media != "" {
			return Value{Text: true}, true // it stands beside the text
		}
		if name == "content" {
			return Value{Raw: r.Raw, Text: true}, true
		}
		return Value{}, false
	}
	if name == errorMember {
		return Value{}, false
	}
	for i := len(r.members) - 1; i >= 0; i-- {
		if string(r.members[i].name) == name {
			return r.members[i].value, true
		}
	}
	return Value{}, false
}

// Names yields the row's names in the order in which they stand.
func (r *Row) Names() []string {
	if r.document {
		return []string{"content"}
	}
	names := make([]string, 0, len(r.members))
	for i := range r.members {
		if string(r.members[i].name) != errorMember {
			names = append(names, string(r.members[i].name))
		}
	}
	return names
}

// AppendMembers appends the row's own members as JSON, "name":value separated
// by commas and without the braces around them, for a line that is to carry
// the row and something beside it. JSON values stand as written except that
// line ends between them become spaces; columns are strings; an "_error" of
// an earlier run is left out. A row that is not an object has no members.
func (r *Row) AppendMembers(dst []byte) []byte {
	if r.document {
		dst = append(dst, `"content":`...)
		return Value{Raw: r.Raw, Text: true}.AppendJSON(dst)
	}
	first := true
	for i := range r.members {
		m := &r.members[i]
		if string(m.name) == errorMember {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, '"')
		dst = appendEscaped(dst, m.name)
		dst = append(dst, '"', ':')
		dst = m.value.AppendJSON(dst)
	}
	return dst
}
