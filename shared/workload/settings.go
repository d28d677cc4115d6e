package workload

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

// maxQuiet bounds how long a folder may be waited for.
const maxQuiet = 24 * time.Hour

// minDeadline is what jobs get at least, maxDeadline the longest that a job may
// take.
const (
	minDeadline = 10 * time.Minute
	maxDeadline = 168 * time.Hour
)

// settings are the keys at the top of the file, each with what reads it
// into w.
func settings(w *Workload) []entry {
	below := func(key string) setter {
		return func(p *reading, path string, value ast.Node) {
			p.mapping(path, value, nested(w)[key])
		}
	}
	return []entry{
		{"name", word(&w.Name)},
		{"model", word(&w.Model)},
		{"models", texts(&w.Models, nil)},
		{"invocation", choice(&w.Invocation, Converse, InvokeModel)},
		{"family", word(&w.Family)},
		{"format", choice(&w.Format, dataset.Formats...)},
		{"system", long(&w.System)},
		{"prompt_template", long(&w.Template)},
		{"prompt_template_file", templateFile(w)},
		{"id_column", word(&w.IDColumn)},
		{"inference", below("inference")},
		{"additional_model_request_fields", object(&w.Additional)},
		{"gather", below("gather")},
		{"small", choice(&w.Small, OnDemand, Reject)},
		{"retries", whole(&w.Retries, 0, 5)},
		{"timeout_hours", whole(&w.TimeoutHours, 24, 168)},
		{"deadline", below("deadline")},
		{"only_new", flag(&w.OnlyNew)},
		{"limits", below("limits")},
		{"quotas", quotas(w)},
		{"output", below("output")},
		{"tags", texts(&w.Tags, checkTag)},
		{"notice", below("notice")},
	}
}

// nested are the keys below those keys that are mappings of known keys. The
// parts of w are made when one of their keys is set.
func nested(w *Workload) map[string][]entry {
	inference := func() *Inference { return made(&w.Inference) }
	gather := func() *Gather { return made(&w.Gather) }
	deadline := func() *Deadline { return made(&w.Deadline) }
	limits := func() *Limits { return made(&w.Limits) }
	quotas := func() *Quotas { return made(&w.Quotas) }
	output := func() *Output { return made(&w.Output) }
	notice := func() *Notice { return made(&w.Notice) }
	return map[string][]entry{
		"inference": {
			{"max_tokens", in(func() setter { return whole(&inference().MaxTokens, 1, 1_000_000) })},
			{"temperature", in(func() setter { return number(&inference().Temperature, 0, 2) })},
			{"top_p", in(func() setter { return number(&inference().TopP, 0, 1) })},
			{"stop_sequences", in(func() setter { return list(&inference().StopSequences, 2500, notEmpty) })},
		},
		"gather": {
			{"quiet", in(func() setter { return duration(&gather().Quiet, 0, maxQuiet) })},
			{"expect", in(func() setter { return whole(&gather().Expect, 1, 10_000_000) })},
			{"include", in(func() setter { return list(&gather().Include, 100, glob) })},
			{"exclude", in(func() setter { return list(&gather().Exclude, 100, glob) })},
		},
		"deadline": {
			{"after", in(func() setter { return duration(&deadline().After, minDeadline, maxDeadline) })},
			{"max_cost_usd", in(func() setter { return number(&deadline().MaxCostUSD, 0, 1e9) })},
		},
		"limits": {
			{"max_records", in(func() setter { return whole(&limits().MaxRecords, 1, 1<<53) })},
			{"max_bytes", in(func() setter { return whole(&limits().MaxBytes, 1, 1<<53) })},
			{"max_estimated_cost_usd", in(func() setter { return number(&limits().MaxEstimatedCostUSD, 0, 1e9) })},
		},
		"quotas": {
			{"min_records", in(func() setter { return whole(&quotas().MinRecords, 1, 1_000_000) })},
			{"max_records", in(func() setter { return whole(&quotas().MaxRecords, 2, 1_000_000) })},
			{"max_file_bytes", in(func() setter { return whole(&quotas().MaxFileBytes, 1, 1<<53) })},
		},
		"output": {
			{"raw", in(func() setter { return flag(&output().Raw) })},
			{"echo", in(func() setter { return flag(&output().Echo) })},
			{"csv", in(func() setter { return flag(&output().CSV) })},
			{"parquet", in(func() setter { return flag(&output().Parquet) })},
			{"json", in(func() setter { return jsonSchema(&output().JSON) })},
		},
		"notice": {
			{"attributes", in(func() setter { return texts(&notice().Attributes, checkAttribute) })},
		},
	}
}

// in makes the setter when its key is there, so that what it sets into is
// made only then.
func in(make func() setter) setter {
	return func(p *reading, path string, value ast.Node) { make()(p, path, value) }
}

func made[T any](p **T) *T {
	if *p == nil {
		*p = new(T)
	}
	return *p
}

// templateFile reads prompt_template_file. Its name begins with "_", so that
// it is never taken for an upload.
func templateFile(w *Workload) setter {
	return func(p *reading, at string, value ast.Node) {
		if p.describe(node{"type": "string", "pattern": `^_[^/\\]*$`, "maxLength": 255}) {
			return
		}
		word(&w.TemplateFile)(p, at, value)
		if name := w.TemplateFile; name != "" && (!strings.HasPrefix(name, "_") || strings.ContainsAny(name, "/\\") || len(name) > 255) {
			p.wrong(value, at, "%q is not a plain file name beginning with _; the file stands beside this %s", name, FileName)
		}
		if w.Template != nil {
			p.wrong(value, at, "prompt_template is set too; keep one of the two")
		}
	}
}

// quotas reads quotas and compares its keys with each other.
func quotas(w *Workload) setter {
	return func(p *reading, at string, value ast.Node) {
		p.mapping(at, value, nested(w)["quotas"])
		if p.out != nil {
			return
		}
		if text := pairOfQuotas(w.Quotas); text != "" {
			p.wrong(value, at+".max_records", "%s", text)
		}
	}
}

// pairOfQuotas says what is wrong with the two together, "" if nothing.
func pairOfQuotas(q *Quotas) string {
	if q == nil || q.MinRecords == nil || q.MaxRecords == nil || *q.MaxRecords >= 2**q.MinRecords {
		return ""
	}
	return fmt.Sprintf("%d is less than twice min_records (%d), so that a rest could not always be shared by two parts", *q.MaxRecords, *q.MinRecords)
}

func notEmpty(s string) string {
	if s == "" {
		return "must not be empty"
	}
	return ""
}

func glob(s string) string {
	if s == "" {
		return "must not be empty"
	}
	if _, err := path.Match(strings.ReplaceAll(s, "**", "*"), ""); err != nil {
		return fmt.Sprintf("%q is not a valid pattern", s)
	}
	return ""
}

// Patterns of the API for job tags and of SNS for attributes.
var (
	tagText       = regexp.MustCompile(`^[a-zA-Z0-9\s._:/=+@-]*$`)
	attributeName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
)

func checkTag(key, value string) string {
	switch {
	case key == "" || len(key) > 128 || len(value) > 256:
		return "a tag's key has 1 to 128 characters and its value at most 256"
	case !tagText.MatchString(key) || !tagText.MatchString(value):
		return "tags hold letters, digits, spaces and . _ : / = + @ - only"
	}
	return ""
}

// ownAttributes are those that every notice carries.
var ownAttributes = []string{"status", "workload", "modelId", "bucket", "keyPrefix"}

func checkAttribute(key, value string) string {
	switch {
	case len(key) > 256 || !attributeName.MatchString(key):
		return "an attribute's name holds letters, digits, _ - and single dots only"
	case slices.Contains(ownAttributes, key):
		return "this attribute is set by the pipeline itself"
	case value == "":
		return "an attribute's value must not be empty"
	}
	return ""
}
