package workload_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/bedrock-batch/bedrock-batch/shared/model/schema"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

var update = flag.Bool("update", false, "write the generated files anew")

const schemaFile = "../../docs/workload.schema.json"

func TestTheSchemaInTheDocumentationIsFresh(t *testing.T) {
	want, err := workload.JSONSchema()
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
		t.Errorf("docs/workload.schema.json is not what the code says (%v); run this test with -update", err)
	}
	for _, line := range strings.Split(workload.Table(), "\n") {
		if cells := strings.Split(line, " | "); len(cells) == 3 && cells[1] == "" {
			t.Errorf("a key without a meaning: %s", line)
		}
	}
}

// What Parse takes fits the schema, and what is plainly wrong does not.
func TestTheSchemaSaysWhatTheParserSays(t *testing.T) {
	body, err := workload.JSONSchema()
	if err != nil {
		t.Fatal(err)
	}
	s, err := schema.Compile(body)
	if err != nil {
		t.Fatal(err)
	}
	if why := s.Check(asJSON(t, everything)); why != "" {
		t.Errorf("everything that Parse takes: %s", why)
	}
	for _, wrong := range []string{"modell: x", "retries: 9", "output: {json: 1}", "gather: {quiet: 3}", "inference: {temperature: 3}", "format: xml", "prompt_template_file: a"} {
		if _, err := workload.Parse("f", []byte(wrong)); err == nil {
			t.Errorf("Parse takes %s", wrong)
		}
		if s.Check(asJSON(t, wrong)) == "" {
			t.Errorf("the schema takes %s", wrong)
		}
	}
}

// asJSON is a settings file as the values that an editor checks.
func asJSON(t *testing.T, text string) []byte {
	t.Helper()
	value := decodeYAML(t, text)
	body, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func decodeYAML(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}
