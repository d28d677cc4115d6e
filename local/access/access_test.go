package access_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

func document(statements string) []byte {
	return []byte(`{"Version": "2012-10-17", "Statement": ` + statements + `}`)
}

const trust = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
	"Principal": {"Service": "bedrock.amazonaws.com"},
	"Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}, "ArnLike": {"aws:SourceArn": "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/*"}}}]}`

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestAuthorityDecidesAsIAM(t *testing.T) {
	const object = "arn:aws:s3:::in/a/b.jsonl"
	role := func(statements string) string { return statements }
	cases := []struct {
		name     string
		identity string // statements of the role, or empty
		resource string // statements of the bucket policy, or empty
		action   string // default s3:GetObject
		on       string // default object
		context  map[string][]string
		service  string // calls as this service instead of the role
		anon     bool
		abroad   bool   // the role is of account 444455556666
		want     string // empty: allowed; else the end of the denial
	}{
		{name: "nothing is allowed by default",
			want: "because no identity-based policy allows the s3:GetObject action"},
		{name: "an identity policy allows",
			identity: role(`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::in/*"}`)},
		{name: "an action fits whatever its case and with wildcards",
			identity: `{"Effect":"Allow","Action":"S3:get*","Resource":"*"}`},
		{name: "a question mark stands for one character",
			identity: `{"Effect":"Allow","Action":"s3:GetObjec?","Resource":"arn:aws:s3:::i?/a/b.jsonl"}`},
		{name: "a resource fits in its own case only",
			identity: `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::IN/*"}`,
			want:     "because no identity-based policy allows the s3:GetObject action"},
		{name: "an explicit deny wins over an allow",
			identity: `[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"s3:GetObject","Resource":"*"}]`,
			want:     "with an explicit deny in an identity-based policy"},
		{name: "a resource policy's deny wins over an identity's allow",
			identity: `{"Effect":"Allow","Action":"*","Resource":"*"}`,
			resource: `{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::in/*"}`,
			want:     "with an explicit deny in a resource-based policy"},
		{name: "a resource policy that names the role allows alone",
			resource: `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/worker"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::in/*"}`},
		{name: "a resource policy that names everyone allows anonymous callers",
			resource: `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::in/*"}`, anon: true},
		{name: "a resource policy that names the account leaves it to the identity",
			resource: `{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::in/*"}`,
			want:     "because no identity-based policy allows the s3:GetObject action"},
		{name: "a resource policy that names another role allows nothing",
			resource: `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/other"},"Action":"s3:GetObject","Resource":"*"}`,
			want:     "because no identity-based policy allows the s3:GetObject action"},
		{name: "NotAction allows everything else",
			identity: `{"Effect":"Allow","NotAction":"s3:Delete*","Resource":"*"}`},
		{name: "NotAction leaves out what it names",
			identity: `{"Effect":"Allow","NotAction":"s3:Get*","Resource":"*"}`,
			want:     "because no identity-based policy allows the s3:GetObject action"},
		{name: "NotResource denies everything else",
			identity: `[{"Effect":"Allow","Action":"s3:*","Resource":"*"},{"Effect":"Deny","Action":"s3:*","NotResource":"arn:aws:s3:::out/*"}]`,
			want:     "with an explicit deny in an identity-based policy"},
		{name: "NotPrincipal denies all but the one it names",
			identity: `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`,
			resource: `{"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::123456789012:role/other"},"Action":"s3:*","Resource":"*"}`,
			want:     "with an explicit deny in a resource-based policy"},
		{name: "NotPrincipal spares the one it names",
			identity: `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`,
			resource: `{"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::123456789012:role/worker"},"Action":"s3:*","Resource":"*"}`},
		{name: "a policy variable stands for the request's value",
			identity: `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::in/${s3:prefix}/*"}`,
			context:  map[string][]string{"s3:prefix": {"a"}}},
		{name: "a policy variable without a value fits nothing",
			identity: `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::in/${s3:prefix}*"}`,
			want:     "because no identity-based policy allows the s3:GetObject action"},
		{name: "a policy variable has a default",
			identity: `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::in/${s3:prefix, 'a'}/*"}`},
		{name: "an escaped star stands for itself",
			identity: `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::in/${*}"}`,
			want:     "because no identity-based policy allows the s3:GetObject action"},
		{name: "TLS counts as there on the loopback address",
			identity: `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`,
			resource: `{"Effect":"Deny","Principal":{"AWS":"*"},"Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`},
		{name: "a service is allowed by the resource's policy under its conditions",
			resource: `{"Effect":"Allow","Principal":{"Service":"bedrock.amazonaws.com"},"Action":"s3:GetObject","Resource":"*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/*"},"StringEquals":{"aws:SourceAccount":"123456789012"}}}`,
			service:  "bedrock.amazonaws.com"},
		{name: "a service is denied for another source",
			resource: `{"Effect":"Allow","Principal":{"Service":"bedrock.amazonaws.com"},"Action":"s3:GetObject","Resource":"*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:bedrock:us-east-1:123456789012:custom-model/*"}}}`,
			service:  "bedrock.amazonaws.com", want: "because no resource-based policy allows the s3:GetObject action"},
		{name: "a role of another account needs more than its own policy", abroad: true,
			identity: `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`,
			want:     "because no resource-based policy allows the s3:GetObject action"},
		{name: "a role of another account needs more than the resource's policy", abroad: true,
			resource: `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::444455556666:role/worker"},"Action":"s3:GetObject","Resource":"*"}`,
			want:     "because no identity-based policy allows the s3:GetObject action"},
		{name: "a role of another account is allowed by both", abroad: true,
			identity: `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::in/*"}`,
			resource: `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::444455556666:role/worker"},"Action":"s3:GetObject","Resource":"*"}`},
		{name: "naming the other account leaves it to that account", abroad: true,
			identity: `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::in/*"}`,
			resource: `{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"s3:GetObject","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalAccount":"444455556666"}}}`},
		{name: "naming this account lets no other in", abroad: true,
			identity: `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::in/*"}`,
			resource: `{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"s3:GetObject","Resource":"*"}`,
			want:     "because no resource-based policy allows the s3:GetObject action"},
		{name: "another account's role is denied by the resource's policy whatever it may", abroad: true,
			identity: `{"Effect":"Allow","Action":"*","Resource":"*"}`,
			resource: `[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"},{"Effect":"Deny","Principal":{"AWS":"444455556666"},"Action":"s3:*","Resource":"*"}]`,
			want:     "with an explicit deny in a resource-based policy"},
		{name: "another service is denied",
			resource: `{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"s3:GetObject","Resource":"*"}`,
			service:  "bedrock.amazonaws.com", want: "because no resource-based policy allows the s3:GetObject action"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := access.NewAuthority(access.Config{Log: quiet()})
			policies := map[string][]byte{}
			if c.identity != "" {
				policies["p"] = document(c.identity)
			}
			account := access.Account
			if c.abroad {
				account = "444455556666"
			}
			who, err := a.AddRole(access.Role{Name: "worker", ARN: "arn:aws:iam::" + account + ":role/worker", Trust: []byte(trust), Policies: policies})
			if err != nil {
				t.Fatal(err)
			}
			if c.service != "" {
				who = a.AsService(c.service, "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abc")
			}
			if c.anon {
				who = nil
			}
			call := access.Call{Principal: who, Action: "s3:GetObject", Resource: object, Context: c.context}
			if c.resource != "" {
				if call.ResourcePolicy, err = access.ParsePolicy(document(c.resource), access.ResourcePolicy); err != nil {
					t.Fatal(err)
				}
			}
			err = a.Check(context.Background(), call)
			if c.want == "" && err != nil {
				t.Fatalf("denied: %v", err)
			}
			if c.want != "" && (err == nil || !strings.HasSuffix(err.Error(), c.want)) {
				t.Fatalf("got %v, want a denial that ends in %q", err, c.want)
			}
		})
	}
}

func TestConditionsHoldAsIAMDocumentsThem(t *testing.T) {
	one := func(values ...string) map[string][]string { return map[string][]string{"s3:prefix": values} }
	cases := []struct {
		name      string
		condition string
		context   map[string][]string
		want      bool
	}{
		{"StringEquals of one of several values", `{"StringEquals":{"s3:prefix":["a","b"]}}`, one("b"), true},
		{"StringEquals minds the case", `{"StringEquals":{"s3:prefix":"a"}}`, one("A"), false},
		{"StringEquals of an absent key", `{"StringEquals":{"s3:prefix":"a"}}`, nil, false},
		{"StringEqualsIfExists of an absent key", `{"StringEqualsIfExists":{"s3:prefix":"a"}}`, nil, true},
		{"StringNotEquals of an absent key", `{"StringNotEquals":{"s3:prefix":"a"}}`, nil, true},
		{"StringNotEquals of one of the values", `{"StringNotEquals":{"s3:prefix":["a","b"]}}`, one("b"), false},
		{"StringEqualsIgnoreCase", `{"StringEqualsIgnoreCase":{"s3:prefix":"a"}}`, one("A"), true},
		{"StringNotEqualsIgnoreCase", `{"StringNotEqualsIgnoreCase":{"s3:prefix":"a"}}`, one("A"), false},
		{"StringLike", `{"StringLike":{"s3:prefix":"staged/*"}}`, one("staged/x/y"), true},
		{"StringLike needs the whole text", `{"StringLike":{"s3:prefix":"staged"}}`, one("staged/x"), false},
		{"StringNotLike", `{"StringNotLike":{"s3:prefix":"staged/*"}}`, one("open/x"), true},
		{"two operators must both hold", `{"StringLike":{"s3:prefix":"s*"},"StringNotEquals":{"s3:prefix":"staged"}}`, one("staged"), false},
		{"a condition key's name has no case", `{"StringEquals":{"S3:Prefix":"a"}}`, one("a"), true},
		{"ArnLike keeps a star within its part", `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/w*"}}`, nil, true},
		{"ArnLike of too few parts", `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam:*:role/worker:"}}`, nil, false},
		{"ArnNotEquals", `{"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/worker"}}`, nil, false},
		{"Bool", `{"Bool":{"aws:SecureTransport":"true"}}`, nil, true},
		{"Bool written as JSON", `{"Bool":{"aws:SecureTransport":true}}`, nil, true},
		{"NumericLessThanEquals", `{"NumericLessThanEquals":{"s3:max-keys":"10"}}`, map[string][]string{"s3:max-keys": {"10"}}, true},
		{"NumericGreaterThan", `{"NumericGreaterThan":{"s3:max-keys":9.5}}`, map[string][]string{"s3:max-keys": {"10"}}, true},
		{"NumericEquals of something else", `{"NumericEquals":{"s3:max-keys":"10"}}`, map[string][]string{"s3:max-keys": {"ten"}}, false},
		{"DateGreaterThan", `{"DateGreaterThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}`, nil, true},
		{"DateLessThan", `{"DateLessThan":{"aws:CurrentTime":"2020-01-01"}}`, nil, false},
		{"IpAddress of a range", `{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}`, nil, true},
		{"NotIpAddress of an address", `{"NotIpAddress":{"aws:SourceIp":"127.0.0.1"}}`, nil, false},
		{"Null true of an absent key", `{"Null":{"s3:prefix":"true"}}`, nil, true},
		{"Null false of a present key", `{"Null":{"s3:prefix":false}}`, one("a"), true},
		{"Null true of a present key", `{"Null":{"s3:prefix":"true"}}`, one("a"), false},
		{"ForAnyValue finds one", `{"ForAnyValue:StringEquals":{"s3:prefix":["a"]}}`, one("z", "a"), true},
		{"ForAnyValue of an absent key", `{"ForAnyValue:StringEquals":{"s3:prefix":["a"]}}`, nil, false},
		{"ForAllValues wants all", `{"ForAllValues:StringLike":{"s3:prefix":["a*"]}}`, one("ab", "z"), false},
		{"ForAllValues of an absent key", `{"ForAllValues:StringLike":{"s3:prefix":["a*"]}}`, nil, true},
		{"ForAllValues negated", `{"ForAllValues:StringNotEquals":{"s3:prefix":["a"]}}`, one("b", "c"), true},
		{"a variable in a value", `{"StringEquals":{"s3:prefix":"${aws:PrincipalAccount}"}}`, one("123456789012"), true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := access.NewAuthority(access.Config{Log: quiet()})
			who, err := a.AddRole(access.Role{Name: "worker", Trust: []byte(trust), Policies: map[string][]byte{
				"p": document(`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"*","Condition":` + c.condition + `}`),
			}})
			if err != nil {
				t.Fatal(err)
			}
			got := a.Allows(access.Call{Principal: who, Action: "s3:ListBucket", Resource: "arn:aws:s3:::in", Context: c.context})
			if got != c.want {
				t.Fatalf("allowed %v, want %v", got, c.want)
			}
		})
	}
}

func TestParsePolicyNamesWhatItCannotDecide(t *testing.T) {
	allow := func(rest string) string {
		return `{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"` + rest + `}]}`
	}
	cases := []struct {
		name     string
		document string
		kind     access.Kind
		want     string
	}{
		{"an unknown condition operator", allow(`,"Condition":{"StringMatches":{"s3:prefix":"a"}}`), access.IdentityPolicy, `unknown condition operator "StringMatches"`},
		{"an unknown condition key", allow(`,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`), access.IdentityPolicy, `condition key "aws:PrincipalOrgID"`},
		{"an unknown policy variable", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::in/${aws:PrincipalTag/team}"}]}`, access.IdentityPolicy, "aws:PrincipalTag/team"},
		{"an unknown member", allow(`,"Conditions":{}`), access.IdentityPolicy, `"Conditions"`},
		{"an unknown effect", `{"Statement":[{"Effect":"Maybe","Action":"s3:GetObject","Resource":"*"}]}`, access.IdentityPolicy, `Effect "Maybe"`},
		{"a Principal in an identity policy", allow(`,"Principal":"*"`), access.IdentityPolicy, "no Principal"},
		{"no Principal in a resource policy", allow(``), access.ResourcePolicy, "Principal is missing"},
		{"a federated Principal", allow(`,"Principal":{"Federated":"x"}`), access.ResourcePolicy, `"Federated"`},
		{"a wildcard in a principal's ARN", allow(`,"Principal":{"AWS":"arn:aws:iam::123456789012:role/*"}`), access.ResourcePolicy, "wildcards match nothing"},
		{"an action without a service", `{"Statement":[{"Effect":"Allow","Action":"GetObject","Resource":"*"}]}`, access.IdentityPolicy, `action "GetObject"`},
		{"a resource that is no ARN", `{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"in/*"}]}`, access.IdentityPolicy, `resource "in/*"`},
		{"a number that is none", allow(`,"Condition":{"NumericEquals":{"s3:max-keys":"many"}}`), access.IdentityPolicy, `"many"`},
		{"a resource in a trust policy", allow(`,"Principal":"*"`), access.TrustPolicy, "no Resource"},
		{"no statement", `{"Statement":[]}`, access.IdentityPolicy, "no Statement"},
		{"an unknown version", `{"Version":"2030-01-01","Statement":[]}`, access.IdentityPolicy, `"2030-01-01"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := access.ParsePolicy([]byte(c.document), c.kind)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestADenialReadsLikeAWSAndIsLogged(t *testing.T) {
	var log bytes.Buffer
	a := access.NewAuthority(access.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	who, err := a.AddRole(access.Role{Name: "submit", Trust: []byte(trust)})
	if err != nil {
		t.Fatal(err)
	}
	err = a.Check(context.Background(), access.Call{Principal: who, Action: "s3:PutObject", Resource: "arn:aws:s3:::out/x"})
	const want = `User: arn:aws:sts::123456789012:assumed-role/submit/local is not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::out/x" because no identity-based policy allows the s3:PutObject action`
	if err == nil || err.Error() != want {
		t.Fatalf("got  %v\nwant %s", err, want)
	}
	var api *access.APIError
	if !errors.As(err, &api) || api.Code != "AccessDenied" || api.Status != 403 {
		t.Fatalf("got %+v, want AccessDenied with 403", api)
	}
	for _, part := range []string{"action=s3:PutObject", "resource=arn:aws:s3:::out/x", "assumed-role/submit"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log lacks %q: %s", part, log.String())
		}
	}
}

func TestUsesAndGrantsAreRecordedOnce(t *testing.T) {
	var out bytes.Buffer
	a := access.NewAuthority(access.Config{Log: quiet(), Record: &out})
	who, err := a.AddRole(access.Role{Name: "submit", Trust: []byte(trust), Policies: map[string][]byte{
		"own": document(`{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::in/*"}`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b"} {
		if err := a.Check(context.Background(), access.Call{Principal: who, Action: "s3:GetObject", Resource: "arn:aws:s3:::in/" + key}); err != nil {
			t.Fatal(err)
		}
	}
	var got []access.Record
	for line := range strings.Lines(out.String()) {
		var r access.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	want := []access.Record{
		{What: "grant", Role: "submit", Policy: "own", Action: "s3:GetObject", Resource: "arn:aws:s3:::in/*"},
		{What: "grant", Role: "submit", Policy: "own", Action: "s3:PutObject", Resource: "arn:aws:s3:::in/*"},
		{What: "use", Role: "submit", Policy: "own", Action: "s3:GetObject", Resource: "arn:aws:s3:::in/a", GrantedAction: "s3:GetObject", GrantedResource: "arn:aws:s3:::in/*"},
	}
	if len(got) != len(want) {
		t.Fatalf("got %d lines, want %d: %s", len(got), len(want), out.String())
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestARoleIsAssumedByItsServiceOnly(t *testing.T) {
	a := access.NewAuthority(access.Config{Log: quiet()})
	role, err := a.AddRole(access.Role{Name: "job", Trust: []byte(trust)})
	if err != nil {
		t.Fatal(err)
	}
	const job = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abc"
	got, err := a.Assume(context.Background(), "bedrock.amazonaws.com", job, role.ARN)
	if err != nil || got != role {
		t.Fatalf("got %v, %v", got, err)
	}
	for _, c := range [][3]string{
		{"lambda.amazonaws.com", job, role.ARN},
		{"bedrock.amazonaws.com", "arn:aws:bedrock:us-east-1:123456789012:custom-model/x", role.ARN},
		{"bedrock.amazonaws.com", job, role.ARN + "2"},
	} {
		if _, err := a.Assume(context.Background(), c[0], c[1], c[2]); err == nil {
			t.Errorf("%v: assumed", c)
		}
	}
}

func TestPassRoleMindsTheServiceThatItIsPassedTo(t *testing.T) {
	a := access.NewAuthority(access.Config{Log: quiet()})
	who, err := a.AddUser("dev", map[string][]byte{"pass": document(`{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::123456789012:role/job",
		"Condition":{"StringEquals":{"iam:PassedToService":"bedrock.amazonaws.com"}}}`)})
	if err != nil {
		t.Fatal(err)
	}
	const job = "arn:aws:iam::123456789012:role/job"
	if err := a.CheckPassRole(context.Background(), who, job, "bedrock.amazonaws.com"); err != nil {
		t.Error(err)
	}
	if a.CheckPassRole(context.Background(), who, job, "lambda.amazonaws.com") == nil {
		t.Error("passed to another service")
	}
	if a.CheckPassRole(context.Background(), who, job+"2", "bedrock.amazonaws.com") == nil {
		t.Error("passed another role")
	}
}
