package answer

import (
	"strconv"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

// Dialect writes results in the shape of another service's batches, for
// programs that read those. Each dialect's file registers one for the format
// of uploads whose answers it writes.
type Dialect struct {
	Format dataset.Format
	// Results and Errors are the names of the files; Errors is empty where
	// failed rows stand among the results.
	Results, Errors string
	// AppendResult appends the line of an answered row, AppendError that of
	// one without an answer.
	AppendResult func(dst []byte, r *Result, b *Batch) []byte
	AppendError  func(dst []byte, f *Failure, b *Batch) []byte
}

// Batch is what all lines of a dialect have in common.
type Batch struct {
	// ID is the submission, Model the model that ran.
	ID, Model string
	Created   time.Time
}

var dialects = map[dataset.Format]Dialect{}

// RegisterDialect adds a dialect. It is called while package variables are set
// up.
func RegisterDialect(d Dialect) Dialect {
	dialects[d.Format] = d
	return d
}

// DialectOf is the dialect in which answers to rows of a format are written
// too; false where there is none.
func DialectOf(f dataset.Format) (Dialect, bool) {
	d, ok := dialects[f]
	return d, ok
}

// Result is one line of results.jsonl, read. Slices are parts of the line: JSON
// values as written, and texts as they stand between the quotes.
type Result struct {
	RecordID  string
	ID        []byte // the user's id as JSON, nil if there is none
	Output    []byte // text
	HasOutput bool
	Embedding []byte // JSON
	JSON      []byte // JSON
	ToolUse   []byte // a JSON array
	Reasoning []byte // text
	Stop      model.StopReason
	Attempt   int64
	ModelStop []byte // text
	// The tokens as told; Has is false where they are not.
	InputTokens, OutputTokens       int64
	HasInputTokens, HasOutputTokens bool

	c cursor.Cursor
}

// Read reads a line of results.jsonl, its end included or not.
func (r *Result) Read(line []byte) error {
	*r = Result{c: r.c}
	c := &r.c
	c.Reset(line)
	c.EnterObject()
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		switch string(name) {
		case "recordId":
			q, _ := c.String()
			r.RecordID = string(q)
		case "id":
			r.ID = c.Raw()
		case "output":
			r.Output, r.HasOutput = c.String()
		case "embedding":
			r.Embedding = c.Raw()
		case "json":
			r.JSON = c.Raw()
		case "toolUse":
			r.ToolUse = c.Raw()
		case "reasoning":
			r.Reasoning, _ = c.String()
		case "stopReason":
			q, _ := c.String()
			r.Stop = model.StopReason(q)
		case "modelStopReason":
			r.ModelStop, _ = c.String()
		case "attempt":
			r.Attempt, _ = c.Int()
		case "usage":
			if !c.EnterObject() {
				continue
			}
			for name, ok := c.Member(); ok; name, ok = c.Member() {
				switch string(name) {
				case "inputTokens":
					r.InputTokens, r.HasInputTokens = c.Int()
				case "outputTokens":
					r.OutputTokens, r.HasOutputTokens = c.Int()
				default:
					c.Skip()
				}
			}
		default:
			c.Skip()
		}
	}
	c.End()
	return c.Err()
}

// appendText appends the answer's text as a JSON string, whatever it was read
// as.
func (r *Result) appendText(dst []byte) []byte {
	if r.JSON != nil {
		return append(cursor.AppendQuoted(append(dst, '"'), string(r.JSON)), '"')
	}
	return append(append(append(dst, '"'), r.Output...), '"')
}

// call is one call of a tool, whatever family wrote it.
type call struct {
	id, name []byte // texts
	input    []byte // JSON
}

// calls yields the calls of tools.
func (r *Result) calls(yield func(call) bool) {
	var c cursor.Cursor
	c.Reset(r.ToolUse)
	if !c.EnterArray() {
		return
	}
	for c.Element() {
		var one call
		if !c.EnterObject() {
			continue
		}
		for name, ok := c.Member(); ok; name, ok = c.Member() {
			one.member(string(name), &c)
		}
		if !yield(one) {
			return
		}
	}
}

func (o *call) member(name string, c *cursor.Cursor) {
	switch name {
	case "id", "toolUseId":
		o.id, _ = c.String()
	case "name":
		o.name, _ = c.String()
	case "input", "arguments", "parameters":
		if c.Kind() == '"' { // JSON in a string
			q, _ := c.String()
			o.input = []byte(cursor.Unquote(q))
		} else {
			o.input = c.Raw()
		}
	case "function":
		if !c.EnterObject() {
			return
		}
		for name, ok := c.Member(); ok; name, ok = c.Member() {
			o.member(string(name), c)
		}
	default:
		c.Skip()
	}
}

// vectors yields the vectors of an embedding, whichever way its model wrote
// them: one vector, a list of them, a map by type, a list of objects.
func (r *Result) vectors(yield func([]byte) bool) { eachVector(r.Embedding, 0, yield) }

func eachVector(raw []byte, depth int, yield func([]byte) bool) bool {
	var c cursor.Cursor
	c.Reset(raw)
	if depth > 3 {
		return true
	}
	if c.EnterObject() {
		for name, ok := c.Member(); ok; name, ok = c.Member() {
			value := c.Raw()
			if n := string(name); (n == "float" || n == "embedding") && !eachVector(value, depth+1, yield) {
				return false
			}
		}
		return true
	}
	c.Reset(raw)
	if !c.EnterArray() {
		return true
	}
	for first := true; c.Element(); first = false {
		k := c.Kind()
		if first && k != '[' && k != '{' {
			return yield(raw)
		}
		if !eachVector(c.Raw(), depth+1, yield) {
			return false
		}
	}
	return true
}

func appendID(dst, id []byte) []byte {
	if len(id) == 0 {
		return append(dst, "null"...)
	}
	if id[0] == '"' {
		return append(dst, id...)
	}
	// Numbers are ids here; elsewhere an id is text.
	return append(append(append(dst, '"'), id...), '"')
}

func appendCount(dst []byte, name string, n int64) []byte {
	return strconv.AppendInt(append(append(append(dst, '"'), name...), '"', ':'), n, 10)
}
