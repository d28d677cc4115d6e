package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/iam"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
)

// sample stands for the part of an ARN that a policy leaves open.
const sample = "doctor"

// calls are samples of what a statement allows: one for each action and
// resource.
func calls(s bedrockbatch.Statement, set bedrockbatch.Setup) []iam.Call {
	var all []iam.Call
	for _, action := range s.Action {
		for _, resource := range s.Resource {
			call := iam.Call{Action: action, Resource: concrete(resource, set.Region), Keys: map[string]string{}}
			for _, keys := range s.Condition {
				for key, values := range keys {
					call.Keys[key] = strings.ReplaceAll(values[0], "*", sample)
				}
			}
			all = append(all, call)
		}
	}
	return all
}

// concrete puts something in the place of an ARN's wildcards.
func concrete(arn, region string) string {
	fields := strings.SplitN(arn, ":", 6)
	if len(fields) == 6 && fields[3] == "*" {
		fields[3] = region
	}
	return strings.ReplaceAll(strings.Join(fields, ":"), "*", sample)
}

// list is a member of a policy that may be one text or several.
type list []string

func (l *list) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*l = list{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(l))
}

type trustStatement struct {
	Effect    string
	Action    list
	Principal json.RawMessage
	Condition map[string]map[string]list
}

// Trust looks whether Bedrock may assume the set-up's role for jobs of its
// account and Region.
func (d *Doctor) Trust(ctx context.Context, s bedrockbatch.Setup) Finding {
	f := Finding{Check: "trust of the job role", State: Fine, Detail: s.Role + " trusts Bedrock, for this account's jobs"}
	policies, err := s.Policies()
	if err != nil {
		return Judged(f.Check, "", err, "")
	}
	text, err := d.Roles.Trust(ctx, s.Role)
	if err != nil {
		f = looked(f.Check, err, "iam:GetRole on "+s.Role)
		if f.State == Broken {
			f.Fix = "make the role: bedrock-batch setup --cloudformation writes a template that does"
		}
		return f
	}
	var policy struct{ Statement json.RawMessage }
	var statements []trustStatement
	if err := json.Unmarshal(text, &policy); err == nil {
		var one trustStatement
		if json.Unmarshal(policy.Statement, &statements) != nil && json.Unmarshal(policy.Statement, &one) == nil {
			statements = []trustStatement{one}
		}
	}
	fix := "let its trust policy have the statement " + policies.Trust.Statement[0].String()
	fields := strings.SplitN(s.Role, ":", 6)
	account, partition := fields[4], fields[1]
	job := fmt.Sprintf("arn:%s:bedrock:%s:%s:model-invocation-job/%s", partition, s.Region, account, strings.Repeat("a", 12))
	why := "it does not name bedrock.amazonaws.com"
	for _, st := range statements {
		if st.Effect != "Allow" || !slices.Contains(st.Action, "sts:AssumeRole") || !names(st.Principal, "bedrock.amazonaws.com") {
			continue
		}
		if why = unmet(st.Condition, map[string]string{"aws:sourceaccount": account, "aws:sourcearn": job}); why != "" {
			continue
		}
		if len(st.Condition) == 0 {
			f.State, f.Detail = Warning, s.Role+" trusts Bedrock, but for the jobs of any account"
			f.Fix = fix
		}
		return f
	}
	f.State, f.Detail, f.Fix = Broken, fmt.Sprintf("%s does not let Bedrock assume it: %s", s.Role, why), fix
	return f
}

// names reports whether a principal holds a service.
func names(principal json.RawMessage, service string) bool {
	var by struct{ Service list }
	return json.Unmarshal(principal, &by) == nil && slices.Contains(by.Service, service)
}

// unmet is the condition that Bedrock does not meet with these keys; empty if
// it meets all.
func unmet(conditions map[string]map[string]list, keys map[string]string) string {
	for operator, wanted := range conditions {
		for key, values := range wanted {
			have, known := keys[strings.ToLower(key)]
			fits := func(value string) bool { return known && value == have }
			switch operator {
			case "StringEquals":
			case "ArnLike", "ArnEquals", "StringLike":
				fits = func(value string) bool {
					ok, err := path.Match(strings.ReplaceAll(value, "/", "|"), strings.ReplaceAll(have, "/", "|"))
					return known && err == nil && ok
				}
			default:
				return fmt.Sprintf("its condition %s on %s is not one that this check can judge", operator, key)
			}
			if !slices.ContainsFunc(values, fits) {
				return fmt.Sprintf("its condition %s wants %s to be %s, and it will be %q", operator, key, strings.Join(values, " or "), have)
			}
		}
	}
	return ""
}
