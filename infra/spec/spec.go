// Package spec holds templates against AWS's published resource specification:
// types, members, required members, kinds of values, enumerations, attributes.
// resources.json is an extract of the specification; extract.mjs makes it.
package spec

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

//go:embed resources.json
var extract []byte

// shape is what a value may be; one member is set.
type shape struct {
	Type     string   `json:"type"`
	Values   []string `json:"values"`
	List     *shape   `json:"list"`
	Map      *shape   `json:"map"`
	Ref      string   `json:"ref"`
	Union    []shape  `json:"union"`
	Required bool     `json:"required"`
}

// Specification is what AWS says of the types of resources.
type Specification struct {
	Source    map[string]string `json:"source"`
	Resources map[string]struct {
		Properties map[string]shape `json:"properties"`
		Attributes []string         `json:"attributes"`
	} `json:"resources"`
	Definitions map[string]map[string]shape `json:"definitions"`
}

// Read reads the extract.
func Read() (Specification, error) {
	var s Specification
	if err := json.Unmarshal(extract, &s); err != nil {
		return s, fmt.Errorf("read resources.json: %w", err)
	}
	return s, nil
}

// Check says all that is wrong with a template by the specification. Values
// that only CloudFormation knows, of Ref and of functions, may be anything.
func (s Specification) Check(template []byte) error {
	var t struct {
		Resources map[string]struct {
			Type       string
			Properties map[string]any
		}
	}
	if err := json.Unmarshal(template, &t); err != nil {
		return fmt.Errorf("read the template: %w", err)
	}
	if len(t.Resources) == 0 {
		return errors.New("the template has no resources")
	}
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		r := t.Resources[id]
		known, ok := s.Resources[r.Type]
		if !ok {
			errs = append(errs, fmt.Errorf("%s: type %s is not in infra/spec/resources.json: add it to extract.mjs", id, r.Type))
			continue
		}
		errs = append(errs, s.object(id, known.Properties, r.Properties)...)
	}
	types := map[string]string{}
	for id, r := range t.Resources {
		types[id] = r.Type
	}
	var whole any
	if err := json.Unmarshal(template, &whole); err != nil {
		return err
	}
	return errors.Join(append(errs, s.attributes("template", types, whole)...)...)
}

// attributes looks at what is got from resources.
func (s Specification) attributes(at string, types map[string]string, v any) (errs []error) {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			errs = append(errs, s.attributes(fmt.Sprintf("%s[%d]", at, i), types, e)...)
		}
	case map[string]any:
		if get, ok := v["Fn::GetAtt"].([]any); ok && len(v) == 1 && len(get) == 2 {
			id, _ := get[0].(string)
			name, _ := get[1].(string)
			if known, ok := s.Resources[types[id]]; ok && !slices.Contains(known.Attributes, name) {
				errs = append(errs, fmt.Errorf("%s: %s of %s: a %s has no such attribute", at, name, id, types[id]))
			}
			return errs
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			errs = append(errs, s.attributes(at+"."+k, types, v[k])...)
		}
	}
	return errs
}

func (s Specification) object(at string, members map[string]shape, have map[string]any) (errs []error) {
	for _, name := range slices.Sorted(maps.Keys(have)) {
		m, ok := members[name]
		if !ok {
			errs = append(errs, fmt.Errorf("%s has no member %s", at, name))
			continue
		}
		errs = append(errs, s.value(at+"."+name, m, have[name])...)
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if _, ok := have[name]; members[name].Required && !ok {
			errs = append(errs, fmt.Errorf("%s has no %s, which must be there", at, name))
		}
	}
	return errs
}

// later says that the value is known to CloudFormation alone.
func later(v any) bool {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 1 {
		return false
	}
	for k := range m {
		return k == "Ref" || len(k) > 4 && k[:4] == "Fn::"
	}
	return false
}

func (s Specification) value(at string, want shape, v any) []error {
	if later(v) {
		return nil
	}
	wrong := func(what string) []error { return []error{fmt.Errorf("%s is %v, must be %s", at, v, what)} }
	switch {
	case want.Union != nil:
		var all []error
		for _, u := range want.Union {
			errs := s.value(at, u, v)
			if len(errs) == 0 {
				return nil
			}
			all = append(all, errs...)
		}
		return all
	case want.List != nil:
		list, ok := v.([]any)
		if !ok {
			return wrong("a list")
		}
		var errs []error
		for i, e := range list {
			errs = append(errs, s.value(fmt.Sprintf("%s[%d]", at, i), *want.List, e)...)
		}
		return errs
	case want.Map != nil:
		m, ok := v.(map[string]any)
		if !ok {
			return wrong("an object")
		}
		var errs []error
		for _, k := range slices.Sorted(maps.Keys(m)) {
			errs = append(errs, s.value(at+"."+k, *want.Map, m[k])...)
		}
		return errs
	case want.Ref != "":
		m, ok := v.(map[string]any)
		if !ok {
			return wrong("an object")
		}
		return s.object(at, s.Definitions[want.Ref], m)
	}
	switch want.Type {
	case "string", "date-time":
		text, ok := v.(string)
		if !ok {
			return wrong("a text")
		}
		if want.Values != nil && !slices.Contains(want.Values, text) {
			return wrong(fmt.Sprintf("one of %v", want.Values))
		}
	case "integer", "number":
		n, ok := v.(float64)
		if !ok || want.Type == "integer" && n != float64(int64(n)) {
			return wrong("a number (" + want.Type + ")")
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return wrong("true or false")
		}
	case "json":
		switch v.(type) {
		case map[string]any, string:
		default:
			return wrong("JSON")
		}
	case "tag":
		m, ok := v.(map[string]any)
		if !ok || m["Key"] == nil || m["Value"] == nil || len(m) != 2 {
			return wrong("a tag")
		}
	default:
		return wrong("of the type " + want.Type + ", which this check does not know")
	}
	return nil
}
