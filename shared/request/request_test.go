package request_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/shared/model/schema"
	"github.com/bedrock-batch/bedrock-batch/shared/request"
)

var update = flag.Bool("update", false, "write the generated files anew")

const schemaFile = "../../docs/request.schema.json"

// sample is the message of the sample event.
func sample(t *testing.T) []byte {
	t.Helper()
	body, err := os.ReadFile("../../events/request.json")
	if err != nil {
		t.Fatal(err)
	}
	var event struct{ Records []struct{ Body string } }
	if err := json.Unmarshal(body, &event); err != nil {
		t.Fatal(err)
	}
	return []byte(event.Records[0].Body)
}

func TestTheSampleIsARequest(t *testing.T) {
	r, err := request.Parse(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Prompts) != 2 || r.Settings.Model != "us.amazon.nova-lite-v1:0" || *r.Settings.Inference.MaxTokens != 200 || r.Attributes["caller"] != "example" {
		t.Errorf("%+v", r)
	}
	again, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := request.Parse(again)
	if err != nil || len(back.Prompts) != 2 || back.Settings.Name != "on-the-spot" {
		t.Errorf("%+v, %v", back, err)
	}
	rows, err := r.Rows()
	if err != nil || strings.Count(string(rows), "\n") != 2 || !strings.HasPrefix(string(rows), `{"id":"a-1",`) {
		t.Errorf("%s, %v", rows, err)
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`"prompts":[{"prompt":"x"}],"workflow":{}`, `"workflow" is no member of a request`},
		{`"prompts":[{"prompt":"x"}],"s3Uri":"s3://b/k"`, "either prompts or s3Uri"},
		{`"id":"x"`, "either prompts or s3Uri"},
		{`"prompts":[]`, "holds no rows"},
		{`"prompts":null`, "not a list"},
		{`"prompts":{"prompt":"x"}`, "not a list"},
		{`"s3Uri":"https://b/k"`, "is not s3://bucket/key"},
		{`"s3Uri":"s3://b/"`, "is not s3://bucket/key"},
		{`"prompts":[{"prompt":"x"}],"version":"1"`, "stands beside s3Uri"},
		{`"prompts":[{"prompt":"x"}],"id":"../x"`, "id has 1 to 128"},
		{`"prompts":[{"prompt":"x"}],"id":7`, "id is not text"},
		{`"prompts":[{"prompt":"x"}],"workload":{"modell":"x"}`, `did you mean "model"?`},
		{`"prompts":[{"prompt":"x"}],"workload":{"model":"x","model":"y"}`, "duplicate object member"},
		{`"prompts":[{"prompt":"x"}],"workload":[]`, "mapping"},
		{`"prompts":[{"prompt":"x"}],"workload":{"gather":{"quiet":"1m"}}`, "gather is for folders"},
		{`"prompts":[{"prompt":"x"}],"workload":{"prompt_template_file":"_x"}`, "prompt_template_file"},
		{`"prompts":[{"prompt":"x"}],"workload":{"format":"csv"}`, "none of JSON rows"},
		{`"prompts":[{"prompt":"x"}],"attributes":{"status":"x"}`, "set by the pipeline itself"},
		{`"prompts":[{"prompt":"x"}],"attributes":{"a":"1","b":"1","c":"1","d":"1","e":"1","f":"1"}`, "6 are too many"},
		{`"prompts":[{"prompt":"` + strings.Repeat("x", request.MaxMessage) + `"}]`, "put the rows into the input bucket"},
	} {
		_, err := request.Parse([]byte(`{"bedrock-batch":1,"do":"request",` + c.body + `}`))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.100s: %v, want %q", c.body, err, c.want)
		}
	}
}

// Settings are JSON here and YAML in a file: what JSON escapes YAML must not
// stumble over.
func TestSettingsAreReadAsJSON(t *testing.T) {
	r, err := request.Parse([]byte(`{"bedrock-batch":1,"do":"request","prompts":[{"a": 1.0}],"workload":{"model":"m","system":"a \/ b\n\ud83d\ude00 \u2028 'x': {y} #z","prompt_template":"- {a}","tags":{"on":"off"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := *r.Settings.System; got != "a / b\n\U0001F600 \u2028 'x': {y} #z" {
		t.Errorf("system is %q", got)
	}
	if *r.Settings.Template != "- {a}" || r.Settings.Tags["on"] != "off" {
		t.Errorf("%+v", r.Settings)
	}
}

func TestARefusedMessageIsStillKnownByItsID(t *testing.T) {
	for body, want := range map[string]string{
		`{"id":"order-7","what":1}`: "order-7", `{"id":"a/b"}`: "", `{"id":7}`: "", `{}`: "", `{"id":"x","id":"y"}`: "y",
	} {
		if got := request.ID([]byte(body)); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

func TestTheSchemaInTheDocumentationIsFreshAndTakesTheSample(t *testing.T) {
	want, err := request.JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/request.schema.json is not what the code says (%v); run this test with -update", err)
	}
	s, err := schema.Compile(want)
	if err != nil {
		t.Fatal(err)
	}
	if why := s.Check(sample(t)); why != "" {
		t.Errorf("the sample: %s", why)
	}
	for _, wrong := range []string{`{}`, `{"bedrock-batch":1,"do":"request"}`, `{"bedrock-batch":1,"do":"request","prompts":[]}`, `{"bedrock-batch":1,"do":"request","prompts":[1],"workload":{"modell":"x"}}`} {
		if s.Check([]byte(wrong)) == "" {
			t.Errorf("the schema takes %s", wrong)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"bedrock-batch":1,"do":"request","prompts":[{"prompt":"x"}],"workload":{"model":"m"},"attributes":{"a":"b"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := request.Parse(body)
		if err != nil {
			return
		}
		rows, err := r.Rows()
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(rows) {
			if !jsontext.Value(bytes.TrimSpace(line)).IsValid() {
				t.Fatalf("a row is no JSON: %q", line)
			}
		}
	})
}
