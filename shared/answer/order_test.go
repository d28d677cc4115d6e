package answer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
)

func TestRowsComeOutInOrderWithEverythingThatIsKnown(t *testing.T) {
	var idx []byte
	idx = part.AppendEntry(idx, part.Entry{Row: 1, Off: 0, Len: 40, Source: 0, ID: []byte(`"mine"`)})
	idx = part.AppendEntry(idx, part.Entry{Row: 3, Off: 80, Len: 41, Source: 1, ID: []byte(`17`)})
	idx = part.AppendEntry(idx, part.Entry{Row: 4, Off: 121, Len: 42, Source: 1})
	idx = part.AppendEntry(idx, part.Entry{Row: 5, Off: 170, Len: 2, Source: 1})
	keys := []string{"in/a.txt", `in/"b".txt`}
	got := order(t, answer.Job{
		Index: text(string(idx)),
		Outputs: outputs(failing(4, 503)+
			`{"modelOutput":{"model":"m","content":[{"type":"thinking","thinking":"hm"},{"text":"a\u00e9","type":"text"}],"stop_reason":"length","usage":{"input_tokens":21,"output_tokens":12}},"recordId":"r0000000003"}`,
			`{"modelOutput":{"content":[{"type":"text","text":"x"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}},"recordId":"r0000000001"}`),
		Invocation: batch.InvokeModel, Family: model.Anthropic, Attempt: 1, Raw: true,
		Source: func(n int) (string, error) { return keys[n], nil },
	})
	want := `{"recordId":"r0000000001","row":1,"id":"mine","source":"in/a.txt","output":"x","stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":2},"attempt":1,"modelOutput":{"content":[{"type":"text","text":"x"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}}
{"recordId":"r0000000003","row":3,"id":17,"source":"in/\"b\".txt","output":"a\u00e9","stopReason":"max_tokens","modelStopReason":"length","reasoning":"hm","usage":{"inputTokens":21,"outputTokens":12},"attempt":1,"modelOutput":{"model":"m","content":[{"type":"thinking","thinking":"hm"},{"text":"a\u00e9","type":"text"}],"stop_reason":"length","usage":{"input_tokens":21,"output_tokens":12}}}
`
	if got.results != want {
		t.Errorf("results:\n%s\nwant:\n%s", got.results, want)
	}
	want = `{"row":4,"recordId":"r0000000004","source":1,"off":121,"len":42,"code":"503","message":"no","retryable":true,"missing":false,"modelInput":{"n":4}}
{"row":5,"recordId":"r0000000005","source":1,"off":170,"len":2,"code":"missing","message":"the job's output has no line for this row","retryable":true,"missing":true}
`
	if got.failed != want {
		t.Errorf("failed:\n%s\nwant:\n%s", got.failed, want)
	}
	ta := got.tally
	if ta.Records != 4 || ta.Answered != 2 || ta.Failed != 1 || ta.Missing != 1 || ta.Retryable != 1 || ta.Passes != 1 ||
		ta.InputTokens != 22 || ta.OutputTokens != 14 || !ta.TokensKnown ||
		!maps.Equal(ta.StopReasons, map[string]int64{"end_turn": 1, "max_tokens": 1}) ||
		len(ta.Errors) != 1 || ta.Errors[0] != (answer.ErrorCount{Code: "503", Message: "no", Count: 1}) {
		t.Errorf("tally: %+v", ta)
	}
}

func TestLinesInAnyShapeAreReadForWhatTheyAre(t *testing.T) {
	const ok = `"modelOutput":{"output":{"message":{"content":[{"text":"fine"}]}},"stopReason":"end_turn"}`
	for _, c := range []struct {
		name string
		out  string // for the one row, number 7
		want string // the output, or the failure's code, or missing
		// retryable of the failure
		retryable                      bool
		foreign, duplicate, unreadable int64
		message                        string // part of the failure's
	}{
		{name: "an answer", out: `{"recordId":"r0000000007",` + ok + `}`, want: "=fine"},
		{name: "the recordId behind the answer", out: `{` + ok + `,"recordId":"r0000000007"}`, want: "=fine"},
		{name: "a recordId with escapes", out: `{"record\u0049d":"\u0072000000000\u0037",` + ok + `}`, want: "=fine"},
		{name: "a carriage return before the line end", out: "\r\n{\"recordId\":\"r0000000007\"," + ok + "}\r\n\r\n", want: "=fine"},
		{name: "a byte order mark", out: "\ufeff{\"recordId\":\"r0000000007\"," + ok + "}\n", want: "=fine"},
		{name: "empty lines", out: "\n\n  \n{\"recordId\":\"r0000000007\"," + ok + "}\n\n", want: "=fine"},
		{name: "an empty file", out: "", want: "missing", retryable: true},
		{name: "braces and line ends inside a string", out: `{"recordId":"r0000000007","modelInput":{"t":"}\n{\"recordId\":\"r0000000009\"}\n{"},` + ok + `}`, want: "=fine"},
		{name: "members nobody knows", out: `{"x":[1,{"recordId":"r0000000001"}],"recordId":"r0000000007",` + ok + `,"error":null}`, want: "=fine"},
		{name: "an empty error beside an answer", out: `{"recordId":"r0000000007",` + ok + `,"error":{}}`, want: "=fine"},
		{name: "an empty list of content", out: `{"recordId":"r0000000007","modelOutput":{"output":{"message":{"content":[]}},"stopReason":"end_turn"}}`, want: "="},
		{name: "a tool-use block last", out: `{"recordId":"r0000000007","modelOutput":{"output":{"message":{"content":[{"text":"let me"},{"toolUse":{"name":"f","input":{}}}]}},"stopReason":"tool_use"}}`, want: "=let me"},

		{name: "an error beside", out: `{"recordId":"r0000000007","error":{"errorCode":400,"errorMessage":"bad"}}`, want: "400", message: "bad"},
		{name: "an error beside an answer", out: `{"recordId":"r0000000007",` + ok + `,"error":{"errorCode":400,"errorMessage":"bad"}}`, want: "400"},
		{name: "an error code as text", out: `{"recordId":"r0000000007","error":{"errorCode":"429","errorMessage":"slow"}}`, want: "429", retryable: true},
		{name: "an error code in words", out: `{"recordId":"r0000000007","error":{"code":"ThrottlingException","message":"slow"}}`, want: "ThrottlingException", retryable: true},
		{name: "an access error in words", out: `{"recordId":"r0000000007","error":{"code":"AccessDeniedException","message":"no"}}`, want: "AccessDeniedException"},
		{name: "an error in the line itself", out: `{"recordId":"r0000000007","errorCode":500,"errorMessage":"oh"}`, want: "500", retryable: true, message: "oh"},
		{name: "an error as a text", out: `{"recordId":"r0000000007","error":"it broke"}`, want: "unnamed_error", message: "it broke"},
		{name: "an error as a number", out: `{"recordId":"r0000000007","error":408}`, want: "408", retryable: true},
		{name: "an error with members nobody knows", out: `{"recordId":"r0000000007","error":{"reason":"dunno"}}`, want: "unnamed_error", message: `{"reason":"dunno"}`},
		{name: "an empty error and no answer", out: `{"recordId":"r0000000007","error":{}}`, want: "unnamed_error"},
		{name: "an error inside the answer", out: `{"recordId":"r0000000007","modelOutput":{"error":{"errorCode":503,"errorMessage":"later"}}}`, want: "503", retryable: true, message: "later"},
		{name: "an error code inside the answer", out: `{"recordId":"r0000000007","modelOutput":{"errorCode":"400","errorMessage":"bad"}}`, want: "400", message: "bad"},
		{name: "an error in Anthropic's shape inside the answer", out: `{"recordId":"r0000000007","modelOutput":{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}}`, want: "overloaded_error", retryable: true},
		{name: "neither answer nor error", out: `{"recordId":"r0000000007","modelInput":{}}`, want: "no_answer", retryable: true},
		{name: "null for an answer", out: `{"recordId":"r0000000007","modelOutput":null}`, want: "no_answer", retryable: true},
		{name: "a text for an answer", out: `{"recordId":"r0000000007","modelOutput":"hello"}`, want: "unreadable_answer", message: "no object"},
		{name: "another family's answer", out: `{"recordId":"r0000000007","modelOutput":{"generation":"hello"}}`, want: "unreadable_answer"},
		{name: "an answer of odd kinds", out: `{"modelOutput":{"output":[1],"stopReason":{},"usage":"x"},"recordId":"r0000000007"}`, want: "unreadable_answer"},

		{name: "a line that breaks off behind its recordId", out: `{"recordId":"r0000000007","modelOutput":{"output":{"mess`, want: "unreadable_line", retryable: true},
		{name: "a broken line that ends with its recordId", out: `{"modelOutput":{"output":nope},"recordId":"r0000000007"}`, want: "unreadable_line", retryable: true},
		{name: "two values on a line", out: `{"recordId":"r0000000007",` + ok + `} {}`, want: "unreadable_line", retryable: true},
		{name: "bytes that are not UTF-8", out: "{\"recordId\":\"r0000000007\",\"modelOutput\":{\"x\":\"\xff\"}}", want: "unreadable_line", retryable: true, message: "UTF-8"},
		{name: "a lone surrogate", out: `{"recordId":"r0000000007","modelInput":"\ud800",` + ok + `}`, want: "=fine"},
		{name: "a name that stands twice", out: `{"recordId":"r0000000007","modelInput":{"a":1,"a":2},` + ok + `}`, want: "=fine"},
		{name: "a broken line without recordId", out: `{"modelOutput":`, want: "missing", retryable: true, unreadable: 1},
		{name: "a line that is no object", out: `[{"recordId":"r0000000007"}]` + "\n\"r0000000007\"\n7", want: "missing", retryable: true, unreadable: 3},
		{name: "nothing but nesting", out: strings.Repeat("[", 20_000), want: "missing", retryable: true, unreadable: 1},
		{name: "an object without recordId", out: `{` + ok + `}`, want: "missing", retryable: true, unreadable: 1},
		{name: "a recordId that is a number", out: `{"recordId":7,` + ok + `}`, want: "missing", retryable: true, unreadable: 1},
		{name: "somebody else's recordId", out: `{"recordId":"CALL0000007",` + ok + `}`, want: "missing", retryable: true, foreign: 1},
		{name: "a recordId of another part", out: `{"recordId":"r0000000008",` + ok + `}` + "\n" + `{"recordId":"r0000000001",` + ok + `}`, want: "missing", retryable: true, foreign: 2},
		{name: "a recordId of another length", out: `{"recordId":"r00000000007",` + ok + `}`, want: "missing", retryable: true, foreign: 1},
		{name: "two answers for a row", out: `{"recordId":"r0000000007",` + ok + `}` + "\n" + converse(7, "second"), want: "=fine", duplicate: 1},
		{name: "an answer behind an error for a row", out: failing(7, 400) + `{"recordId":"r0000000007",` + ok + `}`, want: "=fine", duplicate: 1},
		{name: "an error behind an answer for a row", out: `{"recordId":"r0000000007",` + ok + `}` + "\n" + failing(7, 400), want: "=fine", duplicate: 1},
		{name: "two errors for a row", out: failing(7, 401) + failing(7, 402), want: "401", duplicate: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := order(t, answer.Job{Index: text(index(7)), Outputs: outputs(c.out), Attempt: 1})
			ta := got.tally
			if ta.Foreign != c.foreign || ta.Duplicate != c.duplicate || ta.Unreadable != c.unreadable {
				t.Errorf("foreign, duplicate, unreadable = %d, %d, %d; want %d, %d, %d", ta.Foreign, ta.Duplicate, ta.Unreadable, c.foreign, c.duplicate, c.unreadable)
			}
			if ta.Answered+ta.Failed+ta.Missing != 1 {
				t.Errorf("the sum is not 1: %+v", ta)
			}
			if want, ok := strings.CutPrefix(c.want, "="); ok {
				if !strings.Contains(got.results, `"output":"`+want+`",`) || got.failed != "" || ta.Answered != 1 {
					t.Errorf("results %s, failed %s", got.results, got.failed)
				}
				return
			}
			n := 0
			for f, err := range answer.Failures(strings.NewReader(got.failed)) {
				if err != nil {
					t.Fatal(err)
				}
				n++
				if f.Row != 7 || f.RecordID != "r0000000007" || f.Off != 70 || f.Len != 10 || f.Source != part.NoSource ||
					f.Code != c.want || f.Retryable != c.retryable || f.Missing != (c.want == "missing") || !strings.Contains(f.Message, c.message) {
					t.Errorf("failure: %+v", f)
				}
			}
			if n != 1 || got.results != "" {
				t.Errorf("%d failures; results %s", n, got.results)
			}
		})
	}
}

func TestAnErrorOfAReaderOrWriterEndsIt(t *testing.T) {
	broken := errors.New("broken pipe")
	whole := converse(1, "a") + converse(2, "b")
	for _, c := range []struct {
		name string
		set  func(*answer.Job)
	}{
		{"an output that cannot be opened", func(j *answer.Job) {
			j.Outputs = []answer.Output{{Open: func(context.Context) (io.ReadCloser, error) { return nil, broken }}}
		}},
		{"an output that fails half way", func(j *answer.Job) {
			j.Outputs = []answer.Output{{Open: func(context.Context) (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(strings.NewReader(whole[:50]), iotest.ErrReader(broken))), nil
			}}}
		}},
		{"an index that cannot be opened", func(j *answer.Job) {
			j.Index = func(context.Context) (io.ReadCloser, error) { return nil, broken }
		}},
		{"an index that fails half way", func(j *answer.Job) {
			j.Index = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(iotest.ErrReader(broken)), nil }
		}},
		{"results that cannot be written", func(j *answer.Job) { j.Results = failingWriter{broken} }},
		{"failed rows that cannot be written", func(j *answer.Job) { j.Failed = failingWriter{broken} }},
		{"a source without a name", func(j *answer.Job) {
			j.Index = text(string(part.AppendEntry(nil, part.Entry{Row: 1, Source: 4})))
			j.Source = func(int) (string, error) { return "", broken }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			job := answer.Job{Index: text(index(1, 2, 3)), Outputs: outputs(whole), Invocation: batch.Converse, Dir: t.TempDir(), Results: io.Discard, Failed: io.Discard}
			c.set(&job)
			if _, err := answer.Order(t.Context(), job); !errors.Is(err, broken) {
				t.Errorf("error %v", err)
			}
		})
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestAFamilyNobodyKnowsIsRefused(t *testing.T) {
	_, err := answer.Order(t.Context(), answer.Job{Invocation: batch.InvokeModel, Family: "papagei"})
	if !errors.Is(err, batch.ErrInvalid) {
		t.Errorf("error %v", err)
	}
}

func TestNothingIsLeftInTheTemporaryFolder(t *testing.T) {
	dir := t.TempDir()
	got := order(t, answer.Job{Index: text(index(1, 2, 3)), Outputs: outputs(converse(3, "c") + converse(2, "b") + converse(1, "a")), Dir: dir, Memory: -1, Spill: 250})
	if got.tally.Passes < 2 {
		t.Errorf("%d passes", got.tally.Passes)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestLongLinesAreReadAndLongerOnesAreTheirRowsFailure(t *testing.T) {
	answer.ReadInSteps(t, 0, 6<<20, 0)
	long := strings.Repeat("x", 4<<20)
	longer := strings.Repeat("y", 9<<20)
	got := order(t, answer.Job{
		Index: text(index(1, 2, 3, 4)),
		Outputs: outputs(converse(4, "d")+converse(1, long)+converse(2, longer)+converse(3, "c"),
			strings.TrimSuffix(converse(2, longer), "\n")),
	})
	if got.tally.Answered != 3 || got.tally.Failed != 1 || got.tally.Duplicate != 1 || !strings.Contains(got.failed, `"code":"unreadable_line"`) {
		t.Errorf("tally %+v, failed %s", got.tally, got.failed)
	}
	if !strings.Contains(got.results, `"output":"`+long+`"`) || !strings.Contains(got.results, `"output":"c"`) {
		t.Error("answers are not whole")
	}
}

func TestTheTallyKeepsTheMostCommonErrors(t *testing.T) {
	var out strings.Builder
	var rows []int64
	for row := int64(1); row <= 2000; row++ {
		rows = append(rows, row)
		message := fmt.Sprintf("you asked %d %s", row, strings.Repeat("é", 300))
		if row%2 == 0 {
			message = "bad"
		}
		fmt.Fprintf(&out, `{"recordId":%q,"error":{"errorCode":400,"errorMessage":%q}}`+"\n", id(row), message)
	}
	got := order(t, answer.Job{Index: text(index(rows...)), Outputs: outputs(out.String())})
	e := got.tally.Errors
	if len(e) != 20 || e[0] != (answer.ErrorCount{Code: "400", Message: "bad", Count: 1000}) || e[1].Message != "(other messages)" {
		t.Errorf("errors: %+v", e)
	}
	for _, c := range e {
		if n := len([]rune(c.Message)); n > 200 {
			t.Errorf("a message of %d characters", n)
		}
	}
	if !strings.Contains(got.failed, strings.Repeat("é", 300)) {
		t.Error("the failed rows do not have the whole message")
	}
}

func TestASpillFolderThatIsNotThereIsNamed(t *testing.T) {
	dir := t.TempDir() + "/nowhere"
	_, err := answer.Order(t.Context(), answer.Job{
		Index: text(index(1)), Outputs: outputs(converse(1, "a")), Invocation: batch.Converse,
		Dir: dir, Memory: -1, Results: io.Discard, Failed: io.Discard,
	})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v", err)
	}
}

func TestOutputOrIndexThatChangeBetweenPassesAreNoticed(t *testing.T) {
	answer.ForgetIndexes(t)
	changing := func(texts ...string) func(context.Context) (io.ReadCloser, error) {
		n := 0
		return func(context.Context) (io.ReadCloser, error) {
			s := texts[min(n, len(texts)-1)]
			n++
			return io.NopCloser(strings.NewReader(s)), nil
		}
	}
	two := converse(2, "b") + converse(1, "a")
	for _, c := range []struct {
		name          string
		index, output func(context.Context) (io.ReadCloser, error)
		because       string
		memory, spill int64
	}{
		{"lines in another order", text(index(1, 2)), changing(two, converse(1, "a")+converse(2, "b")), "output file read differently", -1, -1},
		{"lines that are gone", text(index(1, 2)), changing(two, ""), "output file read differently", -1, -1},
		{"an answer of another length", text(index(1, 2)), changing(two, converse(2, "bb")+converse(1, "aa")), "output file read differently", -1, -1},
		{"other rows", changing(index(1, 2), index(1, 3)), text(two), "index read differently", 0, 0},
		{"rows in a wrong order", text(index(2, 1)), text(two), "row 1 stands behind row 2", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := answer.Order(t.Context(), answer.Job{
				Index: c.index, Outputs: []answer.Output{{Open: c.output}}, Invocation: batch.Converse, Dir: t.TempDir(),
				Memory: c.memory, Spill: c.spill, Results: io.Discard, Failed: io.Discard,
			})
			if err == nil || !strings.Contains(err.Error(), c.because) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestItEndsWhenItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	job := answer.Job{Index: text(index(1)), Invocation: batch.Converse, Dir: t.TempDir(), Results: io.Discard, Failed: io.Discard}
	job.Outputs = []answer.Output{{Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(endless{cancel}), nil
	}}}
	if _, err := answer.Order(ctx, job); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// endless is an output without end that is given up while it is read.
type endless struct{ cancel func() }

func (e endless) Read(p []byte) (int, error) {
	e.cancel()
	return copy(p, "{}\n"), nil
}
