package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/iam"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/quotas"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch/doctor"
)

// account is one as the doctor sees it; the zero value has everything.
type account struct {
	trust   string
	denied  string // an action
	key     string
	lacks   string
	live    []string // models of live jobs
	slots   float64
	fixed   bool  // quotas cannot be raised
	noQuota bool  // Service Quotas lists none
	err     error // of every look
}

func (a *account) Trust(context.Context, string) ([]byte, error) { return []byte(a.trust), a.err }

func (a *account) May(_ context.Context, _ string, call iam.Call) (bool, error) {
	return call.Action != a.denied, a.err
}

func (a *account) Name(context.Context, string) (string, error)    { return "Nova Lite", a.err }
func (a *account) Missing(context.Context, string) (string, error) { return a.lacks, a.err }

func (a *account) OfModel(_ context.Context, name string, _ bool) (quotas.Batch, error) {
	if a.noQuota {
		return quotas.Batch{}, a.err
	}
	return quotas.Batch{Slots: &quotas.Quota{Code: "L-1", Value: a.slots, Adjustable: !a.fixed},
		MinRecords: &quotas.Quota{Value: 100}, MaxRecords: &quotas.Quota{Value: 50000}}, a.err
}

func (a *account) List(_ context.Context, f batch.JobFilter) iter.Seq2[batch.Job, error] {
	return func(yield func(batch.Job, error) bool) {
		if a.err != nil {
			yield(batch.Job{}, a.err)
			return
		}
		for _, model := range a.live {
			if f.Status == batch.InProgress && !yield(batch.Job{ModelID: model}, nil) {
				return
			}
		}
	}
}

func (a *account) BaseModel(context.Context, string) (string, error) {
	return "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", a.err
}

func (a *account) check(models ...string) []doctor.Finding {
	d := &doctor.Doctor{Roles: a, Catalogue: a, Quotas: a, Jobs: a, Models: a, Key: func(context.Context, string) (string, error) { return a.key, a.err }}
	return d.Check(context.Background(), bedrockbatch.Setup{Bucket: "b", Role: "arn:aws:iam::123456789012:role/jobs", Region: "us-east-1", Models: models})
}

func trust(principal, condition string) string {
	return fmt.Sprintf(`{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":%s}%s}]}`, principal, condition)
}

const (
	conditions = `,"Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"},"ArnLike":{"aws:SourceArn":["arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/*"]}}`
	nova       = "us.amazon.nova-lite-v1:0"
)

func TestEachThingThatIsMissingIsNamedWithItsFix(t *testing.T) {
	good := trust(`"bedrock.amazonaws.com"`, conditions)
	denied := fmt.Errorf("look: %w", batch.ErrAccess)
	for _, c := range []struct {
		name    string
		account account
		check   string
		state   string
		says    string
		fix     string
	}{
		{"all is well: trust", account{trust: good, slots: 20}, "trust of the job role", doctor.Fine, "trusts Bedrock", ""},
		{"all is well: rights", account{trust: good, slots: 20}, "rights of the job role", doctor.Fine, "may do all of 5 calls", ""},
		{"all is well: quotas", account{trust: good, slots: 20, live: []string{nova, "amazon.nova-lite-v1:0", "amazon.nova-pro-v1:0"}}, "quotas of model " + nova, doctor.Fine, "2 of 20 slots are taken; a job takes 100 to 50000 records", ""},
		{"one statement, not a list", account{trust: strings.NewReplacer("[{", "{", "}]}", "}}").Replace(trust(`["lambda.amazonaws.com","bedrock.amazonaws.com"]`, ""))}, "trust of the job role", doctor.Warning, "any account", `"aws:SourceAccount":["123456789012"]`},
		{"another service", account{trust: trust(`"lambda.amazonaws.com"`, "")}, "trust of the job role", doctor.Broken, "does not name bedrock", `"Service":"bedrock.amazonaws.com"`},
		{"another account's jobs", account{trust: strings.ReplaceAll(good, "123456789012", "210987654321")}, "trust of the job role", doctor.Broken, "aws:Source", "model-invocation-job/*"},
		{"another Region's jobs", account{trust: strings.ReplaceAll(good, "us-east-1", "eu-west-1")}, "trust of the job role", doctor.Broken, "aws:SourceArn", "us-east-1"},
		{"a condition that is not known", account{trust: strings.ReplaceAll(good, "StringEquals", "DateLessThan")}, "trust of the job role", doctor.Broken, "DateLessThan", "StringEquals"},
		{"a role that may not read", account{trust: good, denied: "s3:GetObject"}, "rights of the job role", doctor.Broken, "may not do s3:GetObject on arn:aws:s3:::b/staged/runs/doctor/in/doctor", `"Sid":"ReadParts"`},
		{"a role that may not use the key", account{trust: good, denied: "kms:Decrypt", key: "arn:aws:kms:us-east-1:123456789012:key/k"}, "rights of the job role", doctor.Broken, "kms:Decrypt", `"Resource":["arn:aws:kms:us-east-1:123456789012:key/k"]`},
		{"a key of one's own", account{trust: good, key: "arn:aws:kms:us-east-1:123456789012:key/k"}, "encryption", doctor.Fine, "key/k", ""},
		{"no access to the model", account{trust: good, lacks: "access to it has not been asked for"}, "access to model " + nova, doctor.Broken, "not been asked for", "Model access"},
		{"no slot is free", account{trust: good, slots: 1, live: []string{nova}}, "quotas of model " + nova, doctor.Warning, "1 of 1 slots are taken", "--quota-code L-1"},
		{"no slot is free for good", account{trust: good, slots: 1, fixed: true, live: []string{nova}}, "quotas of model " + nova, doctor.Warning, "1 of 1", "cannot be raised"},
		{"there are no slots", account{trust: good}, "quotas of model " + nova, doctor.Broken, "0 of 0", "--quota-code L-1"},
		{"a quota that is not listed", account{trust: good, noQuota: true}, "quotas of model " + nova, doctor.Warning, "lists no slots", "offered"},
		{"who may not look at the role", account{err: denied}, "trust of the job role", doctor.Unknown, "look", "iam:GetRole on arn:aws:iam::123456789012:role/jobs"},
		{"nor simulate", account{err: denied}, "rights of the job role", doctor.Unknown, "look", "iam:SimulatePrincipalPolicy"},
		{"nor see the key", account{err: denied}, "encryption", doctor.Unknown, "look", "s3:GetEncryptionConfiguration"},
		{"nor see the model", account{err: denied}, "access to model " + nova, doctor.Unknown, "look", "GetFoundationModelAvailability"},
		{"nor the quotas", account{err: denied}, "quotas of model " + nova, doctor.Unknown, "look", "servicequotas:ListServiceQuotas"},
		{"no such role", account{err: batch.ErrNotFound}, "trust of the job role", doctor.Broken, "not found", "setup --cloudformation"},
		{"no such model", account{trust: good, err: batch.ErrInvalid}, "access to model " + nova, doctor.Broken, "", "inference profile"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, f := range c.account.check(nova) {
				if f.Check == c.check {
					if f.State != c.state || !strings.Contains(f.Detail, c.says) || !strings.Contains(f.Fix, c.fix) || (f.Fix == "") != (c.fix == "") {
						t.Errorf("%+v", f)
					}
					return
				}
			}
			t.Errorf("nothing is said of %q: %+v", c.check, c.account.check(nova))
		})
	}
}

func TestAnApplicationProfileIsLookedAtByTheModelBehindIt(t *testing.T) {
	a := account{slots: 20, live: []string{nova}}
	found := a.check("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abcdefghijkl")
	if last := found[len(found)-1]; !strings.Contains(last.Detail, "1 of 20") {
		t.Errorf("%+v", found)
	}
	a.err = errors.New("broken off")
	if found = a.check("abcdefghijkl"); found[len(found)-1].State != doctor.Broken {
		t.Errorf("%+v", found)
	}
}
