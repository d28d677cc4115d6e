package stage

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

// pipelineDocs describes the members of the pipeline's settings, which are
// used by the functions too and carry no text for operators.
var pipelineDocs = map[string]string{
	"quotas.min_records":          "fewest records of a job; the account's quota per model",
	"quotas.max_records":          "most records of a job; the account's quota per model",
	"quotas.max_file_bytes":       "largest input file of a job in bytes",
	"model_quotas":                "quotas that differ for single models: by base model id, with the keys of quotas",
	"caps.max_records":            "most rows of one upload; 0 is no cap",
	"caps.max_bytes":              "largest upload in bytes; 0 is no cap",
	"caps.max_estimated_cost_usd": "highest estimate of what one upload may cost in USD; 0 is no cap",
	"prices":                      "prices that differ from the built-in table: by model id prefix, {input, output} in USD per million tokens in a batch job",
	"on_demand_concurrency":       "requests under way at once in the whole deployment for uploads that are too small for a job; of several, a quarter is left to uploads that have none",
	"max_wait":                    "longest wait for a job's slot or for throttling before a submission is given up",
	"stale_after":                 "how long a submission stands untouched before the schedule wakes it",
	"margin":                      "time that a slice of work keeps to put things in order",
	"late_output":                 "how long outputs of an ended job that are not there yet are waited for",
	"memory_bytes":                "memory for restoring the order of results",
	"spill_bytes":                 "space in the temporary folder for the same",
	"max_compressed_bytes":        "largest compressed upload in bytes; it must fit one slice",
	"workload_metrics":            "metrics of rows, tokens and costs by workload too; each workload name then costs as much as ten metrics, some 3 USD a month, and uploads without one are named after their folder",
	"parallel":                    "small objects that are read or written at once",
	"max_parts":                   "most parts, thus jobs, of one upload, retries not counted",
}

// Row is one line of the table of settings.
type Row struct{ Key, Default, About string }

// Table lists every setting with its default and what it does, in the order of
// the type. A setting without a description is an error.
func Table() ([]Row, error) {
	return rows("", reflect.ValueOf(Default()), func(_ string, f reflect.StructField) string { return f.Tag.Get("doc") })
}

func rows(prefix string, v reflect.Value, about func(key string, f reflect.StructField) string) ([]Row, error) {
	var all []Row
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "-" || prefix == "pipeline." && name == "models" {
			continue // the list of models stands at the top
		}
		key, value := prefix+name, v.Field(i)
		switch {
		case f.Type == reflect.TypeFor[config.Settings]():
			nested, err := rows(key+".", value, nil)
			if err != nil {
				return nil, err
			}
			all = append(all, nested...)
			continue
		case f.Type.Kind() == reflect.Struct:
			nested, err := rows(key+".", value, about)
			if err != nil {
				return nil, err
			}
			all = append(all, nested...)
			continue
		}
		text := pipelineDocs[strings.TrimPrefix(key, "pipeline.")]
		if about != nil {
			text = about(key, f)
		}
		if text == "" {
			return nil, fmt.Errorf("setting %s has no description", key)
		}
		shown, err := show(value)
		if err != nil {
			return nil, fmt.Errorf("setting %s: %w", key, err)
		}
		all = append(all, Row{Key: key, Default: shown, About: text})
	}
	return all, nil
}

func show(v reflect.Value) (string, error) {
	if d, ok := v.Interface().(config.Duration); ok {
		text := time.Duration(d).String()
		for _, zero := range []string{"m0s", "h0m"} {
			if strings.HasSuffix(text, zero) {
				text = strings.TrimSuffix(text, zero[1:])
			}
		}
		return "`" + text + "`", nil
	}
	if v.IsZero() {
		switch v.Kind() {
		case reflect.Slice, reflect.Map, reflect.String:
			return "", nil
		}
	}
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return "", err
	}
	return "`" + strings.Trim(string(text), `"`) + "`", nil
}

// Markdown writes the table as docs/settings.md shows it.
func Markdown() (string, error) {
	table, err := Table()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| key | default | meaning |\n| --- | --- | --- |\n")
	for _, r := range table {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.Key, r.Default, strings.ReplaceAll(r.About, "|", `\|`))
	}
	return b.String(), nil
}
