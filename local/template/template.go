// Package template reads the CloudFormation template that would be deployed
// and tells what to run on one machine. Nothing is passed over in silence: an
// unknown section, resource type, property or intrinsic function is an error
// that names it.
package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

type document struct {
	AWSTemplateFormatVersion string
	Description              string
	Metadata                 json.RawMessage
	// Parameters and Rules hold what the CDK adds to check the version of its
	// bootstrap stack; nothing here can refer to a parameter.
	Parameters json.RawMessage
	Rules      json.RawMessage
	Resources  map[string]resource
	Outputs    map[string]output
}

type resource struct {
	Type                string
	Properties          map[string]any
	DependsOn           oneOrMany
	DeletionPolicy      string
	UpdateReplacePolicy string
	Metadata            json.RawMessage
}

type output struct {
	Description string
	Value       any
	Export      json.RawMessage
}

// oneOrMany reads one text as a list of one.
type oneOrMany []string

func (l *oneOrMany) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = oneOrMany{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// Read reads a template (JSON) and resolves it. The endpoint is what queue URLs
// begin with, such as http://127.0.0.1:4566. All problems are reported at once.
func Read(data []byte, endpoint string) (*Stack, error) {
	var doc document
	if err := strictly(data, &doc); err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	if len(doc.Resources) == 0 {
		return nil, errors.New("template: no Resources")
	}
	r := &resolver{resources: doc.Resources, endpoint: strings.TrimSuffix(endpoint, "/"), naming: map[string]bool{}}
	s := newStack()
	s.Description, s.Source = doc.Description, data
	var problems []error
	for _, id := range slices.Sorted(maps.Keys(doc.Resources)) {
		if err := readResource(s, r, id); err == nil {
			s.Declared = append(s.Declared, Declared{LogicalID: id, Type: doc.Resources[id].Type, PhysicalID: r.physical(id)})
		} else {
			problems = append(problems, fmt.Errorf("template: resource %s (%s): %w", id, doc.Resources[id].Type, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Outputs)) {
		value, err := r.value(doc.Outputs[name].Value)
		if err == nil {
			s.Outputs[name], err = asText(value)
			s.OutputTexts[name] = doc.Outputs[name].Description
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("template: output %s: %w", name, err))
		}
	}
	if len(problems) == 0 {
		problems = append(problems, s.join())
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return s, nil
}

func readResource(s *Stack, r *resolver, id string) error {
	res := r.resources[id]
	kind, ok := kinds[res.Type]
	if !ok {
		return unknownType(res.Type)
	}
	for _, other := range res.DependsOn {
		if _, ok := r.resources[other]; !ok {
			return fmt.Errorf("DependsOn: no resource %s", other)
		}
	}
	properties, err := r.value(mapOrEmpty(res.Properties))
	if err != nil {
		return err
	}
	return kind.read(s, r, id, properties.(map[string]any))
}

// physical is what the cloud calls a resource. Those that nothing can refer to
// (policies, permissions) go by their logical id.
func (r *resolver) physical(id string) string {
	if kinds[r.resources[id].Type].ref == "" {
		return id
	}
	name, err := r.ref(id)
	if err != nil {
		return id // its name has been refused already
	}
	return fmt.Sprint(name)
}

func mapOrEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// strictly decodes JSON, refusing unknown members and keeping numbers as written.
func strictly(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return errors.New(strings.Replace(strings.TrimPrefix(err.Error(), "json: "), "unknown field", "not supported here:", 1))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// decode puts resolved properties into a typed value, refusing unknown ones.
func decode[T any](properties map[string]any) (T, error) {
	var into T
	data, err := json.Marshal(properties)
	if err != nil {
		return into, err
	}
	if err := strictly(data, &into); err != nil {
		return into, fmt.Errorf("property %w", err)
	}
	return into, nil
}
