package iam

import (
	"context"
	"slices"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

type simulateIn struct {
	PolicySourceArn string
	ActionNames     []string
	ResourceArns    []string
	ResourcePolicy  string
	ContextEntries  []struct {
		ContextKeyName   string
		ContextKeyType   string
		ContextKeyValues []string
	}
	MaxItems int
}

type evaluation struct {
	EvalActionName, EvalResourceName, EvalDecision string
	MatchedStatements, MissingContextValues        []struct{}
}

type simulateOut struct {
	EvaluationResults []evaluation
	IsTruncated       bool
}

// simulate decides each action on each resource as a call of the principal
// would be decided, without making it.
func (s *Service) simulate(ctx context.Context, in *simulateIn) (*simulateOut, error) {
	if err := s.authority.Check(ctx, access.Call{
		Principal: access.PrincipalFrom(ctx), Action: "iam:SimulatePrincipalPolicy", Resource: in.PolicySourceArn,
	}); err != nil {
		return nil, err
	}
	who, ok := s.authority.ByARN(in.PolicySourceArn)
	if !ok {
		return nil, absent("No role or user has the ARN %s.", in.PolicySourceArn)
	}
	var policy *access.Policy
	if in.ResourcePolicy != "" {
		var err error
		if policy, err = access.ParsePolicy([]byte(in.ResourcePolicy), access.ResourcePolicy); err != nil {
			return nil, access.Errorf("InvalidInput", "ResourcePolicy: %v", err)
		}
	}
	keys := map[string][]string{}
	for _, e := range in.ContextEntries {
		if !slices.ContainsFunc(access.ConditionKeys(), func(key string) bool { return strings.EqualFold(key, e.ContextKeyName) }) {
			return nil, access.Errorf("InvalidInput", "the condition key %s is not supported here (%s are)", e.ContextKeyName, strings.Join(access.ConditionKeys(), ", "))
		}
		keys[e.ContextKeyName] = e.ContextKeyValues
	}
	if len(in.ResourceArns) == 0 {
		in.ResourceArns = []string{"*"}
	}
	out := &simulateOut{}
	for _, action := range in.ActionNames {
		if !strings.Contains(action, ":") || strings.ContainsAny(action, "*?") {
			return nil, access.Errorf("InvalidInput", "ActionNames: %s is not an action such as s3:PutObject", action)
		}
		for _, resource := range in.ResourceArns {
			decision := "allowed"
			if d := s.authority.Denies(access.Call{Principal: who, Action: action, Resource: resource, Context: keys, ResourcePolicy: policy}); d != nil {
				decision = "implicitDeny"
				if d.Explicit {
					decision = "explicitDeny"
				}
			}
			out.EvaluationResults = append(out.EvaluationResults, evaluation{EvalActionName: action, EvalResourceName: resource, EvalDecision: decision})
		}
	}
	return out, nil
}
