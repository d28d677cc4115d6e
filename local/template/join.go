package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// join puts policies and settings that are resources of their own onto the
// resources they belong to; what belongs to nothing is an error.
func (s *Stack) join() error {
	var problems []error
	for i := range s.Buckets {
		s.Buckets[i].Policy = take(s.bucketPolicies, s.Buckets[i].Name)
	}
	for i := range s.Queues {
		s.Queues[i].Policy = take(s.queuePolicies, s.Queues[i].URL)
	}
	for i := range s.Topics {
		s.Topics[i].Policy = take(s.topicPolicies, s.Topics[i].ARN)
	}
	for what, left := range map[string]map[string][]byte{"bucket": s.bucketPolicies, "queue": s.queuePolicies, "topic": s.topicPolicies} {
		for name := range left {
			problems = append(problems, fmt.Errorf("template: a policy is for the %s %s, which the template does not declare", what, name))
		}
	}
	for i := range s.Roles {
		role := &s.Roles[i]
		for name, document := range s.rolePolicies[role.Name] {
			problems = append(problems, once(role.Policies, name, document))
		}
		delete(s.rolePolicies, role.Name)
	}
	for name := range s.rolePolicies {
		problems = append(problems, fmt.Errorf("template: a policy is for the role %s, which the template does not declare", name))
	}
	problems = append(problems, s.joinFunctions())
	return errors.Join(problems...)
}

func take(policies map[string][]byte, name string) []byte {
	document := policies[name]
	delete(policies, name)
	return document
}

func (s *Stack) joinFunctions() error {
	var problems []error
	known := map[string]bool{}
	for i := range s.Functions {
		f := &s.Functions[i]
		known[f.Name] = true
		in := s.invokes[f.Name]
		f.Retries, f.MaxEventAge, f.OnFailureARN = in.retries, in.maxAge, in.onFailure
		if permissions := s.permissions[f.Name]; permissions != nil {
			policy, err := permissionPolicy(f.ARN, permissions)
			problems = append(problems, err)
			f.Policy = policy
		}
		if !slices.ContainsFunc(s.Roles, func(r Role) bool { return r.ARN == f.RoleARN }) {
			problems = append(problems, fmt.Errorf("template: function %s runs as %s, a role that the template does not declare", f.Name, f.RoleARN))
		}
	}
	for _, m := range s.Mappings {
		if !known[m.FunctionName] {
			problems = append(problems, fmt.Errorf("template: a mapping is for the function %s, which the template does not declare", m.FunctionName))
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(s.invokes)), slices.Collect(maps.Keys(s.permissions))) {
		if !known[name] {
			problems = append(problems, fmt.Errorf("template: an invoke setting or permission is for the function %s, which the template does not declare", name))
		}
	}
	return errors.Join(problems...)
}

// permissionPolicy writes Lambda permissions as the policy that they become.
func permissionPolicy(functionARN string, permissions []permissionProperties) ([]byte, error) {
	var statements []any
	for _, p := range permissions {
		statement := map[string]any{"Effect": "Allow", "Action": p.Action, "Resource": functionARN}
		if len(p.Principal) == len(access.Account) || p.Principal == "*" || len(p.Principal) > 4 && p.Principal[:4] == "arn:" {
			statement["Principal"] = map[string]any{"AWS": p.Principal}
		} else {
			statement["Principal"] = map[string]any{"Service": p.Principal}
		}
		condition := map[string]any{}
		if p.SourceArn != "" {
			condition["ArnLike"] = map[string]any{"aws:SourceArn": p.SourceArn}
		}
		if p.SourceAccount != "" {
			condition["StringEquals"] = map[string]any{"aws:SourceAccount": p.SourceAccount}
		}
		if len(condition) > 0 {
			statement["Condition"] = condition
		}
		statements = append(statements, statement)
	}
	return json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
}
