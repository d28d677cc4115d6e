package answer_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
)

func TestErrorsGiveTheRowBackInItsOwnShape(t *testing.T) {
	const failedLine = `{"row":4,"recordId":"r0000000004","id":"k","off":0,"len":1,"code":"500","message":"no \"way\"","retryable":true,"missing":false,"modelInput":{"p":1},"attempts":2}`
	const e = `"_error":{"code":"500","message":"no \"way\"","retryable":true,"attempts":2}}`
	for _, c := range []struct {
		name, failed string
		origin       answer.Origin
		want         string
	}{
		{"a JSON row", failedLine, answer.Origin{Kind: answer.Object, Raw: []byte(`{"prompt": "a\u00e9", "n":1e400,"d":{"_error":1} }`)}, `{"prompt": "a\u00e9","n":1e400,"d":{"_error":1},` + e},
		{"an empty JSON row", failedLine, answer.Origin{Kind: answer.Object, Raw: []byte(" { }\r\n")}, `{` + e},
		{"a JSON row with an earlier error", failedLine, answer.Origin{Kind: answer.Object, Raw: []byte(`{"_error":{"code":"1"},"prompt":"x","_\u0065rror":2}`)}, `{"prompt":"x",` + e},
		{"nothing but an earlier error", failedLine, answer.Origin{Kind: answer.Object, Raw: []byte(`{"_error":{"code":"1"}}`)}, `{` + e},
		{"a JSON row on several lines", failedLine, answer.Origin{Kind: answer.Object, Raw: []byte("{\n\"a\":[\r\n1,\n2],\n\"b\":\"\\n\"}")}, `{"a":[  1, 2],"b":"\n",` + e},
		{"a JSON row behind a byte order mark", failedLine, answer.Origin{Kind: answer.Object, Raw: []byte("\ufeff{\"a\":1}")}, `{"a":1,` + e},
		{"a row that is no object any more", failedLine, answer.Origin{Kind: answer.Object, Raw: []byte(`{"a":`)}, `{"recordId":"r0000000004","modelInput":{"p":1},` + e},
		{"a CSV row", failedLine, answer.Origin{Kind: answer.Columns, Header: []string{"name", `say "it"`, "more"}, Values: []string{"a\nb", ""}}, `{"name":"a\nb","say \"it\"":"",` + e},
		{"a CSV row with an earlier error", failedLine, answer.Origin{Kind: answer.Columns, Header: []string{"_error", "a"}, Values: []string{"x", "y"}}, `{"a":"y",` + e},
		{"a document", failedLine, answer.Origin{Kind: answer.Document, Bucket: "b", Key: "k/ä b.txt", Version: "v1"}, `{"_document":{"bucket":"b","key":"k/ä b.txt","versionId":"v1"},` + e},
		{"a source that is gone", failedLine, answer.Origin{}, `{"recordId":"r0000000004","modelInput":{"p":1},` + e},
		{
			"a missing row whose source is gone", strings.TrimSpace(attempts(missing(9), 1)), answer.Origin{},
			`{"recordId":"r0000000009","_error":{"code":"missing","message":"none","retryable":true,"attempts":1}}`,
		},
		{
			"an answer that could not be read", `{"row":4,"recordId":"r0000000004","off":0,"len":1,"code":"unreadable_answer","message":"m","retryable":false,"missing":false,"modelOutput":{"paid":[1]}}`, answer.Origin{Kind: answer.Object, Raw: []byte(`{"a":1}`)},
			`{"a":1,"_error":{"code":"unreadable_answer","message":"m","retryable":false,"attempts":1,"modelOutput":{"paid":[1]}}}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			n, err := answer.Errors(t.Context(), answer.Erring{
				Failed: strings.NewReader(c.failed + "\n"), Errors: &out,
				Origin: func(_ context.Context, f *answer.Failure) (answer.Origin, error) { return c.origin, nil },
			})
			if err != nil || n != 1 {
				t.Fatal(n, err)
			}
			if out.String() != c.want+"\n" {
				t.Errorf("got  %s\nwant %s", out.String(), c.want)
			}
			if !json.Valid([]byte(out.String())) {
				t.Error("it is not JSON")
			}
		})
	}
}

func TestErrorsEndWhereTheSourceCannotBeAsked(t *testing.T) {
	broken := errors.New("broken pipe")
	_, err := answer.Errors(t.Context(), answer.Erring{
		Failed: strings.NewReader(missing(9)), Errors: io.Discard,
		Origin: func(context.Context, *answer.Failure) (answer.Origin, error) { return answer.Origin{}, broken },
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "row 9") {
		t.Errorf("error %v", err)
	}
	_, err = answer.Errors(t.Context(), answer.Erring{Failed: strings.NewReader("{\"row\":1\n"), Errors: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("error %v", err)
	}
}

func TestTalliesAddUp(t *testing.T) {
	var sum answer.Tally
	sum.Add(answer.Tally{Records: 3, Answered: 2, Failed: 1, Retryable: 1, InputTokens: 5, OutputTokens: 6, TokensKnown: true, StopReasons: map[string]int64{"end_turn": 2}, Errors: []answer.ErrorCount{{Code: "400", Message: "a", Count: 1}}, Passes: 1})
	sum.Add(answer.Tally{Records: 2, Missing: 2, Foreign: 1, Duplicate: 2, Unreadable: 3, Passes: 2})
	if !sum.TokensKnown {
		t.Error("a part without answers makes the tokens unknown")
	}
	sum.Add(answer.Tally{Records: 1, Answered: 1, StopReasons: map[string]int64{"end_turn": 1}, Errors: []answer.ErrorCount{{Code: "400", Message: "a", Count: 4}, {Code: "500", Message: "b", Count: 9}}})
	got, err := json.Marshal(sum)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"records":6,"answered":3,"failed":1,"missing":2,"retryable":1,"inputTokens":5,"outputTokens":6,"tokensKnown":false,"foreign":1,"duplicate":2,"unreadable":3,"stopReasons":{"end_turn":3},"errors":[{"code":"500","message":"b","count":9},{"code":"400","message":"a","count":5}],"passes":3}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
