package answer_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

var foreign = &answer.Batch{ID: "s", Model: "m", Created: time.Unix(7, 0)}

func dialect(t testing.TB, f dataset.Format) answer.Dialect {
	t.Helper()
	d, ok := answer.DialectOf(f)
	if !ok {
		t.Fatalf("no dialect for %s", f)
	}
	return d
}

func TestDialectsWriteResults(t *testing.T) {
	const openAIHead = `{"id":"batch_req_s-r0000000001","custom_id":"c","response":{"status_code":200,"request_id":"req_s-r0000000001","body":`
	openAIChat := func(message, finish string, in, out, sum string) string {
		return openAIHead + `{"id":"chatcmpl-s-r0000000001","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":` + message + `},"logprobs":null,"finish_reason":"` + finish + `"}],"usage":{"prompt_tokens":` + in + `,"completion_tokens":` + out + `,"total_tokens":` + sum + `}}},"error":null}`
	}
	openAIData := func(data string) string {
		return openAIHead + `{"object":"list","data":[` + data + `],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}},"error":null}`
	}
	anthropic := func(content, stop string) string {
		return `{"custom_id":"c","result":{"type":"succeeded","message":{"id":"msg_s-r0000000001","type":"message","role":"assistant","model":"m","content":[` + content + `],"stop_reason":"` + stop + `","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":2}}}}`
	}
	const usage = `,"usage":{"inputTokens":1,"outputTokens":2},"attempt":1}`
	for _, c := range []struct {
		name   string
		format dataset.Format
		tail   string
		want   string
	}{
		{"an answer", dataset.OpenAI, `"output":"a\n\ud800","stopReason":"end_turn"` + usage, openAIChat(`"a\n\ud800","refusal":null`, "stop", "1", "2", "3")},
		{"a cut answer with reasoning", dataset.OpenAI, `"output":"a","stopReason":"max_tokens","reasoning":"r"` + usage, openAIChat(`"a","refusal":null,"reasoning_content":"r"`, "length", "1", "2", "3")},
		{"a refusal", dataset.OpenAI, `"output":"no","stopReason":"refusal"` + usage, openAIChat(`null,"refusal":"no"`, "stop", "1", "2", "3")},
		{"filtered", dataset.OpenAI, `"output":"","stopReason":"content_filtered"` + usage, openAIChat(`"","refusal":null`, "content_filter", "1", "2", "3")},
		{"JSON is text again", dataset.OpenAI, `"json":{"a": "b"},"stopReason":"end_turn"` + usage, openAIChat(`"{\"a\": \"b\"}","refusal":null`, "stop", "1", "2", "3")},
		{"a tool of Converse", dataset.OpenAI, `"output":"","toolUse":[{"toolUseId":"t","name":"n","input":{"x": 1}}],"stopReason":"tool_use"` + usage,
			openAIChat(`null,"refusal":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"n","arguments":"{\"x\": 1}"}}]`, "tool_calls", "1", "2", "3")},
		{"a tool of OpenAI's shape", dataset.OpenAI, `"output":"","toolUse":[{"id":"t","type":"function","function":{"name":"n","arguments":"{\"x\":1}"}},{"id":"u","function":{"name":"n","arguments":""}}],"stopReason":"tool_use"` + usage,
			openAIChat(`null,"refusal":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"n","arguments":"{\"x\":1}"}},{"id":"u","type":"function","function":{"name":"n","arguments":""}}]`, "tool_calls", "1", "2", "3")},
		{"a vector", dataset.OpenAI, `"embedding":[0.5,-1],"stopReason":"end_turn","usage":{"inputTokens":3},"attempt":1}`, openAIData(`{"object":"embedding","index":0,"embedding":[0.5,-1]}`)},
		{"vectors", dataset.OpenAI, `"embedding":[[1],[2]],"stopReason":"end_turn","usage":{"inputTokens":3},"attempt":1}`, openAIData(`{"object":"embedding","index":0,"embedding":[1]},{"object":"embedding","index":1,"embedding":[2]}`)},
		{"vectors by type", dataset.OpenAI, `"embedding":{"int8":[[9]],"float":[[1],[2]]},"stopReason":"end_turn","usage":{"inputTokens":3},"attempt":1}`, openAIData(`{"object":"embedding","index":0,"embedding":[1]},{"object":"embedding","index":1,"embedding":[2]}`)},
		{"vectors in objects", dataset.OpenAI, `"embedding":[{"embeddingType":"TEXT","embedding":[1]}],"stopReason":"end_turn","usage":{"inputTokens":3},"attempt":1}`, openAIData(`{"object":"embedding","index":0,"embedding":[1]}`)},
		{"a message", dataset.Anthropic, `"output":"a","stopReason":"end_turn"` + usage, anthropic(`{"type":"text","text":"a"}`, "end_turn")},
		{"a message with thought", dataset.Anthropic, `"output":"a","stopReason":"other","reasoning":"r"` + usage, anthropic(`{"type":"thinking","thinking":"r","signature":""},{"type":"text","text":"a"}`, "end_turn")},
		{"a tool", dataset.Anthropic, `"output":"","toolUse":[{"type":"tool_use","id":"t","name":"n","input":{}},{"id":"u","function":{"name":"n","arguments":"{\n}"}},{"id":"v","function":{"name":"n","arguments":"no"}},{"name":"w"}],"stopReason":"tool_use"` + usage,
			anthropic(`{"type":"tool_use","id":"t","name":"n","input":{}},{"type":"tool_use","id":"u","name":"n","input":{ }},{"type":"tool_use","id":"v","name":"n","input":"no"},{"type":"tool_use","id":"","name":"w","input":{}}`, "tool_use")},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r answer.Result
			if err := r.Read([]byte(`{"recordId":"r0000000001","row":1,"id":"c",` + c.tail + "\n")); err != nil {
				t.Fatal(err)
			}
			got := dialect(t, c.format).AppendResult(nil, &r, foreign)
			if string(got) != c.want+"\n" {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestDialectsWriteFailures(t *testing.T) {
	for _, c := range []struct {
		name    string
		format  dataset.Format
		failure answer.Failure
		want    string
	}{
		{"a status", dataset.OpenAI, answer.Failure{RecordID: "r", ID: []byte("7"), Code: "429", Message: `"slow"`}, `{"id":"batch_req_s-r","custom_id":"7","response":{"status_code":429,"request_id":"req_s-r","body":{"error":{"message":"\"slow\"","type":"rate_limit_error","param":null,"code":null}}},"error":null}`},
		{"no status", dataset.OpenAI, answer.Failure{RecordID: "r", Code: "missing", Missing: true}, `{"id":"batch_req_s-r","custom_id":null,"response":null,"error":{"code":"missing","message":""}}`},
		{"errored", dataset.Anthropic, answer.Failure{ID: []byte(`"c"`), Code: "500", Message: "x"}, `{"custom_id":"c","result":{"type":"errored","error":{"type":"error","error":{"type":"api_error","message":"x"}}}}`},
		{"expired", dataset.Anthropic, answer.Failure{ID: []byte(`"c"`), Missing: true}, `{"custom_id":"c","result":{"type":"expired"}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := dialect(t, c.format).AppendError(nil, &c.failure, foreign); string(got) != c.want+"\n" {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// FuzzDialects: whatever stands in a line of results, what comes out is one
// line of JSON.
func FuzzDialects(f *testing.F) {
	f.Add(`"output":"a","toolUse":[{"input":"\u0000"}],"reasoning":"\\"`)
	f.Add(`"embedding":{"float":[[[[[1]]]]]},"id":[1],"usage":{"inputTokens":99}`)
	f.Add(`"json":[ {"a":1} ],"id":1.5e3,"stopReason":"refusal"`)
	f.Fuzz(func(t *testing.T, members string) {
		line := []byte(`{"recordId":"r0000000001","row":1,` + members + `}`)
		var r answer.Result
		if !json.Valid(line) || r.Read(line) != nil || bytes.ContainsAny(line, "\n\r") {
			return
		}
		// Ids are texts or numbers; stop reasons are ours.
		if len(r.ID) > 0 && r.ID[0] != '"' && r.ID[0] != '-' && (r.ID[0] < '0' || r.ID[0] > '9') {
			return
		}
		for _, format := range []dataset.Format{dataset.OpenAI, dataset.Anthropic} {
			got := dialect(t, format).AppendResult(nil, &r, foreign)
			if !json.Valid(got) || bytes.Count(got, []byte("\n")) != 1 {
				t.Fatalf("%s: %q", format, got)
			}
		}
	})
}
