package answer

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
	"github.com/bedrock-batch/bedrock-batch/shared/model/schema"
)

// outcome is what a line of the output says about its row.
type outcome uint8

const (
	none     outcome = iota // nothing: the line is blank, or has no recordId
	failed                  // the row has failed
	answered                // the row has an answer
)

// placed is a line of the output, read.
type placed struct {
	line    int64 // its number in the block
	row     int64 // -1: it has no recordId of ours
	pos     int   // where the row stands in the part
	hasID   bool  // it has some recordId
	what    outcome
	tail    span // the rendered tail in the block
	stop    model.StopReason
	in, out int64
	counted bool // the answer reports its tokens
}

type span struct{ start, end int }

// lineReader reads lines of output and renders their tails: what stands in a
// result behind id and source. One goroutine uses it.
type lineReader struct {
	answers model.Reader
	raw     bool
	attempt int
	schema  *schema.Schema // answers are read as JSON and must fit
	cursor  cursor.Cursor
	answer  model.Answer
	found   found
	room    int // what the tails of a block are expected to take
}

// found is what the members of a line hold.
type found struct {
	id         []byte
	input      []byte
	output     []byte // modelOutput as written
	hasOutput  bool
	shape      error // what is wrong with the output's shape
	hasError   bool
	failure    model.Failure
	unparsable bool
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// blank reports whether a line holds nothing at all.
func blank(line []byte) bool { return len(bytes.TrimSpace(line)) == 0 }

// read reads one line, which is not blank, in one walk.
func (r *lineReader) read(line []byte) {
	line = bytes.TrimSpace(bytes.TrimPrefix(line, byteOrderMark))
	r.found = found{}
	f, c := &r.found, &r.cursor
	r.answer.Reset()
	c.Reset(line)
	if !c.EnterObject() {
		f.unparsable = true
		return
	}
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		switch string(name) {
		case "recordId":
			if id, ok := c.String(); ok {
				f.id = id
			}
		case "modelInput":
			f.input = c.Raw()
		case "modelOutput":
			if c.Kind() == 'n' {
				c.Skip()
				continue
			}
			mark := c.Mark()
			f.hasOutput = true
			f.shape = r.answers.ReadFrom(&r.answer, c)
			f.output = c.Since(mark)
		case "error":
			failure, is := model.ReadFailure(c)
			if is {
				f.hasError = true
				f.failure = failure
			}
		case "errorCode", "errorMessage":
			r.bareError(string(name) == "errorCode")
		default:
			c.Skip()
		}
	}
	c.End()
	if c.Err() != nil {
		f.unparsable = true
		if f.id == nil {
			f.id = trailingID(line)
		}
	}
}

// bareError reads an error's code or message that stands in the line itself.
func (r *lineReader) bareError(code bool) {
	failure, is := model.ReadFailure(&r.cursor) // a text or a number
	text := failure.Code + failure.Message
	if !is || text == "" {
		return
	}
	r.found.hasError = true
	if code {
		r.found.failure.Code = text
	} else {
		r.found.failure.Message = text
	}
}

// trailingID finds the recordId of a broken line where it is the last member.
func trailingID(line []byte) []byte {
	rest, ok := bytes.CutSuffix(line, []byte(`"}`))
	if !ok {
		return nil
	}
	const name = `"recordId":"`
	i := bytes.LastIndex(rest, []byte(name))
	if i < 0 || len(rest)-i-len(name) > 32 {
		return nil
	}
	id := rest[i+len(name):]
	if _, ours := rowOf(id); !ours {
		return nil
	}
	return id
}

// rowOf reads a recordId: r and ten digits.
func rowOf(id []byte) (row int64, ok bool) {
	if bytes.IndexByte(id, '\\') >= 0 {
		id = []byte(cursor.Unquote(id))
	}
	if len(id) != 11 || id[0] != 'r' {
		return 0, false
	}
	for _, b := range id[1:] {
		if b < '0' || b > '9' {
			return 0, false
		}
		row = row*10 + int64(b-'0')
	}
	return row, true
}

// appendRecordID appends the recordId of a row.
func appendRecordID(dst []byte, row int64) []byte {
	dst = append(dst, 'r')
	for unit := int64(1_000_000_000); unit > 1 && row < unit; unit /= 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, row, 10)
}

// render appends the tail of the line that was read, and says what it came to.
func (r *lineReader) render(dst []byte) ([]byte, outcome) {
	f, a := &r.found, &r.answer
	failure := model.Failure{}
	switch {
	case f.unparsable:
		message := "the output line is not a JSON object"
		if err := r.cursor.Err(); err != nil {
			message = "the output line is broken: " + err.Error()
		}
		failure = model.Failure{Code: CodeUnreadableLine, Message: message}
	case f.hasError && (f.failure != model.Failure{} || !f.hasOutput):
		failure = f.failure // an empty one beside an answer says nothing
	case f.hasOutput && a.Failed:
		failure = a.Failure
	case f.hasOutput && f.shape != nil:
		failure = model.Failure{Code: CodeUnreadableAnswer, Message: f.shape.Error()}
		return appendFailure(dst, failure, false, false, f.input, f.output), failed
	case !f.hasOutput:
		failure = model.Failure{Code: CodeNoAnswer, Message: "the output line has neither modelOutput nor error"}
	case r.schema != nil && a.Embedding == nil:
		value, wrong := r.structured()
		if wrong != "" {
			return appendFailure(dst, model.Failure{Code: CodeInvalidJSON, Message: wrong}, false, false, f.input, f.output), failed
		}
		return r.appendAnswer(dst, value), answered
	default:
		return r.appendAnswer(dst, nil), answered
	}
	if failure.Code == "" {
		failure.Code = CodeUnnamed
	}
	return appendFailure(dst, failure, passing(failure.Code), false, f.input, nil), failed
}

// appendAnswer appends the tail of a result; value is the answer's JSON where it
// was read as such.
func (r *lineReader) appendAnswer(dst, value []byte) []byte {
	a := &r.answer
	switch {
	case a.Embedding != nil:
		dst = append(append(dst, `,"embedding":`...), a.Embedding...)
	case value != nil:
		dst = append(append(dst, `,"json":`...), value...)
	default:
		dst = append(append(append(dst, `,"output":"`...), a.Text...), '"')
	}
	if len(a.ToolUse) > 0 {
		dst = append(append(append(dst, `,"toolUse":[`...), a.ToolUse...), ']')
	}
	dst = append(append(append(dst, `,"stopReason":"`...), stopOf(a)...), '"')
	if a.ModelStop != nil && string(a.ModelStop) != string(a.Stop) {
		dst = append(append(append(dst, `,"modelStopReason":"`...), a.ModelStop...), '"')
	}
	if len(a.Reasoning) > 0 {
		dst = append(append(append(dst, `,"reasoning":"`...), a.Reasoning...), '"')
	}
	dst = append(dst, `,"usage":{`...)
	if a.HasInputTokens {
		dst = strconv.AppendInt(append(dst, `"inputTokens":`...), a.InputTokens, 10)
	}
	if a.HasOutputTokens {
		if a.HasInputTokens {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(append(dst, `"outputTokens":`...), a.OutputTokens, 10)
	}
	dst = strconv.AppendInt(append(dst, `},"attempt":`...), int64(r.attempt), 10)
	if r.raw {
		dst = append(append(dst, `,"modelOutput":`...), r.found.output...)
	}
	return append(dst, '}', '\n')
}

func stopOf(a *model.Answer) model.StopReason {
	if a.Stop == "" {
		return model.Other
	}
	return a.Stop
}

// appendFailure appends the tail of a Failed line.
func appendFailure(dst []byte, f model.Failure, retryable, missing bool, input, output []byte) []byte {
	dst = append(cursor.AppendQuoted(append(dst, `,"code":"`...), f.Code), '"')
	dst = append(cursor.AppendQuoted(append(dst, `,"message":"`...), f.Message), '"')
	dst = strconv.AppendBool(append(dst, `,"retryable":`...), retryable)
	dst = strconv.AppendBool(append(dst, `,"missing":`...), missing)
	if len(input) > 0 {
		dst = append(append(dst, `,"modelInput":`...), input...)
	}
	if len(output) > 0 {
		dst = append(append(dst, `,"modelOutput":`...), output...)
	}
	return append(dst, '}', '\n')
}

// passingCodes are the text codes of errors that go away, without case,
// separators and the ending Exception or Error.
var passingCodes = map[string]bool{
	"api": true, "internalfailure": true, "internalserver": true, "modelnotready": true, "modeltimeout": true,
	"overloaded": true, "ratelimit": true, "requesttimeout": true, "server": true, "serviceunavailable": true,
	"throttling": true, "throttled": true, "timeout": true, "toomanyrequests": true, "unavailable": true,
}

// passing reports whether an error of this code is worth another attempt.
func passing(code string) bool {
	if n, err := strconv.Atoi(code); err == nil {
		return n == 408 || n == 429 || n >= 500 && n < 600
	}
	switch code {
	case CodeUnreadableLine, CodeNoAnswer:
		return true
	}
	code = strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(code))
	code = strings.TrimSuffix(strings.TrimSuffix(code, "exception"), "error")
	return passingCodes[code]
}
