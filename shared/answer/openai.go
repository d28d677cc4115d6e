package answer

import (
	"strconv"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

var _ = RegisterDialect(Dialect{
	Format: dataset.OpenAI, Results: "results.openai.jsonl", Errors: "errors.openai.jsonl",
	AppendResult: appendOpenAI, AppendError: appendOpenAIError,
})

// appendOpenAIHead appends what begins a line of either file.
func appendOpenAIHead(dst []byte, record string, id []byte, b *Batch) []byte {
	dst = append(append(append(append(append(dst, `{"id":"batch_req_`...), b.ID...), '-'), record...), `","custom_id":`...)
	return appendID(dst, id)
}

// appendOpenAI appends a line of an OpenAI batch's output file.
func appendOpenAI(dst []byte, r *Result, b *Batch) []byte {
	dst = appendOpenAIHead(dst, r.RecordID, r.ID, b)
	dst = append(dst, `,"response":{"status_code":200,"request_id":"req_`...)
	dst = append(append(append(append(dst, b.ID...), '-'), r.RecordID...), `","body":`...)
	if r.Embedding != nil {
		dst = appendOpenAIEmbedding(dst, r, b)
	} else {
		dst = appendOpenAICompletion(dst, r, b)
	}
	return append(dst, "},\"error\":null}\n"...)
}

func appendOpenAIEmbedding(dst []byte, r *Result, b *Batch) []byte {
	dst = append(dst, `{"object":"list","data":[`...)
	n := 0
	for v := range r.vectors {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(append(dst, `{"object":"embedding","index":`...), int64(n), 10)
		dst = append(append(append(dst, `,"embedding":`...), v...), '}')
		n++
	}
	dst = append(appendText(append(dst, `],"model":`...), b.Model), `,"usage":{`...)
	dst = append(appendCount(dst, "prompt_tokens", r.InputTokens), ',')
	return append(appendCount(dst, "total_tokens", r.InputTokens+r.OutputTokens), '}', '}')
}

func appendOpenAICompletion(dst []byte, r *Result, b *Batch) []byte {
	dst = append(append(append(append(dst, `{"id":"chatcmpl-`...), b.ID...), '-'), r.RecordID...)
	dst = append(dst, `","object":"chat.completion","created":`...)
	dst = strconv.AppendInt(dst, b.Created.Unix(), 10)
	dst = appendText(append(dst, `,"model":`...), b.Model)
	dst = append(dst, `,"choices":[{"index":0,"message":{"role":"assistant","content":`...)
	switch refused := r.Stop == model.Refusal; {
	case refused:
		dst = r.appendText(append(dst, `null,"refusal":`...))
	case len(r.ToolUse) > 0 && len(r.Output) == 0:
		dst = append(dst, `null,"refusal":null`...)
	default:
		dst = append(r.appendText(dst), `,"refusal":null`...)
	}
	if len(r.Reasoning) > 0 {
		dst = append(append(append(dst, `,"reasoning_content":"`...), r.Reasoning...), '"')
	}
	first := true
	for one := range r.calls {
		if first {
			dst = append(dst, `,"tool_calls":[`...)
		} else {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(append(dst, `{"id":"`...), one.id...), `","type":"function","function":{"name":"`...)
		dst = append(append(dst, one.name...), `","arguments":`...)
		dst = append(appendText(dst, string(one.input)), '}', '}')
	}
	if !first {
		dst = append(dst, ']')
	}
	dst = append(dst, `},"logprobs":null,"finish_reason":"`...)
	dst = append(append(dst, openAIFinish(r.Stop)...), `"}],"usage":{`...)
	dst = append(appendCount(dst, "prompt_tokens", r.InputTokens), ',')
	dst = append(appendCount(dst, "completion_tokens", r.OutputTokens), ',')
	return append(appendCount(dst, "total_tokens", r.InputTokens+r.OutputTokens), '}', '}')
}

func openAIFinish(stop model.StopReason) string {
	switch stop {
	case model.MaxTokens:
		return "length"
	case model.ToolUse:
		return "tool_calls"
	case model.ContentFiltered:
		return "content_filter"
	}
	return "stop"
}

// appendOpenAIError appends a line of an OpenAI batch's error file: with the
// status of the failed request where there was one, else with an error alone.
func appendOpenAIError(dst []byte, f *Failure, b *Batch) []byte {
	dst = appendOpenAIHead(dst, f.RecordID, f.ID, b)
	if status, err := strconv.Atoi(f.Code); err == nil && status >= 400 && status < 600 {
		dst = strconv.AppendInt(append(dst, `,"response":{"status_code":`...), int64(status), 10)
		dst = append(append(append(append(dst, `,"request_id":"req_`...), b.ID...), '-'), f.RecordID...)
		dst = append(cursor.AppendQuoted(append(dst, `","body":{"error":{"message":"`...), f.Message), `","type":"`...)
		dst = append(dst, openAIErrorType(status)...)
		dst = append(dst, `","param":null,"code":null}}},"error":null}`...)
		return append(dst, '\n')
	}
	dst = appendText(append(dst, `,"response":null,"error":{"code":`...), f.Code)
	dst = appendText(append(dst, `,"message":`...), f.Message)
	return append(dst, "}}\n"...)
}

func openAIErrorType(status int) string {
	switch {
	case status == 429:
		return "rate_limit_error"
	case status >= 500:
		return "server_error"
	}
	return "invalid_request_error"
}
