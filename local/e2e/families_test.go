package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// answersOf holds, for each family, answers as its models write them and what
// is read of each: the fixtures of the table of families.
const answersOf = "../../shared/model/testdata"

// asking is how a model of a family is asked natively; the body has a place for
// the text.
type asking struct {
	folder string // of the fixtures; empty where another model of the family has them
	model  string
	body   string // empty: a prompt, by Converse
	job    bool   // the model takes jobs; else it is asked on demand
}

const (
	claudeBody  = `{"anthropic_version":"bedrock-2023-05-31","max_tokens":60,"messages":[{"role":"user","content":"%s"}]}`
	novaBody    = `{"schemaVersion":"messages-v1","messages":[{"role":"user","content":[{"text":"%s"}]}],"inferenceConfig":{"maxTokens":60}}`
	chatBody    = `{"messages":[{"role":"user","content":"%s"}],"max_tokens":60}`
	promptBody  = `{"prompt":"<s>[INST] %s [/INST]","max_tokens":60}`
	titanVector = `{"inputText":"%s"}`
)

var families = []asking{
	{"converse", "us.amazon.nova-lite-v1:0", "", true},
	{"anthropic", "us.anthropic.claude-haiku-4-5-20251001-v1:0", claudeBody, true},
	{"nova", "us.amazon.nova-lite-v1:0", novaBody, true},
	{"llama", "us.meta.llama3-3-70b-instruct-v1:0", `{"prompt":"%s","max_gen_len":60}`, true},
	{"mistral", "mistral.mistral-small-2402-v1:0", promptBody, true},
	{"openai", "qwen.qwen3-32b-v1:0", chatBody, true},
	{"titan-embed", "amazon.titan-embed-text-v2:0", titanVector, true},
	{"titan-text", "amazon.titan-text-express-v1", titanVector, false},
	{"cohere-command", "cohere.command-r-v1:0", `{"message":"%s","max_tokens":60}`, false},
	{"cohere-embed", "cohere.embed-english-v3", `{"texts":["%s"],"input_type":"search_document"}`, false},

	{"", "mistral.mistral-large-2407-v1:0", chatBody, true},
	{"", "openai.gpt-oss-20b-1:0", chatBody, true},
	{"", "mistral.mistral-7b-instruct-v0:2", promptBody, false},
	{"", "us.deepseek.r1-v1:0", `{"prompt":"%s","max_tokens":60}`, false},
	{"", "deepseek.v3-v1:0", chatBody, false},
	{"", "google.gemma-3-27b-it", chatBody, false},
	{"", "minimax.minimax-m2.1", chatBody, false},
	{"", "moonshotai.kimi-k2.5", chatBody, false},
	{"", "nvidia.nemotron-nano-12b-v2", chatBody, false},
	{"", "zai.glm-4.7-flash", chatBody, false},
	{"", "ai21.jamba-1-5-large-v1:0", chatBody, false},
	{"", "us.writer.palmyra-x5-v1:0", chatBody, false},
	{"", "amazon.titan-embed-text-v1", titanVector, false},
	{"", "amazon.titan-embed-image-v1", titanVector, false},
	{"", "cohere.embed-v4:0", `{"texts":["%s"],"input_type":"search_query","output_dimension":256}`, false},
	{"", "amazon.nova-2-multimodal-embeddings-v1:0", `{"schemaVersion":"nova-multimodal-embed-v1","taskType":"SINGLE_EMBEDDING","singleEmbeddingParams":{"embeddingPurpose":"GENERIC_INDEX","text":{"truncationMode":"END","value":"%s"}}}`, false},
}

// others are families whose models the local services do not have: another
// model is asked, and told to answer in their shape.
func others(t *testing.T) (all []asking) {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(answersOf, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		name := filepath.Base(folder)
		if name != "fuzz" && !slices.ContainsFunc(families, func(a asking) bool { return a.folder == name }) {
			all = append(all, asking{folder: name, model: "us.amazon.nova-lite-v1:0\nfamily: " + name, body: novaBody})
		}
	}
	return all
}

// read is what the fixture says is read of an answer.
type read struct {
	Output, Reasoning           string
	Embedding, ToolUse          any
	StopReason, ModelStopReason string
	InputTokens, OutputTokens   *int64
	Failure                     *struct{ Code, Message string }
	NotInShape                  string
}

// fixture is one answer of a family's.
type fixture struct {
	name string // family/name
	body []byte // on one line
	want read
}

func fixturesOf(t *testing.T, folder string) []fixture {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(answersOf, folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal(folder, files, err)
	}
	var all []fixture
	for _, file := range files {
		var f fixture
		f.name = folder + "/" + strings.TrimSuffix(filepath.Base(file), ".json")
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var line bytes.Buffer
		if err := json.Compact(&line, body); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		f.body = line.Bytes()
		want, err := os.ReadFile(strings.TrimSuffix(file, ".json") + ".want")
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(want, &f.want); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, f)
	}
	return all
}

// row is a line of an upload that asks the model for something.
func (a asking) row(id, text string) string {
	if a.body == "" {
		return fmt.Sprintf(`{"id":%q,"prompt":%q}`+"\n", id, text)
	}
	return fmt.Sprintf(`{"recordId":%q,"modelInput":%s}`+"\n", id, fmt.Sprintf(a.body, text))
}

// Every family's models are asked through the functions and the services. The
// fixtures' answers come back as they are, and what is read of them is what the
// fixtures say; all other rows are answered by the built-in model in the
// family's shape.
func TestEachFamilysFixturesComeBackThroughTheServices(t *testing.T) {
	t.Parallel()
	families := slices.Concat(families, others(t))
	uploads := map[string][]fixture{}
	var script bytes.Buffer
	for _, a := range families {
		if a.folder == "" {
			continue
		}
		uploads[a.folder] = fixturesOf(t, a.folder)
		for _, f := range uploads[a.folder] {
			fmt.Fprintf(&script, `{"contains":"[[%s]]","modelOutput":%s,"inputTokens":3,"outputTokens":2}`+"\n", f.name, f.body)
		}
	}
	file := filepath.Join(t.TempDir(), "answers.jsonl")
	if err := os.WriteFile(file, script.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}

	u := begin(t, setup{
		flags: []string{"--answers", file, "--set", `models=["*"]`, "--set", "caps.max_estimated_cost_usd=0"},
		edit:  func(_ *testing.T, c *cloud) { c.anyModel() },
	})
	key := func(n int) string { return fmt.Sprintf("f%02d/rows.jsonl", n) }
	plain := func(a asking) int {
		switch {
		case strings.Contains(a.model, "family: "):
			return 0
		case a.folder == "":
			return 3
		case a.job:
			return 100
		}
		return 5
	}
	for n, a := range families {
		u.settings(fmt.Sprintf("f%02d/", n), "model: "+a.model+"\nretries: 0\n")
		var rows strings.Builder
		for _, f := range uploads[a.folder] {
			rows.WriteString(a.row(f.name, "What about [["+f.name+"]]?"))
		}
		for i := range plain(a) {
			rows.WriteString(a.row(fmt.Sprintf("plain-%d", i), subject(i)))
		}
		u.drop(key(n), []byte(rows.String()))
	}
	for n, a := range families {
		t.Run(strings.TrimPrefix(a.folder+" ", " ")+a.model, func(t *testing.T) {
			u := u.in(t)
			told := u.notice(key(n))
			if a.job && a.folder != "" && len(told.Jobs) != 1 {
				t.Errorf("jobs: %s", told.Raw)
			}
			if told.Tokens.Input == 0 && a.job {
				t.Errorf("no tokens, neither of answers nor of the manifest: %s", told.Raw)
			}
			u.compare(told, uploads[a.folder], plain(a))
		})
	}
	u.ended()
}

// compare looks at what came of an upload of fixtures and plain rows.
func (u *user) compare(n notice, fixtures []fixture, plain int) {
	u.t.Helper()
	type answered struct {
		ID, Output, Reasoning       string
		Embedding, ToolUse          any
		StopReason, ModelStopReason string
		Usage                       struct{ InputTokens, OutputTokens *int64 }
	}
	type failed struct {
		RecordID, ID string
		Error        struct{ Code, Message string } `json:"_error"`
	}
	results, errors := map[string]answered{}, map[string]failed{}
	for _, r := range lines[answered](u, n.Results.Results) {
		results[r.ID] = r
	}
	if n.Results.Errors != "" {
		for _, e := range lines[failed](u, n.Results.Errors) {
			errors[e.RecordID+e.ID] = e
		}
	}
	for _, f := range fixtures {
		w := f.want
		r, isAnswered := results[f.name]
		e, isFailed := errors[f.name]
		switch {
		case isAnswered == isFailed:
			u.t.Errorf("%s: answered %t, failed %t: %s", f.name, isAnswered, isFailed, n.Raw)
		case w.Failure != nil:
			if code := w.Failure.Code; e.Error.Message != w.Failure.Message || code != "" && e.Error.Code != code {
				u.t.Errorf("%s: got %+v, want %+v", f.name, e.Error, *w.Failure)
			}
		case w.NotInShape != "":
			if e.Error.Code != "unreadable_answer" || e.Error.Message != w.NotInShape {
				u.t.Errorf("%s: got %+v, want %s", f.name, e.Error, w.NotInShape)
			}
		default:
			if w.StopReason == "" {
				w.StopReason = "other"
			}
			if w.ModelStopReason == w.StopReason {
				w.ModelStopReason = "" // said once
			}
			got := read{Output: r.Output, Reasoning: r.Reasoning, Embedding: r.Embedding, ToolUse: r.ToolUse,
				StopReason: r.StopReason, ModelStopReason: r.ModelStopReason, InputTokens: r.Usage.InputTokens, OutputTokens: r.Usage.OutputTokens}
			if !reflect.DeepEqual(got, w) {
				u.t.Errorf("%s:\ngot  %s\nwant %s", f.name, inJSON(got), inJSON(w))
			}
		}
	}
	for i := range plain {
		r, ok := results[fmt.Sprintf("plain-%d", i)]
		if vector, _ := r.Embedding.([]any); !ok || r.Output == "" && len(vector) < 200 || r.StopReason != "end_turn" && r.StopReason != "max_tokens" {
			u.t.Errorf("plain row %d: %.300s; notice %s", i, inJSON(r), n.Raw)
			break
		}
	}
}

func inJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
