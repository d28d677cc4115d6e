package handler_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// says answers a Converse record with what stands in its prompt.
func says(_ string, _ batch.Invocation, in []byte) []byte {
	var body struct {
		Messages []struct{ Content []struct{ Text string } }
	}
	if err := json.Unmarshal(in, &body); err != nil {
		panic(err)
	}
	text, err := json.Marshal(body.Messages[0].Content[0].Text)
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, `{"output":{"message":{"role":"assistant","content":[{"text":%s}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":2}}`, text)
}

func TestStructuredAnswersAreReadCheckedAndShownAsColumns(t *testing.T) {
	w := handlertest.New(t, func(w *handlertest.World) { small(w); w.Answer = says })
	w.Input.Set("workload.yaml", []byte(nova+`prompt_template: "{answer}"
output:
  json:
    type: object
    properties: {mood: {type: string}, score: {type: integer, minimum: 0}, output: {}}
    required: [mood, score]
`))
	w.Input.Set("a.csv", []byte("id,answer,mood\n"+
		`1,"{""mood"":""good"",""score"":3}",x`+"\n"+
		"2,\"```json\n{\"\"score\"\": 1,\n \"\"mood\"\": \"\"so, so\"\", \"\"output\"\": [1, 2]}\n```\",x\n"+
		`3,"{""mood"":""good""}",x`+"\n"+
		`4,I cannot say,x`+"\n"+
		`5,"Sure: `+"```"+`{""mood"":null,""score"":3}`+"```"+`",x`+"\n"))
	w.Run()
	n := one(t, w)
	if n.Status != pipeline.StatusCompletedWithErrors || n.Rows.Answered != 2 || n.Rows.Failed != 3 || n.Errors[0].Code != "invalid_json" {
		t.Fatalf("notice: %+v", n)
	}
	results := string(w.Result(n, "results.jsonl"))
	if !strings.Contains(results, `"json":{"mood":"good","score":3},"stopReason"`) || !strings.Contains(results, `"json":{"score": 1,  "mood": "so, so", "output": [1, 2]},"stopReason"`) || strings.Contains(results, `"output":"`) {
		t.Errorf("results: %s", results)
	}
	errs := w.Result(n, "errors.jsonl")
	for _, want := range []string{`"message":"the answer lacks \"score\""`, `"message":"the answer is no JSON value"`, `"message":"mood is not of type string"`, `"modelOutput":{`, `"answer":"I cannot say"`} {
		if !bytes.Contains(errs, []byte(want)) {
			t.Errorf("errors lack %s: %s", want, errs)
		}
	}
	const table = "id,answer,mood,output,stop_reason,input_tokens,output_tokens,error,mood_answer,score,output_answer\n"
	lines := strings.SplitAfter(string(w.Result(n, "results.csv")), "\n")
	if lines[0] != table || !strings.HasSuffix(lines[1], `,x,"{""mood"":""good"",""score"":3}",end_turn,1,2,,good,3,`+"\n") ||
		!strings.Contains(string(w.Result(n, "results.csv")), `,end_turn,1,2,,"so, so",1,"[1, 2]"`+"\n") || !strings.Contains(string(w.Result(n, "results.csv")), `invalid_json: the answer is no JSON value,,,`+"\n") {
		t.Errorf("table: %q", lines)
	}
	clean(t, w)

	w.Input.Set("again.jsonl", errs)
	w.Run()
	if again := w.Notices()[1]; again.Rows.Total != 3 || again.Rows.Failed != 3 {
		t.Errorf("again: %+v", again)
	}
}
