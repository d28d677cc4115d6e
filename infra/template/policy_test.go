package template_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

// documents gives every policy document of the template by where it stands:
// the policies of roles, their trust, and the policies of resources.
func documents(p parsed) map[string]any {
	all := map[string]any{}
	for id, r := range p.Resources {
		if d := r.Properties["AssumeRolePolicyDocument"]; d != nil {
			all[id+" trust"] = d
		}
		if d := r.Properties["PolicyDocument"]; d != nil {
			all[id] = d
		}
		for _, inline := range list(r.Properties["Policies"]) {
			all[id+" "+at(inline, "PolicyName").(string)] = at(inline, "PolicyDocument")
		}
	}
	return all
}

// statements gives every statement by where it stands and its Sid.
func statements(p parsed) map[string]map[string]any {
	all := map[string]map[string]any{}
	for where, d := range documents(p) {
		for i, s := range list(at(d, "Statement")) {
			name := fmt.Sprintf("%s %v", where, at(s, "Sid"))
			if at(s, "Sid") == nil {
				name = fmt.Sprintf("%s %d", where, i)
			}
			all[name] = s.(map[string]any)
		}
	}
	return all
}

func TestNothingIsAllowedByAWildcard(t *testing.T) {
	// Actions that know no resources, by AWS's service authorization reference.
	noResources := []string{"bedrock:ListModelInvocationJobs", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
	for where, s := range statements(load(t)) {
		if s["NotAction"] != nil || s["NotResource"] != nil || s["NotPrincipal"] != nil {
			t.Errorf("%s says what it is not", where)
		}
		if s["Effect"] == "Deny" {
			continue
		}
		for _, action := range texts(s["Action"]) {
			if strings.Contains(action, "*") {
				t.Errorf("%s allows %s", where, action)
			}
			if slices.Contains(texts(s["Resource"]), "*") && !slices.Contains(noResources, action) {
				t.Errorf("%s allows %s on everything", where, action)
			}
		}
		if at(s, "Principal") == "*" || at(s, "Principal", "AWS") != nil {
			t.Errorf("%s allows the principal %v", where, s["Principal"])
		}
	}
}

func TestServicesActForThisAccountAlone(t *testing.T) {
	p := load(t)
	for where, s := range statements(p) {
		principal := at(s, "Principal", "Service")
		if s["Effect"] == "Deny" || principal == nil || principal == "lambda.amazonaws.com" {
			continue // a function's role is passed by whoever makes the function
		}
		if target(at(s, "Condition", "StringEquals", "aws:SourceAccount")) != "AWS::AccountId" {
			t.Errorf("%s lets %v act for any account", where, principal)
		}
		source := at(s, "Condition", "ArnLike", "aws:SourceArn")
		if source == nil {
			source = at(s, "Condition", "ArnEquals", "aws:SourceArn")
		}
		if source == nil {
			t.Errorf("%s lets %v act for any source", where, principal)
			continue
		}
		if arn := p.text(t, source); principal == "bedrock.amazonaws.com" && arn != "arn:aws:bedrock:"+region+":"+accountID+":model-invocation-job/*" {
			t.Errorf("%s lets Bedrock act for %s", where, arn)
		}
	}
}

func TestEverythingAsksForTLS(t *testing.T) {
	p := load(t)
	protected := map[string]bool{}
	for _, r := range p.Resources {
		for _, s := range list(at(r.Properties["PolicyDocument"], "Statement")) {
			if at(s, "Effect") != "Deny" || at(s, "Condition", "Bool", "aws:SecureTransport") != "false" {
				continue
			}
			for _, k := range []string{"Queues", "Topics", "Bucket"} {
				for _, ref := range list(r.Properties[k]) {
					protected[target(ref)] = true
				}
			}
		}
	}
	for id, r := range p.Resources {
		if slices.Contains([]string{"AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic"}, r.Type) && !protected[id] {
			t.Errorf("%s may be used without TLS", id)
		}
	}
}

// granted gives the resources on which a role's policies allow an action.
func granted(t *testing.T, p parsed, role, action string) []string {
	var out []string
	for where, s := range statements(p) {
		if strings.HasPrefix(where, role+" ") && !strings.HasPrefix(where, role+" trust") && slices.Contains(texts(s["Action"]), action) {
			for _, r := range list(s["Resource"]) {
				out = append(out, p.text(t, r))
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestRolesKeepToTheirRooms(t *testing.T) {
	p := load(t)
	out := "arn:aws:s3:::bedrock-batch-dev-out-" + accountID + "-" + region + "/"
	for _, c := range []struct {
		name, role, action string
		want               []string
	}{
		{"only submit creates jobs", "RoleCollect", "bedrock:CreateModelInvocationJob", nil},
		{"only submit stops jobs", "RoleCollect", "bedrock:StopModelInvocationJob", nil},
		{"only submit calls models", "RoleCollect", "bedrock:InvokeModel", nil},
		{"only submit passes the role of the jobs", "RoleCollect", "iam:PassRole", nil},
		{"only collect publishes", "RoleSubmit", "sns:Publish", nil},
		{"submit passes one role", "RoleSubmit", "iam:PassRole", []string{"arn:aws:iam::" + accountID + ":role/RoleJob"}},
		{"jobs read staged inputs", "RoleJob", "s3:GetObject", []string{out + config.JobInputs}},
		{"jobs write staged outputs", "RoleJob", "s3:PutObject", []string{out + config.JobOutputs}},
		{"jobs delete nothing", "RoleJob", "s3:DeleteObject", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := granted(t, p, c.role, c.action); !slices.Equal(got, c.want) {
				t.Errorf("%s may %s on %v, want %v", c.role, c.action, got, c.want)
			}
		})
	}
	t.Run("submit writes no results but progress", func(t *testing.T) {
		for _, r := range granted(t, p, "RoleSubmit", "s3:PutObject") {
			if strings.HasPrefix(r, out+config.Results) && r != out+config.Results+"*/progress.json" {
				t.Errorf("submit may put %s", r)
			}
		}
	})
	t.Run("nobody removes what never expires", func(t *testing.T) {
		for _, role := range p.ofType("AWS::IAM::Role") {
			for _, r := range granted(t, p, role, "s3:DeleteObject") {
				for _, kept := range []string{config.Submissions, config.Taken, config.Rounds} {
					if !strings.HasPrefix(r, out) || strings.HasPrefix(r, out+kept) {
						t.Errorf("%s may delete %s", role, r)
					}
				}
			}
		}
	})
	t.Run("nobody writes uploads", func(t *testing.T) {
		for _, role := range p.ofType("AWS::IAM::Role") {
			for _, r := range granted(t, p, role, "s3:PutObject") {
				if !strings.HasPrefix(r, out) {
					t.Errorf("%s may put %s", role, r)
				}
			}
		}
	})
}

func TestPoliciesAreWithinTheirLimits(t *testing.T) {
	p := load(t)
	sizes := map[string]int{}
	for where, d := range documents(p) {
		text, err := json.Marshal(resolved(t, p, d))
		if err != nil {
			t.Fatal(err)
		}
		id, kind, _ := strings.Cut(where, " ")
		if p.Resources[id].Type == "AWS::IAM::Role" && kind != "trust" {
			where = id // the limit is on all of a role's own policies together
		}
		sizes[where] += len(text)
	}
	for _, where := range slices.Sorted(maps.Keys(sizes)) {
		id, kind, _ := strings.Cut(where, " ")
		limit := map[string]int{"AWS::IAM::Role": 10240, "AWS::S3::BucketPolicy": 20480, "AWS::SQS::QueuePolicy": 20480, "AWS::SNS::TopicPolicy": 30720}[p.Resources[id].Type]
		if kind == "trust" {
			limit = 2048
		}
		if limit == 0 || sizes[where] > limit {
			t.Errorf("%s: %d characters, the limit is %d", where, sizes[where], limit)
		}
	}
}

// resolved is a document as CloudFormation would send it.
func resolved(t *testing.T, p parsed, v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = resolved(t, p, e)
		}
		return out
	case map[string]any:
		if len(v) == 1 && (v["Ref"] != nil || v["Fn::GetAtt"] != nil || v["Fn::Sub"] != nil || v["Fn::Join"] != nil) {
			return p.text(t, v)
		}
		out := map[string]any{}
		for k, e := range v {
			out[k] = resolved(t, p, e)
		}
		return out
	}
	return v
}
