package workload

import (
	"maps"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Merge lays over on top of base, key by key; maps are merged key by key too,
// lists are replaced. Neither argument is changed. A prompt_template and a
// prompt_template_file are one setting: the one of over takes the place of
// the other.
func Merge(base, over Workload) Workload {
	m := base
	pick(&m.Name, over.Name)
	pick(&m.Model, over.Model)
	m.Models = mergeMap(base.Models, over.Models)
	pick(&m.Invocation, over.Invocation)
	pick(&m.Family, over.Family)
	pick(&m.Format, over.Format)
	pick(&m.System, over.System)
	if over.Template != nil || over.TemplateFile != "" {
		m.Template, m.TemplateFile = over.Template, over.TemplateFile
	}
	pick(&m.IDColumn, over.IDColumn)
	m.Inference = mergePart(base.Inference, over.Inference, func(m *Inference, over Inference) {
		pick(&m.MaxTokens, over.MaxTokens)
		pick(&m.Temperature, over.Temperature)
		pick(&m.TopP, over.TopP)
		pickList(&m.StopSequences, over.StopSequences)
	})
	m.Additional = mergeObject(base.Additional, over.Additional)
	m.Gather = mergePart(base.Gather, over.Gather, func(m *Gather, over Gather) {
		pick(&m.Quiet, over.Quiet)
		pick(&m.Expect, over.Expect)
		pickList(&m.Include, over.Include)
		pickList(&m.Exclude, over.Exclude)
	})
	pick(&m.Small, over.Small)
	pick(&m.Retries, over.Retries)
	pick(&m.TimeoutHours, over.TimeoutHours)
	m.Deadline = mergePart(base.Deadline, over.Deadline, func(m *Deadline, over Deadline) {
		pick(&m.After, over.After)
		pick(&m.MaxCostUSD, over.MaxCostUSD)
	})
	pick(&m.OnlyNew, over.OnlyNew)
	m.Limits = mergePart(base.Limits, over.Limits, func(m *Limits, over Limits) {
		pick(&m.MaxRecords, over.MaxRecords)
		pick(&m.MaxBytes, over.MaxBytes)
		pick(&m.MaxEstimatedCostUSD, over.MaxEstimatedCostUSD)
	})
	m.Quotas = mergePart(base.Quotas, over.Quotas, func(m *Quotas, over Quotas) {
		pick(&m.MinRecords, over.MinRecords)
		pick(&m.MaxRecords, over.MaxRecords)
		pick(&m.MaxFileBytes, over.MaxFileBytes)
	})
	m.Output = mergePart(base.Output, over.Output, func(m *Output, over Output) {
		pick(&m.Raw, over.Raw)
		pick(&m.Echo, over.Echo)
		pick(&m.CSV, over.CSV)
		pick(&m.Parquet, over.Parquet)
		if len(over.JSON) > 0 {
			m.JSON = over.JSON // a schema is one value: halves of two make none
		}
	})
	m.Tags = mergeMap(base.Tags, over.Tags)
	m.Notice = mergePart(base.Notice, over.Notice, func(m *Notice, over Notice) {
		m.Attributes = mergeMap(m.Attributes, over.Attributes)
	})
	return m
}

func pick[T comparable](into *T, over T) {
	var unset T
	if over != unset {
		*into = over
	}
}

func pickList(into *[]string, over []string) {
	if over != nil {
		*into = over
	}
}

func mergePart[T any](base, over *T, merge func(*T, T)) *T {
	if over == nil {
		return base
	}
	var m T
	if base != nil {
		m = *base
	}
	merge(&m, *over)
	return &m
}

func mergeMap(base, over map[string]string) map[string]string {
	if len(over) == 0 {
		return base
	}
	m := make(map[string]string, len(base)+len(over))
	maps.Copy(m, base)
	maps.Copy(m, over)
	return m
}

// mergeObject merges two JSON objects, and the objects in them. Where either
// is something else, over stands.
func mergeObject(base, over jsontext.Value) jsontext.Value {
	if len(over) == 0 {
		return base
	}
	if base.Kind() != '{' || over.Kind() != '{' {
		return over
	}
	var below, above map[string]jsontext.Value
	if json.Unmarshal(base, &below) != nil || json.Unmarshal(over, &above) != nil {
		return over // not made by Parse; what cannot be read is not merged
	}
	for key, v := range above {
		below[key] = mergeObject(below[key], v)
	}
	merged, err := json.Marshal(below, json.Deterministic(true))
	if err != nil {
		return over
	}
	return merged
}
