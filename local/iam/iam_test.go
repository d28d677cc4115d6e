package iam_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/cloudformation"
	"github.com/bedrock-batch/bedrock-batch/local/iam"
)

const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"lambda.amazonaws.com"}}]}`

// call asks the handler as the principal and returns status and body.
func call(t *testing.T, h http.Handler, as *access.Principal, form url.Values) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.Encode()))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), as)))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(body)
}

func TestReadsNeedRightsAndSimulationsTellHowADenialComesAbout(t *testing.T) {
	authority := access.NewAuthority(access.Config{Log: slog.New(slog.DiscardHandler)})
	admin, err := authority.AddUser("admin", map[string][]byte{"all": []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	policies := map[string][]byte{"own": []byte(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*"},
		{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{"StringLike":{"s3:prefix":"in/*"}}},
		{"Effect":"Deny","Action":"s3:DeleteObject","Resource":"*"}]}`)}
	worker, err := authority.AddRole(access.Role{Name: "worker", Trust: []byte(trust), Policies: policies})
	if err != nil {
		t.Fatal(err)
	}
	service := iam.New(authority, []iam.Role{{Name: "worker", ARN: worker.ARN, Trust: []byte(trust), Policies: policies}}, time.Unix(0, 0))
	stack := cloudformation.New(authority, cloudformation.Stack{Name: "s"})
	simulate := func(action, resource string, more ...string) url.Values {
		form := url.Values{"Action": {"SimulatePrincipalPolicy"}, "PolicySourceArn": {worker.ARN}, "ActionNames.member.1": {action}, "ResourceArns.member.1": {resource}}
		for i := 0; i+1 < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		return form
	}
	prefix := func(p string) []string {
		return []string{
			"ContextEntries.member.1.ContextKeyName", "s3:prefix", "ContextEntries.member.1.ContextKeyType", "string",
			"ContextEntries.member.1.ContextKeyValues.member.1", p,
		}
	}
	cases := []struct {
		name   string
		h      http.Handler
		as     *access.Principal
		form   url.Values
		status int
		want   string
	}{
		{"a role without the right reads no role", service, worker, url.Values{"Action": {"GetRole"}, "RoleName": {"worker"}}, 403, "<Code>AccessDenied</Code>"},
		{"nor learns which roles there are", service, worker, url.Values{"Action": {"GetRole"}, "RoleName": {"none"}}, 403, "<Code>AccessDenied</Code>"},
		{"nor reads the stack", stack, worker, url.Values{"Action": {"DescribeStacks"}}, 403, "cloudformation:DescribeStacks"},
		{"an admin reads it", service, admin, url.Values{"Action": {"GetRole"}, "RoleName": {"worker"}}, 200, "<RoleName>worker</RoleName>"},
		{"a stack without a template says so", stack, admin, url.Values{"Action": {"GetTemplate"}, "StackName": {"s"}}, 400, "was not made from a template"},
		{"an unknown parameter is refused by name", service, admin, url.Values{"Action": {"GetRole"}, "RoleName": {"worker"}, "Colour": {"red"}}, 400, "unknown parameter Colour"},
		{"what a policy allows", service, admin, simulate("s3:GetObject", "arn:aws:s3:::b/k"), 200, "<EvalDecision>allowed<"},
		{"what no policy allows", service, admin, simulate("s3:GetObject", "arn:aws:s3:::other/k"), 200, "<EvalDecision>implicitDeny<"},
		{"what a policy denies", service, admin, simulate("s3:DeleteObject", "arn:aws:s3:::b/k"), 200, "<EvalDecision>explicitDeny<"},
		{"a condition that is met", service, admin, simulate("s3:ListBucket", "arn:aws:s3:::b", prefix("in/x")...), 200, "<EvalDecision>allowed<"},
		{"a condition that is not", service, admin, simulate("s3:ListBucket", "arn:aws:s3:::b", prefix("out/x")...), 200, "<EvalDecision>implicitDeny<"},
		{"a key that nothing here decides on", service, admin, simulate("s3:ListBucket", "arn:aws:s3:::b", "ContextEntries.member.1.ContextKeyName", "ec2:Region"), 400, "ec2:Region is not supported here"},
		{"a pattern in place of an action", service, admin, simulate("s3:*", "arn:aws:s3:::b"), 400, "is not an action"},
		{"nobody", service, admin, url.Values{"Action": {"SimulatePrincipalPolicy"}, "PolicySourceArn": {"arn:aws:iam::123456789012:role/none"}, "ActionNames.member.1": {"s3:GetObject"}}, 404, "NoSuchEntity"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if status, body := call(t, c.h, c.as, c.form); status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("%d, want %d with %s: %s", status, c.status, c.want, body)
			}
		})
	}
}
