package template_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// Where the golden template was made for, for checks that need real names.
const (
	accountID = "123456789012"
	region    = "us-east-1"
)

// resource is one resource of the template.
type resource struct {
	Type                string
	Properties          map[string]any
	DependsOn           []string
	DeletionPolicy      string
	UpdateReplacePolicy string
}

type parsed struct {
	Resources map[string]resource
	Outputs   map[string]struct{ Value any }
	raw       map[string]any
}

func load(t *testing.T) parsed {
	t.Helper()
	data, err := os.ReadFile("bedrock-batch.template.json")
	if err != nil {
		t.Fatal(err)
	}
	var p parsed
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &p.raw); err != nil {
		t.Fatal(err)
	}
	return p
}

// ofType gives the resources of a type in the order of their ids.
func (p parsed) ofType(kind string) []string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(p.Resources)) {
		if p.Resources[id].Type == kind {
			ids = append(ids, id)
		}
	}
	return ids
}

// at walks into nested maps and lists; nil where there is nothing.
func at(v any, path ...any) any {
	for _, p := range path {
		switch k := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[k]
		case int:
			l, _ := v.([]any)
			if k >= len(l) {
				return nil
			}
			v = l[k]
		}
	}
	return v
}

// list gives one or several as several.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

func texts(v any) []string {
	var out []string
	for _, e := range list(v) {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// target is the resource that a Ref or GetAtt names.
func target(v any) string {
	if id, ok := at(v, "Ref").(string); ok {
		return id
	}
	id, _ := at(v, "Fn::GetAtt", 0).(string)
	return id
}

// references gives every logical id and pseudo parameter that a value names.
func references(t *testing.T, v any) []string {
	var out []string
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			out = append(out, references(t, e)...)
		}
	case map[string]any:
		for k, e := range v {
			switch {
			case k == "Ref":
				out = append(out, e.(string))
			case k == "Fn::GetAtt":
				out = append(out, at(e, 0).(string))
			case k == "Fn::Sub":
				text, ok := e.(string)
				if !ok {
					t.Fatalf("Fn::Sub with variables is not read by these checks: %v", e)
				}
				for _, part := range strings.Split(text, "${")[1:] {
					name, _, _ := strings.Cut(part, "}")
					name, _, _ = strings.Cut(name, ".")
					out = append(out, name)
				}
			case strings.HasPrefix(k, "Fn::") && k != "Fn::Join":
				t.Fatalf("%s is not read by these checks", k)
			default:
				out = append(out, references(t, e)...)
			}
		}
	}
	return out
}

// text resolves a value to the text it has in the golden account: names of
// resources where they are set, an ARN where an attribute is asked for.
func (p parsed) text(t *testing.T, v any) string {
	t.Helper()
	pseudo := strings.NewReplacer("${AWS::Partition}", "aws", "${AWS::Region}", region, "${AWS::AccountId}", accountID)
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		if sub, ok := v["Fn::Sub"].(string); ok {
			return pseudo.Replace(sub)
		}
		if ref, ok := v["Ref"].(string); ok {
			if strings.HasPrefix(ref, "AWS::") {
				return pseudo.Replace("${" + ref + "}")
			}
			return p.name(t, ref)
		}
		if id := at(v, "Fn::GetAtt", 0); id != nil {
			return p.arn(t, id.(string))
		}
		if parts := at(v, "Fn::Join", 1); parts != nil {
			var all []string
			for _, e := range list(parts) {
				all = append(all, p.text(t, e))
			}
			return strings.Join(all, at(v, "Fn::Join", 0).(string))
		}
	}
	t.Fatalf("cannot resolve %v", v)
	return ""
}

func (p parsed) name(t *testing.T, id string) string {
	properties := p.Resources[id].Properties
	for _, k := range []string{"BucketName", "QueueName", "TopicName", "FunctionName", "LogGroupName", "AlarmName", "DashboardName", "Name"} {
		if properties[k] != nil {
			return p.text(t, properties[k])
		}
	}
	return id
}

func (p parsed) arn(t *testing.T, id string) string {
	service, rest := map[string]string{
		"AWS::S3::Bucket": "s3:::", "AWS::SQS::Queue": "sqs:R:A:", "AWS::SNS::Topic": "sns:R:A:", "AWS::Events::Rule": "events:R:A:rule/",
		"AWS::Lambda::Function": "lambda:R:A:function:", "AWS::Logs::LogGroup": "logs:R:A:log-group:", "AWS::IAM::Role": "iam::A:role/",
	}[p.Resources[id].Type], p.name(t, id)
	if service == "" {
		t.Fatalf("no ARN known for %s (%s)", id, p.Resources[id].Type)
	}
	if p.Resources[id].Type == "AWS::Logs::LogGroup" {
		rest += ":*"
	}
	return "arn:aws:" + strings.NewReplacer("R", region, "A", accountID).Replace(service) + rest
}
