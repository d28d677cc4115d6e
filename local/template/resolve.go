package template

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// resolver replaces intrinsic functions by values.
type resolver struct {
	resources map[string]resource
	endpoint  string
	// naming holds the resources whose names are being resolved, to find a
	// name that depends on itself.
	naming map[string]bool
}

// removed is what Ref AWS::NoValue makes of a member.
type removed struct{}

const stackName = "local"

func (r *resolver) pseudo(name string) (any, error) {
	switch name {
	case "AWS::AccountId":
		return access.Account, nil
	case "AWS::Region":
		return access.Region, nil
	case "AWS::Partition":
		return "aws", nil
	case "AWS::URLSuffix":
		return "amazonaws.com", nil
	case "AWS::StackName":
		return stackName, nil
	case "AWS::StackId":
		return "arn:aws:cloudformation:" + access.Region + ":" + access.Account + ":stack/" + stackName + "/0", nil
	case "AWS::NoValue":
		return removed{}, nil
	}
	return nil, fmt.Errorf("pseudo parameter %s is not supported here", name)
}

// value resolves a value and all that it holds.
func (r *resolver) value(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 1 {
			for name, arg := range v {
				if name == "Ref" || name == "Condition" && isText(arg) || strings.HasPrefix(name, "Fn::") {
					return r.call(name, arg)
				}
			}
		}
		out := make(map[string]any, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			value, err := r.value(v[name])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if value != (any)(removed{}) {
				out[name] = value
			}
		}
		return out, nil
	case []any:
		out := make([]any, 0, len(v))
		for i, element := range v {
			value, err := r.value(element)
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			if value != (any)(removed{}) {
				out = append(out, value)
			}
		}
		return out, nil
	}
	return v, nil
}

func isText(v any) bool { _, ok := v.(string); return ok }

func (r *resolver) call(name string, arg any) (any, error) {
	switch name {
	case "Ref":
		id, ok := arg.(string)
		if !ok {
			return nil, fmt.Errorf("Ref wants a name, not %v", arg)
		}
		return r.ref(id)
	case "Fn::GetAtt":
		id, attribute, err := getAttArgs(arg)
		if err != nil {
			return nil, err
		}
		return r.attribute(id, attribute)
	case "Fn::Join":
		return r.join(arg)
	case "Fn::Sub":
		return r.sub(arg)
	}
	return nil, fmt.Errorf("intrinsic function %s is not supported here (Ref, Fn::GetAtt, Fn::Join and Fn::Sub are)", name)
}

func getAttArgs(arg any) (id, attribute string, err error) {
	switch a := arg.(type) {
	case string:
		if id, attribute, ok := strings.Cut(a, "."); ok {
			return id, attribute, nil
		}
	case []any:
		if len(a) == 2 {
			id, ok1 := a[0].(string)
			attribute, ok2 := a[1].(string)
			if ok1 && ok2 {
				return id, attribute, nil
			}
		}
	}
	return "", "", fmt.Errorf("Fn::GetAtt wants a resource and an attribute, not %v", arg)
}

func (r *resolver) join(arg any) (any, error) {
	args, ok := arg.([]any)
	if !ok || len(args) != 2 || !isText(args[0]) {
		return nil, fmt.Errorf("Fn::Join wants a separator and a list, not %v", arg)
	}
	resolved, err := r.value(args[1])
	if err != nil {
		return nil, fmt.Errorf("Fn::Join: %w", err)
	}
	list, ok := resolved.([]any)
	if !ok {
		return nil, fmt.Errorf("Fn::Join wants a list, not %v", resolved)
	}
	texts := make([]string, len(list))
	for i, v := range list {
		if texts[i], err = asText(v); err != nil {
			return nil, fmt.Errorf("Fn::Join: [%d]: %w", i, err)
		}
	}
	return strings.Join(texts, args[0].(string)), nil
}

func asText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return fmt.Sprint(v), nil
	}
	return "", fmt.Errorf("want text, not %v", v)
}

var placeholder = regexp.MustCompile(`\$\{(!?)([^{}]*)\}`)

func (r *resolver) sub(arg any) (any, error) {
	text, own := "", map[string]any{}
	switch a := arg.(type) {
	case string:
		text = a
	case []any:
		var ok1, ok2 bool
		if len(a) == 2 {
			text, ok1 = a[0].(string)
			own, ok2 = a[1].(map[string]any)
		}
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("Fn::Sub wants a text and a map, not %v", arg)
		}
	default:
		return nil, fmt.Errorf("Fn::Sub wants a text, not %v", arg)
	}
	var failed error
	out := placeholder.ReplaceAllStringFunc(text, func(found string) string {
		m := placeholder.FindStringSubmatch(found)
		if m[1] == "!" {
			return "${" + m[2] + "}"
		}
		value, err := r.named(m[2], own)
		if err == nil {
			var s string
			if s, err = asText(value); err == nil {
				return s
			}
		}
		if failed == nil {
			failed = fmt.Errorf("Fn::Sub: %s: %w", found, err)
		}
		return ""
	})
	return out, failed
}

func (r *resolver) named(name string, own map[string]any) (any, error) {
	if v, ok := own[name]; ok {
		return r.value(v)
	}
	if id, attribute, ok := strings.Cut(name, "."); ok {
		return r.attribute(id, attribute)
	}
	return r.ref(name)
}

// ref is what Ref gives for a resource or pseudo parameter.
func (r *resolver) ref(id string) (any, error) {
	if strings.HasPrefix(id, "AWS::") {
		return r.pseudo(id)
	}
	res, ok := r.resources[id]
	if !ok {
		return nil, fmt.Errorf("Ref %s: no resource or pseudo parameter has that name (parameters are not supported here)", id)
	}
	kind, ok := kinds[res.Type]
	if !ok {
		return nil, unknownType(res.Type)
	}
	name, err := r.name(id)
	if err != nil {
		return nil, err
	}
	switch kind.ref {
	case "arn":
		return kind.arn(name), nil
	case "url":
		return r.endpoint + "/" + access.Account + "/" + name, nil
	case "":
		return nil, fmt.Errorf("Ref %s: a %s gives nothing here", id, res.Type)
	}
	return name, nil
}

// attribute is what Fn::GetAtt gives.
func (r *resolver) attribute(id, attribute string) (any, error) {
	res, ok := r.resources[id]
	if !ok {
		return nil, fmt.Errorf("Fn::GetAtt %s.%s: no resource has that name", id, attribute)
	}
	kind, ok := kinds[res.Type]
	if !ok {
		return nil, unknownType(res.Type)
	}
	name, err := r.name(id)
	if err != nil {
		return nil, err
	}
	switch kind.attributes[attribute] {
	case "arn":
		return kind.arn(name), nil
	case "name":
		return name, nil
	case "url":
		return r.endpoint + "/" + access.Account + "/" + name, nil
	}
	return nil, fmt.Errorf("Fn::GetAtt %s.%s: a %s has no such attribute here (it has %s)",
		id, attribute, res.Type, strings.Join(slices.Sorted(maps.Keys(kind.attributes)), " "))
}

// name is the resource's own name: the one that the template gives, or one
// made of the logical id.
func (r *resolver) name(id string) (string, error) {
	res := r.resources[id]
	kind := kinds[res.Type]
	if own, ok := res.Properties[kind.nameProperty]; ok && kind.nameProperty != "" {
		if r.naming[id] {
			return "", fmt.Errorf("the name of %s depends on itself", id)
		}
		r.naming[id] = true
		defer delete(r.naming, id)
		value, err := r.value(own)
		if err != nil {
			return "", fmt.Errorf("name of %s: %w", id, err)
		}
		return asText(value)
	}
	if res.Type == "AWS::S3::Bucket" {
		return strings.ToLower(stackName + "-" + id), nil
	}
	return stackName + "-" + id, nil
}
