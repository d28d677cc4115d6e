package workload

import (
	"encoding/json"
	"fmt"
	"strings"
)

// node is a part of a JSON schema.
type node map[string]any

// describe takes a setter's description where one is asked for, and reports
// whether that was all.
func (p *reading) describe(n node) bool {
	if p.out == nil {
		return false
	}
	*p.out = n
	return true
}

func describeMapping(path string, known []entry) node {
	properties := node{}
	for _, e := range known {
		var n node
		at := join(path, e.key)
		e.set(&reading{out: &n}, at, nil)
		if text := meanings[at].what; text != "" {
			n["description"] = plainText(text)
		}
		properties[e.key] = n
	}
	return node{"type": "object", "properties": properties, "additionalProperties": false}
}

// JSONSchema is the JSON schema of a workload.yaml, for editors. Parse checks
// more than it can say.
func JSONSchema() ([]byte, error) {
	var w Workload
	schema := describeMapping("", settings(&w))
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = FileName
	body, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema of %s: %w", FileName, err)
	}
	return append(body, '\n'), nil
}

// meaning is what the documentation says of a key.
type meaning struct{ what, otherwise string }

// meanings are those of all keys, by path, in the words of the documentation.
var meanings = map[string]meaning{
	"name":                            {"shown in notices and metrics", "the folder"},
	"model":                           {"model id, inference profile id or ARN, custom-model ARN", ""},
	"models":                          {"for rows that name a model, as OpenAI's and Anthropic's do: what runs in its place, as `{gpt-4o-mini: us.amazon.nova-lite-v1:0}`", "`model` for all"},
	"invocation":                      {"`converse` or `invoke-model`", "`invoke-model` for native rows, for embeddings and for Anthropic's rows on Claude; `converse` else"},
	"family":                          {"how native answers are read", "from the model id"},
	"format":                          {"how rows are written, see formats", "recognised by name and first bytes"},
	"system":                          {"system prompt; a row's own counts more", ""},
	"prompt_template":                 {"text with `{name}` for a member, a column or, of a document, `{content}`", ""},
	"prompt_template_file":            {"the same in a file beside this one, its name beginning with `_`", ""},
	"id_column":                       {"the member or column that is the row's id", "`recordId`, `custom_id`, `id`"},
	"inference":                       {"parameters of rendered prompts; a row's own count more, but no row exceeds `max_tokens`", "the model's"},
	"inference.max_tokens":            {"the longest answer in tokens", "the model's"},
	"inference.temperature":           {"how freely the model answers", "the model's"},
	"inference.top_p":                 {"how unlikely words may be", "the model's"},
	"inference.stop_sequences":        {"texts at which an answer ends", ""},
	"additional_model_request_fields": {"passed through to the model; for embeddings further members of the body, as `{dimensions: 256}`", ""},
	"gather":                          {"when a folder's objects become one submission", ""},
	"gather.quiet":                    {"how long nothing new must have come", "documents `1m`, data files `0s`: each by itself"},
	"gather.expect":                   {"how many objects are waited for", ""},
	"gather.include":                  {"patterns of names that are taken", "all"},
	"gather.exclude":                  {"patterns of names that are not taken", "none"},
	"small":                           {"`on-demand` or `reject`: fewer rows than a job takes", "`on-demand`"},
	"retries":                         {"rounds for rows that failed for a passing reason", "1"},
	"timeout_hours":                   {"how long a job may take", "the service's"},
	"deadline":                        {"by when rows without an answer go on demand, see deadlines", ""},
	"only_new":                        {"rows that were answered before under the same settings are not paid again, see [only new](only-new.md)", "false"},
	"deadline.after":                  {"how long after the upload was accepted, `10m` to `168h`", ""},
	"deadline.max_cost_usd":           {"what that may cost at the most by estimate; goes with `after`", ""},
	"limits":                          {"what is refused before anything is paid; only lowers the deployment's caps", ""},
	"limits.max_records":              {"the most rows of an upload", ""},
	"limits.max_bytes":                {"the largest upload", ""},
	"limits.max_estimated_cost_usd":   {"the highest estimate", ""},
	"quotas":                          {"bounds of a part; only tightens the deployment's", ""},
	"quotas.min_records":              {"the fewest records of a job", ""},
	"quotas.max_records":              {"the most records of a job, at least twice `min_records`", ""},
	"quotas.max_file_bytes":           {"the largest input file of a job", ""},
	"output":                          {"what is written into and beside the results", ""},
	"output.raw":                      {"the model's whole body as `modelOutput`", "false"},
	"output.echo":                     {"the row as it came as `input`", "false"},
	"output.csv":                      {"results.csv", "true for tables"},
	"output.parquet":                  {"results as Parquet, and into the warehouse where the deployment has one", "false"},
	"output.json":                     {"true or a JSON schema: answers are read as JSON and must fit, see structured answers", "false"},
	"tags":                            {"on jobs, over the tags of the deployment", ""},
	"notice":                          {"of the final notice", ""},
	"notice.attributes":               {"attributes for filter policies", ""},
}

func plainText(s string) string { return strings.ReplaceAll(s, "`", "") }

// Table is the documentation's table of all keys.
func Table() string {
	var b strings.Builder
	b.WriteString("| key | meaning | default |\n| --- | --- | --- |\n")
	var w Workload
	row := func(path string) {
		m := meanings[path]
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", path, m.what, m.otherwise)
	}
	for _, e := range settings(&w) {
		row(e.key)
		for _, below := range nested(&w)[e.key] {
			row(join(e.key, below.key))
		}
	}
	return b.String()
}
