package stack_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAnOutputBucketOfAnotherAccountIsUsedAndItsPolicyTold(t *testing.T) {
	s := dev(t)
	s.Stage, s.Warehouse.Enabled = "abroad", false
	s.Output.Bucket, s.Output.Account = "results-of-the-data-team", "444455556666"
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	template := synth(t, s)[0]
	var parsed struct {
		Resources map[string]struct {
			Type       string
			Properties map[string]any
		}
		Outputs map[string]struct{ Value any }
	}
	if err := json.Unmarshal(template, &parsed); err != nil {
		t.Fatal(err)
	}
	for id, r := range parsed.Resources {
		if r.Type == "AWS::S3::Bucket" && id != "BucketInput" || r.Type == "AWS::S3::BucketPolicy" && id != "BucketInputPolicy" {
			t.Errorf("the stack makes %s of its own", id)
		}
	}
	environment, err := json.Marshal(parsed.Resources["FunctionSubmit"].Properties["Environment"])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"BB_OUTPUT_BUCKET":"results-of-the-data-team"`, `\"output_owner\":\"444455556666\"`} {
		if !strings.Contains(string(environment), want) {
			t.Errorf("submit does not read %s: %s", want, environment)
		}
	}
	for _, role := range []string{"RoleSubmit", "RoleCollect", "RoleJob"} {
		text, err := json.Marshal(parsed.Resources[role].Properties)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), ":s3:::results-of-the-data-team/") {
			t.Errorf("%s may not use the bucket: %s", role, text)
		}
	}
	policy := resolve(t, parsed.Outputs["OutputBucketPolicy"].Value)
	if len(policy) > 4000 {
		t.Errorf("the policy has %d characters, an output holds 4096", len(policy))
	}
	var document struct {
		Statement []struct {
			Sid, Effect, Resource string
			Principal             struct{ AWS any }
			Action                any
		}
	}
	if err := json.Unmarshal([]byte(policy), &document); err != nil {
		t.Fatalf("the output is no policy: %v\n%s", err, policy)
	}
	trusted := map[string]bool{}
	for _, st := range document.Statement {
		if st.Effect != "Allow" || !strings.HasPrefix(st.Resource, "arn:aws:s3:::results-of-the-data-team") {
			t.Errorf("statement %s: %+v", st.Sid, st)
		}
		text, err := json.Marshal([]any{st.Principal.AWS, st.Action})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "*") {
			t.Errorf("statement %s holds a wildcard: %s", st.Sid, text)
		}
		for _, role := range []string{"RoleSubmit", "RoleCollect", "RoleJob"} {
			trusted[role] = trusted[role] || strings.Contains(string(text), role)
		}
	}
	if len(trusted) != 3 || !trusted["RoleSubmit"] || !trusted["RoleCollect"] || !trusted["RoleJob"] {
		t.Errorf("the policy lets in %v", trusted)
	}
}

// resolve joins a value of the template; ARNs of resources become their names.
func resolve(t *testing.T, v any) string {
	t.Helper()
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		if get, ok := v["Fn::GetAtt"].([]any); ok {
			return get[0].(string)
		}
		if join, ok := v["Fn::Join"].([]any); ok {
			var parts []string
			for _, part := range join[1].([]any) {
				parts = append(parts, resolve(t, part))
			}
			return strings.Join(parts, join[0].(string))
		}
	}
	t.Fatalf("%v is not understood", v)
	return ""
}
