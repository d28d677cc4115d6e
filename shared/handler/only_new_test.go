package handler_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

const onlyNew = "only_new: true\n"

// questionsAsked counts by content what a world's models were asked.
type questionsAsked struct {
	mu    sync.Mutex
	times map[string]int
}

// twice are the contents that were asked more than once.
func (q *questionsAsked) twice() (all []string) {
	for in, n := range q.times {
		if n > 1 {
			all = append(all, in)
		}
	}
	return all
}

func (q *questionsAsked) sum() (n int) {
	for _, times := range q.times {
		n += times
	}
	return n
}

// telling makes a world whose answers say what was asked, always the same.
func telling(t *testing.T, change func(*handlertest.World)) (*handlertest.World, *questionsAsked) {
	asked := &questionsAsked{times: map[string]int{}}
	w := handlertest.New(t, func(w *handlertest.World) {
		small(w)
		w.Answer = func(model string, how batch.Invocation, in []byte) []byte {
			asked.mu.Lock()
			asked.times[string(in)]++
			asked.mu.Unlock()
			h := fnv.New64a()
			h.Write(in)
			switch n := h.Sum64(); {
			case strings.Contains(model, "titan-embed"):
				return fmt.Appendf(nil, `{"embedding":[0.5,%d],"inputTextTokenCount":%d}`, n%1000, len(in))
			case how == batch.Converse:
				stop := []string{"end_turn", "end_turn", "max_tokens", "content_filtered"}[n%4]
				return fmt.Appendf(nil, `{"output":{"message":{"role":"assistant","content":[{"text":"{\"of\": %d}"}]}},"stopReason":"%s","usage":{"inputTokens":%d,"outputTokens":2,"totalTokens":5}}`, n%1e9, stop, len(in))
			default:
				return fmt.Appendf(nil, `{"id":"m","type":"message","role":"assistant","content":[{"type":"text","text":"\"of\" %d"}],"stop_reason":"end_turn","usage":{"input_tokens":%d,"output_tokens":2}}`, n, len(in))
			}
		}
		if change != nil {
			change(w)
		}
	})
	return w, asked
}

var (
	knownMember = regexp.MustCompile(`,"known":"[0-9a-f]{26}"`)
	createdAt   = regexp.MustCompile(`"created(_at)?":\d+`)
)

// comesBack are the files that a notice's submission left, as they would be had
// nothing been known.
func comesBack(w *handlertest.World, n pipeline.Notice) map[string]string {
	files := map[string]string{}
	from, _, _ := strings.Cut(strings.TrimPrefix(n.Results.Summary, "s3://out/"), "summary.json")
	for _, key := range w.Output.Keys(from) {
		name := strings.TrimPrefix(key, from)
		if name == "summary.json" || name == "progress.json" {
			continue
		}
		body := knownMember.ReplaceAll(w.Output.Bytes(key), nil)
		files[name] = string(createdAt.ReplaceAll(body, []byte(`"created":0`)))
	}
	return files
}

// knownRows are the numbers of the rows whose results name another submission.
func knownRows(t *testing.T, w *handlertest.World, n pipeline.Notice) (rows []int) {
	t.Helper()
	for line := range bytes.Lines(w.Result(n, "results.jsonl")) {
		var r struct {
			Row   int
			Known string
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if r.Known != "" {
			rows = append(rows, r.Row)
		}
	}
	return rows
}

// rowsFrom makes lines of a pattern with a name and a content.
func rowsFrom(pattern string, name string, contents ...int) []byte {
	var b bytes.Buffer
	for i, c := range contents {
		fmt.Fprintf(&b, pattern+"\n", fmt.Sprintf("%s%d", name, i+1), c)
	}
	return b.Bytes()
}

func upTo(first, last int) (all []int) {
	for i := first; i <= last; i++ {
		all = append(all, i)
	}
	return all
}

// What comes back of a row is the same, byte for byte, whether it was known or
// paid again, but for the member that says so.
func TestRowsThatAreKnownComeBackAsIfTheyHadBeenAsked(t *testing.T) {
	prompt := `{"id":"%s","prompt":"What is %d?"}`
	array := func(lines []byte) []byte {
		return []byte("[" + strings.ReplaceAll(strings.TrimSpace(string(lines)), "\n", ",\n") + "]")
	}
	packed := func(lines []byte) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write(lines)
		z.Close()
		return b.Bytes()
	}
	asTable := func(lines []byte) []byte { return append([]byte("id,text\n"), lines...) }
	const claudeModel = "model: anthropic.claude-3-haiku-20240307-v1:0\n"
	for _, c := range []struct {
		name, settings, ext, row string
		wrap                     func([]byte) []byte
	}{
		{"prompts", nova, ".jsonl", prompt, nil},
		{"with all that can stand beside them", nova + "output: {echo: true, csv: true, parquet: true, raw: true}\n", ".jsonl", prompt, nil},
		{"structured answers", nova + "output: {json: {type: object, required: [of]}, csv: true}\n", ".jsonl", prompt, nil},
		{"a table", nova + "prompt_template: 'Say {text}'\noutput: {echo: true}\n", ".csv", `%s,"number %d"`, asTable},
		{"an array", nova + "prompt_template: 'Say {text}'\noutput: {echo: true}\n", ".json", `{"id":"%s","text":"number %d"}`, array},
		{"a packed file", nova + "output: {echo: true}\n", ".jsonl.gz", prompt, packed},
		{"native rows", claudeModel, ".jsonl", `{"recordId":"%s","modelInput":{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[{"role":"user","content":"number %d"}]}}`, nil},
		{"OpenAI's rows", nova, ".jsonl", `{"custom_id":"%s","method":"POST","url":"/v1/chat/completions","body":{"model":"gpt-4o-mini","messages":[{"role":"user","content":"number %d"}]}}`, nil},
		{"Anthropic's rows", claudeModel, ".jsonl", `{"custom_id":"%s","params":{"model":"claude-3","max_tokens":100,"messages":[{"role":"user","content":"number %d"}]}}`, nil},
		{"embeddings", "model: amazon.titan-embed-text-v2:0\noutput: {parquet: true}\n", ".jsonl", prompt, nil},
	} {
		for _, size := range []int{2, 20} { // on demand, by jobs
			t.Run(fmt.Sprint(c.name, " ", size), func(t *testing.T) {
				var last []pipeline.Notice
				var worlds []*handlertest.World
				for _, settings := range []string{c.settings + onlyNew, c.settings} {
					w, asked := telling(t, nil)
					w.Input.Set("a/workload.yaml", []byte(settings))
					put := func(key string, rows []byte) {
						if c.wrap != nil {
							rows = c.wrap(rows)
						}
						w.Input.Set("a/"+key+c.ext, rows)
						w.Run()
					}
					put("first", rowsFrom(c.row, "f", upTo(1, size)...))
					// Half of it again, in another order and under other
					// names, between new ones.
					again := upTo(size/2+1, size+size/2)
					slices.SortFunc(again, func(a, b int) int { return a*7%11 - b*7%11 })
					put("second", rowsFrom(c.row, "s", again...))
					n := w.Notices()
					if len(n) != 2 || n[1].Status != pipeline.StatusCompleted || n[1].Rows.Answered != int64(len(again)) {
						t.Fatalf("notices: %+v; %q", n, w.Failed)
					}
					if twice := asked.twice(); settings != c.settings && len(twice) > 0 {
						t.Errorf("asked again: %q", twice)
					}
					clean(t, w)
					last, worlds = append(last, n[1]), append(worlds, w)
				}
				if want := int64(size - size/2); last[0].Rows.Known != want || len(knownRows(t, worlds[0], last[0])) != int(want) || last[1].Rows.Known != 0 {
					t.Errorf("%d rows are known, want %d: %v", last[0].Rows.Known, want, knownRows(t, worlds[0], last[0]))
				}
				got, want := comesBack(worlds[0], last[0]), comesBack(worlds[1], last[1])
				for _, files := range []map[string]string{got, want} {
					// Known rows make other parts, thus other files.
					maps.DeleteFunc(files, func(name, _ string) bool { return strings.HasSuffix(name, ".parquet") })
				}
				if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
					t.Errorf("files %q, want %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
				}
				for name := range want {
					if got[name] != want[name] {
						t.Errorf("%s:\n%s\nwant\n%s", name, got[name], want[name])
					}
				}
				below := func(i int) string {
					return strings.TrimPrefix(strings.TrimSuffix(last[i].Results.Summary, "summary.json"), "s3://out/") + "results/"
				}
				if a, b := fmt.Sprintf("%+v", rowsBelow(t, worlds[0], below(0))), fmt.Sprintf("%+v", rowsBelow(t, worlds[1], below(1))); a != b {
					t.Errorf("as Parquet:\n%s\nwant\n%s", a, b)
				}
				if last[0].Answers != last[1].Answers {
					t.Errorf("answers: %+v, want %+v", last[0].Answers, last[1].Answers)
				}
				if last[0].Tokens.Input*3 > last[1].Tokens.Input*2 {
					t.Errorf("tokens: %+v of %+v", last[0].Tokens, last[1].Tokens)
				}
			})
		}
	}
}

// Documents, objects of a folder and requests know each other's answers.
func TestDocumentsAndRequestsAreKnown(t *testing.T) {
	w, asked := telling(t, nil)
	w.Input.Set("docs/workload.yaml", []byte(summarise+onlyNew))
	drop(w, 9)
	w.Run()
	w.Clock.Advance(time.Hour)
	for i := range 12 { // nine of them again, as other objects
		w.Input.Set(fmt.Sprintf("docs/z/again-%02d.txt", i), fmt.Appendf(nil, "document %d", i))
	}
	w.Run()
	n := w.Notices()
	if len(n) != 2 || n[1].Status != pipeline.StatusCompleted || n[1].Rows.Known != 9 || n[1].Rows.Answered != 12 || asked.sum() != 12 {
		t.Fatalf("notices: %+v, %d asked", n, asked.sum())
	}
	if got := sources(t, w, n[1]); len(got) != 12 || got["docs/z/again-00.txt"] != 1 {
		t.Errorf("sources: %v", got)
	}
	clean(t, w)

	w, asked = telling(t, nil)
	const settings = `,"workload":{"model":"us.amazon.nova-lite-v1:0","only_new":true}`
	for i, rows := range []int{8, 12} {
		w.Uploads.Put(ask(rows, settings+fmt.Sprintf(`,"id":"order-%d"`, i)), 0)
		w.Run()
	}
	if n := w.Notices(); len(n) != 2 || n[1].Rows.Known != 8 || n[1].Rows.Answered != 12 || asked.sum() != 12 {
		t.Errorf("notices: %+v, %d asked", n, asked.sum())
	}
	clean(t, w)
}

func TestAnUploadOfKnownRowsAloneNeedsNoJobAndCostsNothing(t *testing.T) {
	w, asked := telling(t, nil)
	w.Input.Set("a/workload.yaml", []byte(nova+onlyNew))
	w.Input.Set("a/first.jsonl", prompts(20))
	w.Run()
	jobs := len(w.Bedrock.All())
	w.Input.Set("a/second.jsonl", append(prompts(20), "not a row\n"...))
	w.Run()
	n := w.Notices()
	if len(n) != 2 || len(w.Bedrock.All()) != jobs || asked.sum() != 20 {
		t.Fatalf("notices %+v, %d jobs instead of %d", n, len(w.Bedrock.All()), jobs)
	}
	if n := n[1]; n.Status != pipeline.StatusCompletedWithErrors || n.Rows != (pipeline.Rows{Total: 21, Answered: 20, SetAside: 1, Known: 20}) || n.Tokens != (pipeline.Tokens{}) || n.EstimatedCostUSD == nil || *n.EstimatedCostUSD != 0 {
		t.Errorf("notice: %+v", n)
	}
	if r := summary(t, w, n[1]).Recall; r == nil || r.Answers != 20 || r.Parts != 3 || r.More {
		t.Errorf("recall: %+v", r)
	}
	if mail := w.Topic.Published()[1].Email; !strings.Contains(mail, "20 of the answered were known and not paid again") {
		t.Errorf("mail: %s", mail)
	}
	clean(t, w)
}

// What is left is too little for a job.
func TestWhatIsLeftBesideKnownRowsFollowsTheOrdinaryRules(t *testing.T) {
	for small, want := range map[string]pipeline.Rows{
		"on-demand": {Total: 22, Answered: 22, Known: 20},
		"reject":    {Total: 22, Answered: 20, Known: 20, Missing: 2},
	} {
		w, _ := telling(t, nil)
		w.Input.Set("a/workload.yaml", []byte(nova+onlyNew+"small: "+small+"\n"))
		w.Input.Set("a/first.jsonl", prompts(20))
		w.Run()
		w.Input.Set("a/second.jsonl", prompts(22))
		w.Run()
		n := w.Notices()
		if len(n) != 2 || n[1].Rows != want {
			t.Errorf("%s: %+v", small, n)
			continue
		}
		if missing := bytes.Count(w.Result(n[1], "errors.jsonl"), []byte("\n")); missing != int(want.Missing) {
			t.Errorf("%s: %d lines in errors.jsonl", small, missing)
		}
		clean(t, w)
	}
}

func TestOtherSettingsAreOtherQuestions(t *testing.T) {
	for change, known := range map[string]int64{
		"":                                 10,
		"retries: 3\n":                     10,
		"name: other\n":                    10,
		"output: {echo: true}\n":           10,
		"system: Be brief.\n":              0,
		"inference: {max_tokens: 5}\n":     0,
		"output: {raw: true}\n":            0,
		"output: {json: true}\n":           0,
		"model: us.amazon.nova-pro-v1:0\n": 0,
		"only_new: false\n":                0,
	} {
		w, _ := telling(t, nil)
		w.Input.Set("workload.yaml", []byte(nova+onlyNew))
		w.Input.Set("a/rows.jsonl", prompts(10))
		w.Run()
		w.Input.Set("b/workload.yaml", []byte(change))
		w.Input.Set("b/rows.jsonl", prompts(10))
		w.Run()
		if n := w.Notices(); len(n) != 2 || n[1].Rows.Known != known || n[1].Rows.Answered != 10 {
			t.Errorf("%q: %+v, want %d known", change, n, known)
		}
	}
}

// Rows that failed are asked again, and they alone; errors.jsonl may be dropped
// too.
func TestFailedRowsAreNeverKnown(t *testing.T) {
	for _, again := range []string{"rows", "errors"} {
		fails := true
		w, _ := telling(t, func(w *handlertest.World) {
			w.Outcome = func(batch.Job) memory.Outcome {
				return memory.Outcome{Line: func(n int, _ string) memory.Line {
					if fails && n%4 == 0 {
						return memory.Line{Shape: memory.Inside, Code: 400, Message: "no"}
					}
					return memory.Line{}
				}}
			}
		})
		w.Input.Set("a/workload.yaml", []byte(nova+onlyNew))
		w.Input.Set("a/first.jsonl", prompts(16))
		w.Run()
		first, sent := w.Notices()[0], len(w.Sent)
		if first.Rows.Failed != 4 {
			t.Fatalf("notice: %+v", first)
		}
		fails = false
		body, known := prompts(16), int64(12)
		if again == "errors" {
			body, known = w.Result(first, "errors.jsonl"), 0
		}
		w.Input.Set("a/second.jsonl", body)
		w.Run()
		n := w.Notices()[1]
		if n.Status != pipeline.StatusCompleted || n.Rows.Known != known || len(w.Sent)-sent != 4 {
			t.Errorf("%s: %+v, %d sent", again, n.Rows, len(w.Sent)-sent)
		}
		// Now all are known, each from whoever paid for it.
		w.Input.Set("a/third.jsonl", prompts(16))
		w.Run()
		if n := w.Notices()[2]; n.Rows.Known != 16 || len(w.Sent)-sent != 4 {
			t.Errorf("%s: %+v", again, n.Rows)
		}
		clean(t, w)
	}
}

// What is remembered may have gone, or be broken in any way: its rows are paid
// again, and none gets the answer of another.
func TestWhatCannotBeRecalledIsPaidAgain(t *testing.T) {
	for name, spoil := range map[string]func(w *handlertest.World, key string){
		"it has expired":   func(w *handlertest.World, key string) { w.Output.Delete(t.Context(), key) },
		"it is cut":        func(w *handlertest.World, key string) { w.Output.Set(key, w.Output.Bytes(key)[:100]) },
		"it is empty":      func(w *handlertest.World, key string) { w.Output.Set(key, nil) },
		"it is none of us": func(w *handlertest.World, key string) { w.Output.Set(key, bytes.Repeat([]byte("x"), 5000)) },
		"its answers stand elsewhere": func(w *handlertest.World, key string) {
			body := bytes.Clone(w.Output.Bytes(key))
			lines := bytes.SplitAfterN(body, []byte("\n"), 3)
			w.Output.Set(key, bytes.Join([][]byte{lines[1], lines[0], lines[2]}, nil))
		},
		"its answers are gone": func(w *handlertest.World, key string) {
			body := bytes.Clone(w.Output.Bytes(key))
			for i := range 200 {
				body[i] = 0
			}
			w.Output.Set(key, body)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, asked := telling(t, nil)
			w.Input.Set("a/workload.yaml", []byte(nova+onlyNew))
			w.Input.Set("a/first.jsonl", prompts(8))
			w.Run()
			want := comesBack(w, w.Notices()[0])["results.jsonl"]
			for _, key := range w.Output.Keys("known/") {
				spoil(w, key)
			}
			w.Input.Set("a/second.jsonl", prompts(8))
			w.Run()
			n := w.Notices()
			if len(n) != 2 || n[1].Status != pipeline.StatusCompleted || n[1].Rows.Answered != 8 || n[1].Rows.Known == 8 {
				t.Fatalf("notices: %+v", n)
			}
			if int(n[1].Rows.Known)+asked.sum() != 16 {
				t.Errorf("%d rows were known, %d asked", n[1].Rows.Known, asked.sum())
			}
			if got := comesBack(w, n[1])["results.jsonl"]; got != want {
				t.Errorf("results:\n%s\nwant\n%s", got, want)
			}
			clean(t, w)
		})
	}
}

// refuses fails calls before they are made.
type refuses func(call, key string) error

func (f refuses) Before(_ context.Context, call, key string) error { return f(call, key) }

func (refuses) After(_ context.Context, _, _ string, err error) error { return err }

// It goes, or cannot be read, between the listing of what is remembered and its
// answers.
func TestKnownAnswersMayGoWhileTheyAreUsed(t *testing.T) {
	for name, c := range map[string]struct {
		err         error
		from, times int // reads of what is remembered that fail
		known       int64
	}{
		"its entries expire":                {batch.ErrNotFound, 1, 99, 0},
		"its answers expire":                {batch.ErrNotFound, 2, 99, 0},
		"its answers may not be read":       {batch.ErrAccess, 2, 99, 0},
		"the service is busy for a while":   {batch.ErrUnavailable, 1, 1, 8},
		"the service throttles for a while": {batch.ErrThrottled, 2, 1, 8},
	} {
		var reads atomic.Int64
		w, asked := telling(t, func(w *handlertest.World) {
			w.Hook = refuses(func(call, key string) error {
				if call != "Bucket.Open" || !strings.HasPrefix(key, "out/known/") {
					return nil
				}
				if n := int(reads.Add(1)); n >= c.from && n < c.from+c.times {
					return fmt.Errorf("open %s: %w", key, c.err)
				}
				return nil
			})
		})
		w.Input.Set("a/workload.yaml", []byte(nova+onlyNew))
		for _, key := range []string{"a/first.jsonl", "a/second.jsonl"} {
			w.Input.Set(key, prompts(8))
			w.Run()
		}
		n := w.Notices()
		if len(n) != 2 || n[1].Status != pipeline.StatusCompleted || n[1].Rows.Known != c.known || asked.sum() != 16-int(c.known) {
			t.Errorf("%s: %+v, %d asked", name, n, asked.sum())
		}
		clean(t, w)
	}
}

// A list of what is remembered that may not be made is as good as none.
func TestWithoutARightToWhatIsRememberedAllIsPaid(t *testing.T) {
	w, asked := telling(t, func(w *handlertest.World) {
		w.Hook = refuses(func(call, key string) error {
			if strings.HasPrefix(key, "out/known/") {
				return fmt.Errorf("%s %s: %w", call, key, batch.ErrAccess)
			}
			return nil
		})
	})
	w.Input.Set("a/workload.yaml", []byte(nova+onlyNew))
	for _, key := range []string{"a/first.jsonl", "a/second.jsonl"} {
		w.Input.Set(key, prompts(8))
		w.Run()
	}
	if n := w.Notices(); len(n) != 2 || n[1].Status != pipeline.StatusCompleted || n[1].Rows.Known != 0 || asked.sum() != 16 {
		t.Errorf("notices: %+v", n)
	}
	clean(t, w)
}

// No more than is reckoned with is looked at, and that is told.
func TestManyKnownPartsAreNotAllLookedAt(t *testing.T) {
	w, _ := telling(t, nil)
	w.Input.Set("a/workload.yaml", []byte(nova+onlyNew))
	w.Input.Set("a/first.jsonl", prompts(8))
	w.Run()
	key := w.Output.Keys("known/")[0]
	for i := range 1000 { // younger ones, of other submissions
		prefix, name, _ := strings.Cut(strings.TrimPrefix(key, "known/"), "/")
		_, rest, _ := strings.Cut(name, "-")
		w.Output.Set(fmt.Sprintf("known/%s/%016x-%s", prefix, i, rest), w.Output.Bytes(key))
	}
	w.Input.Set("a/second.jsonl", prompts(8))
	w.Run()
	n := w.Notices()[1]
	if r := summary(t, w, n).Recall; n.Rows.Known != 8 || r == nil || r.Parts != 1000 || r.Answers != 8000 || !r.More {
		t.Errorf("notice %+v, recall %+v", n.Rows, r)
	}
	clean(t, w)
}

// Code of the first version would lose the answers of known rows: it leaves such
// a submission alone, and no other.
func TestOlderCodeLeavesKnownRowsAlone(t *testing.T) {
	w, _ := telling(t, nil)
	w.Input.Set("a/workload.yaml", []byte(nova+onlyNew))
	for _, key := range []string{"a/first.jsonl", "a/second.jsonl"} {
		w.Input.Set(key, prompts(8))
		w.Run()
	}
	for i, n := range w.Notices() {
		var s struct{ Version int }
		if err := json.Unmarshal(w.Output.Bytes("submissions/"+n.Submission+"/submission.json"), &s); err != nil || s.Version != i+1 {
			t.Errorf("submission %d has version %d, %v", i+1, s.Version, err)
		}
	}
}

// Whatever call an invocation dies at, while a part is remembered or known
// rows are used: all rows are answered, and no more than one job's worth is paid
// again, which is none here.
func TestOnlyNewSurvivesACrashAtEveryWrite(t *testing.T) {
	for at := 1; ; at++ {
		writes, died := 0, false
		w, asked := telling(t, func(w *handlertest.World) {
			w.Hook = crashes(func(call, _ string) bool {
				if call != "Bucket.Put" && call != "Bucket.Commit" && call != "Bucket.Delete" {
					return false
				}
				writes++
				if !died && writes == at {
					died = true
					return true
				}
				return false
			})
		})
		w.Input.Set("a/workload.yaml", []byte(nova+onlyNew))
		for i, rows := range []int{6, 12} {
			w.Input.Set(fmt.Sprintf("a/%d.jsonl", i), prompts(rows))
			w.Run()
			w.Clock.Advance(2 * time.Hour)
			w.Ticks(14)
		}
		byUpload := map[string]pipeline.Notice{}
		for _, n := range w.Notices() {
			byUpload[n.Upload.Key] = n
		}
		if a, b := byUpload["a/0.jsonl"], byUpload["a/1.jsonl"]; a.Rows.Answered != 6 || b.Rows.Answered != 12 || b.Rows.Known != 6 {
			t.Fatalf("write %d: %+v, %+v", at, a.Rows, b.Rows)
		}
		if twice := asked.twice(); len(twice) > 0 {
			t.Fatalf("write %d: asked again %q", at, twice)
		}
		if !died {
			if at < 30 {
				t.Errorf("only %d writes", at)
			}
			return
		}
	}
}

// An upload that is read twice, the second time when half of its rows are known,
// and given up before the second reading is told in its state: the books are
// those of one reading.
func TestAnUploadReadAgainWithMoreKnownKeepsItsBooks(t *testing.T) {
	var id string
	w, _ := telling(t, func(w *handlertest.World) {
		w.Hook = crashes(func(call, key string) bool {
			if id == "" && call == "Bucket.Put" && strings.Contains("/"+key, "/waiting/") {
				id = key[strings.LastIndexByte(key, '-')+1:] // its first reading is told, but not that it has ended
				return true
			}
			return id != "" && call == "Bucket.Commit" && strings.Contains(key, id) && strings.HasSuffix(key, "/0-1.index")
		})
	})
	w.Input.Set("a/workload.yaml", []byte(nova+onlyNew))
	w.Input.Set("a/all.jsonl", prompts(12))
	w.Run()
	if id == "" {
		t.Fatal("nothing waits")
	}
	w.Input.Set("a/half.jsonl", prompts(6))
	w.Run()
	for range 10 {
		w.Clock.Advance(time.Hour)
		w.Ticks(7)
	}
	byUpload := map[string]pipeline.Notice{}
	for _, n := range w.Notices() {
		byUpload[n.Upload.Key] = n
	}
	half, all := byUpload["a/half.jsonl"].Rows, byUpload["a/all.jsonl"]
	if half.Answered != 6 || all.Status != pipeline.StatusFailed {
		t.Fatalf("half: %+v, all: %+v", half, all)
	}
	if r := all.Rows; r.Answered+r.Failed+r.SetAside+r.Missing != r.Total || len(summary(t, w, all).Mismatches) > 0 {
		t.Errorf("rows %+v, mismatches %v", r, summary(t, w, all).Mismatches)
	}
}

// Requests come with stretches of answers, not with rows, in whatever order the
// rows come, and for documents that come one by one.
func TestKnownAnswersAreReadInStretches(t *testing.T) {
	const rows = 6000
	lines := bytes.SplitAfter(bytes.TrimSuffix(prompts(rows), []byte("\n")), []byte("\n"))
	lines[rows-1] = append(lines[rows-1], '\n')
	for name, mix := range map[string]func(i int) int{
		"in order":         func(i int) int { return i },
		"in another order": func(i int) int { return i * 1009 % rows },
	} {
		var reads atomic.Int64
		w, asked := telling(t, func(w *handlertest.World) {
			w.Settings.Quotas = config.Quotas{MinRecords: 100, MaxRecords: 2000, MaxFileBytes: 1 << 30}
			w.Hook = refuses(func(call, key string) error {
				if call == "Bucket.Open" && strings.HasPrefix(key, "out/known/") {
					reads.Add(1)
				}
				return nil
			})
		})
		w.Input.Set("a/workload.yaml", []byte(nova+onlyNew))
		w.Input.Set("a/first.jsonl", bytes.Join(lines, nil))
		w.Run()
		mixed := make([][]byte, rows)
		for i := range mixed {
			mixed[i] = lines[mix(i)]
		}
		w.Input.Set("a/second.jsonl", bytes.Join(mixed, nil))
		w.Run()
		if n := w.Notices(); len(n) != 2 || n[1].Rows.Known != rows || asked.sum() != rows {
			t.Fatalf("%s: %+v", name, n)
		}
		t.Logf("%s: %d reads for %d rows of 3 parts", name, reads.Load(), rows)
		if reads.Load() > 60 {
			t.Errorf("%s: %d reads for %d rows", name, reads.Load(), rows)
		}
	}
	var reads atomic.Int64
	w, _ := telling(t, func(w *handlertest.World) {
		w.Settings.Quotas = config.Quotas{MinRecords: 100, MaxRecords: 2000, MaxFileBytes: 1 << 30}
		w.Hook = refuses(func(call, key string) error {
			if call == "Bucket.Open" && strings.HasPrefix(key, "out/known/") {
				reads.Add(1)
			}
			return nil
		})
	})
	w.Input.Set("docs/workload.yaml", []byte(summarise+onlyNew))
	for range 2 {
		drop(w, 400)
		w.Run()
		w.Clock.Advance(time.Hour)
	}
	if n := w.Notices(); len(n) != 2 || n[1].Rows.Known != 400 || reads.Load() > 20 {
		t.Errorf("%d reads for 400 documents: %+v", reads.Load(), n)
	}
}

// What is held of what is remembered is 32 bytes an answer; as much again is
// read of it.
func TestAMillionKnownAnswersTakeLittleMemory(t *testing.T) {
	const parts, rows = 20, 50_000
	w, _ := telling(t, nil)
	w.Input.Set("a/workload.yaml", []byte(nova+onlyNew))
	w.Input.Set("a/first.jsonl", prompts(8))
	w.Run()
	own := w.Output.Keys("known/")[0]
	folder, name := own[:strings.LastIndexByte(own, '/')+1], own[strings.LastIndexByte(own, '/')+1:]
	middle := name[16:strings.LastIndexByte(name, '-')]
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range parts {
		entries := make([][24]byte, rows)
		for j := range entries {
			binary.BigEndian.PutUint64(entries[j][:], rnd.Uint64())
			binary.BigEndian.PutUint64(entries[j][16:], 100)
		}
		slices.SortFunc(entries, func(a, b [24]byte) int { return bytes.Compare(a[:], b[:]) })
		body := bytes.Repeat([]byte("x"), 1000)
		for j := range entries {
			body = append(body, entries[j][:]...)
		}
		w.Output.Set(fmt.Sprintf("%s%016x%s-%d", folder, i, middle, rows), body)
	}
	w.Input.Set("a/second.jsonl", prompts(8))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	w.Run()
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	n := w.Notices()[1]
	if r := summary(t, w, n).Recall; n.Rows.Known != 8 || r.Answers != parts*rows+8 {
		t.Fatalf("%+v, %+v", n.Rows, r)
	}
	allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
	t.Logf("%d answers looked at in %v, %d MB allocated", parts*rows, took, allocated)
	if allocated > 90 {
		t.Errorf("%d MB were allocated", allocated)
	}
}
