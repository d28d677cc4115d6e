package answer

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
)

var _ = RegisterDialect(Dialect{
	Format: dataset.Anthropic, Results: "results.anthropic.jsonl",
	AppendResult: appendAnthropic, AppendError: appendAnthropicError,
})

// appendAnthropic appends a succeeded line of an Anthropic batch's results.
func appendAnthropic(dst []byte, r *Result, b *Batch) []byte {
	dst = appendID(append(dst, `{"custom_id":`...), r.ID)
	dst = append(dst, `,"result":{"type":"succeeded","message":{"id":"msg_`...)
	dst = append(append(append(dst, b.ID...), '-'), r.RecordID...)
	dst = appendText(append(dst, `","type":"message","role":"assistant","model":`...), b.Model)
	dst = append(dst, `,"content":[`...)
	first := true
	block := func() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
	}
	if len(r.Reasoning) > 0 {
		block()
		dst = append(append(append(dst, `{"type":"thinking","thinking":"`...), r.Reasoning...), `","signature":""}`...)
	}
	if len(r.Output) > 0 || r.JSON != nil || len(r.ToolUse) == 0 {
		block()
		dst = append(r.appendText(append(dst, `{"type":"text","text":`...)), '}')
	}
	for one := range r.calls {
		block()
		dst = append(append(append(dst, `{"type":"tool_use","id":"`...), one.id...), `","name":"`...)
		dst = append(append(dst, one.name...), `","input":`...)
		switch {
		case len(one.input) == 0:
			dst = append(dst, "{}"...)
		case jsontext.Value(one.input).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)):
			dst = dataset.Value{Raw: one.input}.AppendJSON(dst) // on one line
		default: // arguments that are no JSON
			dst = appendText(dst, string(one.input))
		}
		dst = append(dst, '}')
	}
	dst = append(append(dst, `],"stop_reason":"`...), anthropicStop(r.Stop)...)
	dst = append(dst, `","stop_sequence":null,"usage":{`...)
	dst = append(appendCount(dst, "input_tokens", r.InputTokens), ',')
	return append(appendCount(dst, "output_tokens", r.OutputTokens), "}}}}\n"...)
}

func anthropicStop(stop model.StopReason) string {
	switch stop {
	case model.MaxTokens, model.StopSequence, model.ToolUse, model.Refusal:
		return string(stop)
	case model.ContentFiltered:
		return string(model.Refusal)
	}
	return string(model.EndTurn)
}

// appendAnthropicError appends the line of a row without an answer: errored,
// or expired where nothing was heard of it.
func appendAnthropicError(dst []byte, f *Failure, _ *Batch) []byte {
	dst = appendID(append(dst, `{"custom_id":`...), f.ID)
	if f.Missing {
		return append(dst, `,"result":{"type":"expired"}}`+"\n"...)
	}
	dst = append(dst, `,"result":{"type":"errored","error":{"type":"error","error":{"type":"`...)
	dst = append(append(dst, anthropicErrorType(f.Code)...), `","message":`...)
	return append(appendText(dst, f.Message), "}}}}\n"...)
}

func anthropicErrorType(code string) string {
	switch status, err := strconv.Atoi(code); {
	case err != nil:
		return "api_error"
	case status == 429:
		return "rate_limit_error"
	case status == 403:
		return "permission_error"
	case status == 404:
		return "not_found_error"
	case status >= 500:
		return "api_error"
	}
	return "invalid_request_error"
}
