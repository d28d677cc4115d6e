package handler_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// crashing kills the invocation at the n-th bucket call while it is armed.
type crashing struct {
	armed  bool
	n      int
	after  bool
	struck bool
	// struckAt is called when it strikes.
	struckAt func(call, key string)
}

func (c *crashing) Before(_ context.Context, call, key string) error {
	if c.armed && !c.struck {
		if c.n--; c.n == 0 && !c.after {
			c.strike(call, key)
		}
	}
	return nil
}

func (c *crashing) After(_ context.Context, call, key string, err error) error {
	if c.armed && !c.struck && c.n == 0 && c.after {
		c.strike(call, key)
	}
	return err
}

func (c *crashing) strike(call, key string) {
	c.struck = true
	c.struckAt(call, key)
	panic(handlertest.Crash)
}

func TestACrashAtAnyStepOfSettlingLosesNothingAndTakesNothingTwice(t *testing.T) {
	struck := 0
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			crash := &crashing{n: n, after: after}
			w := handlertest.New(quiet{t}, func(w *handlertest.World) {
				small(w)
				w.Hook = crash
				w.Invoked = func(_ string, body []byte) { crash.armed = bytes.Contains(body, []byte(`"do":"settle"`)) }
			})
			var where string
			crash.struckAt = func(call, key string) {
				where = fmt.Sprintf("%s %s, after its effect: %v", call, key, after)
				w.Input.Set("docs/late.txt", []byte("late")) // while nobody settles
			}
			w.Input.Set("docs/workload.yaml", []byte(nova))
			first := w.Input.Set("docs/again.txt", []byte("one"))
			w.Input.Set("docs/again.txt", []byte("two"))
			drop(w, 4)
			w.Run()
			w.Ticks(20)
			w.Uploads.Put(handlertest.Notification("in", first), 0) // days later
			w.Clock.Advance(72 * time.Hour)
			w.Run()
			w.Ticks(8)
			if !crash.struck {
				break // past the last call
			}
			struck++
			got := map[string]int{}
			for _, n := range w.Notices() {
				if n.Status != pipeline.StatusCompleted {
					t.Errorf("crash at %s: notice %s %s", where, n.Status, n.Reason)
				}
				for source, times := range sources(t, w, n) {
					got[source] += times
				}
			}
			want := []string{"docs/again.txt", "docs/late.txt", "docs/x/000.txt", "docs/y/001.txt", "docs/x/002.txt", "docs/y/003.txt"}
			for _, source := range want {
				if got[source] != 1 {
					t.Errorf("crash at %s: %s was answered %d times", where, source, got[source])
				}
			}
			if len(got) != len(want) {
				t.Errorf("crash at %s: answered %v", where, got)
			}
			for _, prefix := range []string{"gather/", "staged/", "open/", "waiting/"} {
				if keys := w.Output.Keys(prefix); len(keys) > 0 {
					t.Errorf("crash at %s: left behind %q", where, keys)
				}
			}
		}
	}
	if struck < 30 {
		t.Errorf("only %d places to crash", struck)
	}
	t.Logf("%d places to crash", struck)
}

func TestDroppedAgainErrorsMakeASubmissionOfExactlyThoseRows(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 5))
	for round := range 60 {
		format := []string{"jsonl", "csv", "tsv", "json", "native"}[round%5]
		rows := 3 + random.IntN(40)
		body, template := upload(random, format, rows)
		broken := map[string]bool{}
		w := handlertest.New(quiet{t}, small)
		failing := true
		w.Outcome = func(batch.Job) memory.Outcome {
			return memory.Outcome{Line: func(_ int, id string) memory.Line {
				if failing && random.IntN(3) == 0 {
					broken[id] = true
					return memory.Line{Shape: memory.Beside, Code: 400, Message: `no "thanks"`}
				}
				return memory.Line{}
			}}
		}
		ending := map[string]string{"native": "jsonl"}[format]
		if ending == "" {
			ending = format
		}
		w.Input.Set("d/workload.yaml", []byte(nova+template))
		w.Input.Set("d/a."+ending, body)
		w.Run()
		first := one(t, w)
		if int(first.Rows.Failed) != len(broken) || first.Rows.Total != int64(rows) {
			t.Fatalf("round %d, %s: %+v, %d broken", round, format, first.Rows, len(broken))
		}
		if len(broken) == 0 {
			continue
		}
		failing = false
		asked := inputs(w)
		w.Input.Set("d/again.jsonl", w.Result(first, "errors.jsonl"))
		w.Run()
		notices := w.Notices()
		if len(notices) != 2 || notices[1].Rows.Answered != int64(len(broken)) || notices[1].Rows.Total != int64(len(broken)) {
			t.Fatalf("round %d, %s: %d failed, dropped again: %+v %s", round, format, len(broken), notices[1].Rows, notices[1].Reason)
		}
		// The very same prompts are asked again, and no other.
		for prompt, times := range inputs(w) {
			if again := times - asked[prompt]; again > 0 && asked[prompt] == 0 {
				t.Errorf("round %d, %s: a prompt that was never asked before: %s", round, format, prompt)
			}
		}
	}
}

// inputs counts the modelInputs that a world's Bedrock was given.
func inputs(w *handlertest.World) map[string]int {
	got := map[string]int{}
	for _, q := range w.Bedrock.Asked() {
		got[string(q.Input)]++
	}
	for _, in := range w.Sent {
		got[in]++
	}
	return got
}

func upload(random *rand.Rand, format string, rows int) (body []byte, template string) {
	words := []string{"plain", "with, comma", `with "quotes"`, "two\nlines", "tab\there", "ünïcödé ✓", "{braces}", `back\slash`}
	var b bytes.Buffer
	cell := func(i int) string { return fmt.Sprintf("%s %d", words[random.IntN(len(words))], i) }
	template = "prompt_template: 'Say {t}'\n"
	switch format {
	case "jsonl":
		for i := range rows {
			fmt.Fprintf(&b, "{\"id\":%d,\"t\":%s}\n", i, quote(cell(i)))
		}
	case "json":
		b.WriteString("[\n")
		for i := range rows {
			if i > 0 {
				b.WriteString(",\n")
			}
			fmt.Fprintf(&b, "{\"t\":%s,\n \"n\":%d}", quote(cell(i)), i)
		}
		b.WriteString("]\n")
	case "native":
		template = ""
		for i := range rows {
			fmt.Fprintf(&b, "{\"recordId\":\"u%d\",\"modelInput\":{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":%s}]}]}}\n", i, quote(cell(i)))
		}
		return b.Bytes(), "invocation: converse\n"
	default:
		comma := map[string]string{"csv": ",", "tsv": "\t"}[format]
		b.WriteString("id" + comma + "t\n")
		for i := range rows {
			fmt.Fprintf(&b, "%d%s\"%s\"\n", i, comma, strings.ReplaceAll(cell(i), `"`, `""`))
		}
	}
	return b.Bytes(), template
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(s) + `"`
}
