package answer

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

// CodeInvalidJSON: the answer is not the JSON that was asked for. Asking again
// would be paid again, so that is left to whoever drops the row again.
const CodeInvalidJSON = "invalid_json"

// structured reads an answer's text as JSON and says what is wrong with it, if
// anything. A fence around it, as models put one, is taken off.
func (r *lineReader) structured() (value []byte, wrong string) {
	text := strings.TrimSpace(strings.TrimPrefix(cursor.Unquote(r.answer.Text), "\ufeff"))
	value, ok := wholeJSON(text)
	if !ok {
		if inner, fenced := unfence(text); fenced {
			value, ok = wholeJSON(inner)
		}
	}
	if !ok {
		switch {
		case r.answer.Stop == model.MaxTokens:
			return nil, "the answer was cut at max_tokens and is no whole JSON value"
		case text == "":
			return nil, "the answer holds no text"
		}
		return nil, "the answer is no JSON value"
	}
	return value, r.schema.Check(value)
}

func wholeJSON(text string) ([]byte, bool) {
	value := jsontext.Value(text)
	if !value.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		return nil, false
	}
	return dataset.Value{Raw: value}.AppendJSON(nil), true // on one line
}

const fence = "```"

// unfence takes what stands in the first fence of a text.
func unfence(text string) (string, bool) {
	_, rest, ok := strings.Cut(text, fence)
	if !ok {
		return "", false
	}
	// The language, as json, ends with its line.
	if line, after, ok := strings.Cut(rest, "\n"); ok && !bytes.ContainsAny([]byte(line), "{[\"") {
		rest = after
	}
	if end := strings.LastIndex(rest, fence); end >= 0 {
		rest = rest[:end]
	}
	return strings.TrimSpace(rest), true
}
