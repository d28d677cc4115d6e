package model

import (
	"bytes"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

// StopReason says why a model stopped, in the same words for every family.
type StopReason string

// The stop reasons.
const (
	EndTurn         StopReason = "end_turn"
	MaxTokens       StopReason = "max_tokens"
	StopSequence    StopReason = "stop_sequence"
	ToolUse         StopReason = "tool_use"
	Refusal         StopReason = "refusal"
	ContentFiltered StopReason = "content_filtered"
	Other           StopReason = "other"
)

// Answer is what a family's reader finds in one answer. The slices hold JSON as
// the model wrote it and refer to the bytes that were read; they are valid
// until those bytes or the answer are used again.
type Answer struct {
	// Text is the answer as it stands between the quotes of a JSON string:
	// all text blocks one after the other. Reasoning likewise, apart.
	Text, Reasoning []byte
	// Embedding is the vector, or the vectors by type, as JSON; nil for
	// models that answer in text.
	Embedding []byte
	// ToolUse holds the calls of tools, JSON values separated by commas.
	ToolUse []byte
	// Stop is the stop reason in our words. Embeddings end by EndTurn.
	Stop StopReason
	// ModelStop is the stop reason in the model's words, between quotes; nil
	// if it gave none.
	ModelStop []byte
	// The tokens as the body reports them; Has is false where it does not.
	InputTokens, OutputTokens       int64
	HasInputTokens, HasOutputTokens bool
	// Failed: the body reports a failure in place of an answer.
	Failed  bool
	Failure Failure

	// Seen is set by the member that an answer of the family cannot lack, for
	// the family's own use.
	Seen bool

	// refused overrides the stop reason; completion: the text continues a
	// prompt of the user's.
	refused, completion         bool
	textBuf, reasonBuf, toolBuf []byte
}

// Failure is an error that a job wrote for a record.
type Failure struct {
	// Code is a status number or an error code, as text; it may be empty.
	Code, Message string
}

// Reset empties the answer, keeping its buffers.
func (a *Answer) Reset() {
	*a = Answer{textBuf: a.textBuf[:0], reasonBuf: a.reasonBuf[:0], toolBuf: a.toolBuf[:0]}
}

// Output is the answer's text, decoded.
func (a *Answer) Output() string { return cursor.Unquote(a.Text) }

// addText appends a text block. A single block is kept where it stands.
func (a *Answer) AddText(quoted []byte) {
	if len(a.Text) == 0 {
		a.Text = quoted
		return
	}
	if len(a.textBuf) == 0 {
		a.textBuf = append(a.textBuf, a.Text...)
	}
	a.textBuf = append(a.textBuf, quoted...)
	a.Text = a.textBuf
}

// AddReasoning appends a block of reasoning.
func (a *Answer) AddReasoning(quoted []byte) {
	if len(a.Reasoning) == 0 {
		a.Reasoning = quoted
		return
	}
	if len(a.reasonBuf) == 0 {
		a.reasonBuf = append(a.reasonBuf, a.Reasoning...)
	}
	a.reasonBuf = append(a.reasonBuf, quoted...)
	a.Reasoning = a.reasonBuf
}

// AddTool appends a tool's call, a JSON value.
func (a *Answer) AddTool(raw []byte) {
	if len(a.ToolUse) == 0 {
		a.ToolUse = raw
		return
	}
	if len(a.toolBuf) == 0 {
		a.toolBuf = append(a.toolBuf, a.ToolUse...)
	}
	a.toolBuf = append(append(a.toolBuf, ','), raw...)
	a.ToolUse = a.toolBuf
}

// readStop reads a stop reason; null counts as none.
func (a *Answer) ReadStop(c *cursor.Cursor) {
	if q, ok := c.String(); ok {
		a.ModelStop = q
		a.Stop = normalStop(q)
	}
}

// ReadInputTokens reads the count of input tokens at the cursor.
func (a *Answer) ReadInputTokens(c *cursor.Cursor) {
	if n, ok := c.Int(); ok {
		a.InputTokens, a.HasInputTokens = n, true
	}
}

// ReadOutputTokens reads the count of output tokens at the cursor.
func (a *Answer) ReadOutputTokens(c *cursor.Cursor) {
	if n, ok := c.Int(); ok {
		a.OutputTokens, a.HasOutputTokens = n, true
	}
}

// readUsage reads a usage object by the family's names for the two counts.
func (a *Answer) ReadUsage(c *cursor.Cursor, in, out string) {
	if !c.EnterObject() {
		return
	}
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		switch string(name) {
		case in:
			a.ReadInputTokens(c)
		case out:
			a.ReadOutputTokens(c)
		default:
			c.Skip()
		}
	}
}

// normalStop puts a model's word for its stop reason into ours.
func normalStop(word []byte) StopReason {
	switch string(word) { // the common ones without an allocation
	case "end_turn", "stop":
		return EndTurn
	case "max_tokens", "length":
		return MaxTokens
	}
	switch strings.ToLower(string(word)) {
	case "end_turn", "stop", "finish", "finished", "complete", "eos", "eos_token", "end_of_text":
		return EndTurn
	case "max_tokens", "length", "max_length", "model_length", "model_context_window_exceeded", "error_limit":
		return MaxTokens
	case "stop_sequence", "stop_criteria_met":
		return StopSequence
	case "tool_use", "tool_call", "tool_calls", "function_call":
		return ToolUse
	case "refusal":
		return Refusal
	case "content_filter", "content_filtered", "guardrail_intervened", "error_toxic":
		return ContentFiltered
	}
	return Other
}

// failureMember reads the members by which a body reports a failure: an error
// that stands where the answer should be.
func (a *Answer) failureMember(name []byte, c *cursor.Cursor) bool {
	switch string(name) {
	case "error":
		if f, ok := ReadFailure(c); ok && f != (Failure{}) {
			a.Failed = true
			a.Failure.merge(f)
		}
	case "errorCode", "errorMessage":
		if s := scalar(c); s != "" {
			a.Failed = true
			if string(name) == "errorCode" {
				a.Failure.Code = s
			} else {
				a.Failure.Message = s
			}
		}
	case "message":
		// Beside an error code, or alone, it is what went wrong.
		if s := scalar(c); s != "" {
			a.Failure.Message = s
		}
	default:
		return false
	}
	return true
}

func (f *Failure) merge(o Failure) {
	if o.Code != "" {
		f.Code = o.Code
	}
	if o.Message != "" {
		f.Message = o.Message
	}
}

// ReadFailure reads the value of an error member: an object with code and
// message under any of the names in use, a text, a number. Null is no error.
func ReadFailure(c *cursor.Cursor) (Failure, bool) {
	var f Failure
	switch c.Kind() {
	case '{':
	case '"':
		q, _ := c.String()
		f.Message = cursor.Unquote(q)
		return f, c.Err() == nil
	case '0':
		f.Code = string(c.Raw())
		return f, c.Err() == nil
	case '[', 't':
		f.Message = string(bytes.Clone(c.Raw()))
		return f, c.Err() == nil
	default: // null, false
		c.Skip()
		return f, false
	}
	mark := c.Mark()
	c.EnterObject()
	members := 0
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		members++
		switch string(name) {
		case "errorCode", "code", "status", "statusCode":
			if s := scalar(c); s != "" {
				f.Code = s
			}
		case "type", "__type":
			if s := scalar(c); s != "" && f.Code == "" {
				f.Code = s
			}
		case "errorMessage", "message", "Message":
			if s := scalar(c); s != "" {
				f.Message = s
			}
		default:
			c.Skip()
		}
	}
	if c.Err() != nil || members == 0 {
		// An empty object says neither what nor why, and still that there
		// is no answer.
		return f, c.Err() == nil
	}
	if f.Code == "" && f.Message == "" {
		f.Message = string(c.Since(mark))
	}
	return f, true
}

// scalar reads a string or number as text; anything else is "".
func scalar(c *cursor.Cursor) string {
	switch c.Kind() {
	case '"':
		q, _ := c.String()
		return cursor.Unquote(q)
	case '0':
		return string(c.Raw())
	}
	c.Skip()
	return ""
}
