package e2e

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// cloud is the template's copy that a test changes.
type cloud struct {
	t         *testing.T
	resources map[string]any
}

func editTemplate(t *testing.T, path string, edit func(t *testing.T, c *cloud)) {
	t.Helper()
	data, err := os.ReadFile(programs.template)
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	edit(t, &cloud{t, root["Resources"].(map[string]any)})
	if data, err = json.Marshal(root); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c *cloud) properties(resource string) map[string]any {
	c.t.Helper()
	r, ok := c.resources[resource].(map[string]any)
	if !ok {
		c.t.Fatalf("the template has no resource %s", resource)
	}
	return r["Properties"].(map[string]any)
}

// timeout sets both functions' time limit in seconds and their queues'
// visibility, which must not be shorter.
func (c *cloud) timeout(limit, visibility int) {
	for _, name := range []string{"FunctionSubmit", "FunctionCollect"} {
		c.properties(name)["Timeout"] = limit
	}
	for _, name := range []string{"QueueUploads", "QueueJobs"} {
		c.properties(name)["VisibilityTimeout"] = visibility
	}
}

// forbid takes an action out of all statements of a role, or out of the
// statement with this id alone.
func (c *cloud) forbid(role, sid, action string) {
	c.t.Helper()
	found := false
	for _, p := range c.properties(role)["Policies"].([]any) {
		document := p.(map[string]any)["PolicyDocument"].(map[string]any)
		var left []any
		for _, s := range document["Statement"].([]any) {
			s := s.(map[string]any)
			actions, ok := s["Action"].([]any)
			if !ok {
				actions = []any{s["Action"]}
			}
			if i := slices.Index(actions, any(action)); i >= 0 && (sid == "" || s["Sid"] == sid) {
				found = true
				actions = slices.Delete(slices.Clone(actions), i, i+1)
			}
			if len(actions) > 0 {
				s["Action"] = actions
				left = append(left, s)
			}
		}
		document["Statement"] = left
	}
	if !found {
		c.t.Fatalf("role %s is not granted %s in statement %q", role, action, sid)
	}
}

// anyModel lets the roles that call models call all of them.
func (c *cloud) anyModel() {
	c.t.Helper()
	changed := 0
	for _, role := range []string{"RoleSubmit", "RoleJob"} {
		for _, p := range c.properties(role)["Policies"].([]any) {
			document := p.(map[string]any)["PolicyDocument"].(map[string]any)
			for _, s := range document["Statement"].([]any) {
				s := s.(map[string]any)
				if sid := s["Sid"]; sid == "UseModels" || sid == "CallProfiles" {
					s["Resource"] = []any{"arn:aws:bedrock:*::foundation-model/*", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/*"}
					changed++
				}
			}
		}
	}
	if changed != 2 {
		c.t.Fatalf("%d statements of the template are about models", changed)
	}
}
