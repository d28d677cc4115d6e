// Package iam looks at roles: who may assume them, and what they may do.
package iam

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
)

// API is the part of the SDK's client that Roles uses.
type API interface {
	GetRole(context.Context, *iam.GetRoleInput, ...func(*iam.Options)) (*iam.GetRoleOutput, error)
	SimulatePrincipalPolicy(context.Context, *iam.SimulatePrincipalPolicyInput, ...func(*iam.Options)) (*iam.SimulatePrincipalPolicyOutput, error)
}

// Roles are the roles of an account.
type Roles struct{ api API }

// New makes Roles from the SDK's configuration.
func New(cfg aws.Config) *Roles { return Over(iam.NewFromConfig(cfg)) }

// Over makes Roles over a client.
func Over(api API) *Roles { return &Roles{api: api} }

// Trust is the trust policy of a role, given by its ARN, as JSON.
func (r *Roles) Trust(ctx context.Context, arn string) ([]byte, error) {
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	out, err := r.api.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		return nil, fault.Of(ctx, err, "get role %s", name)
	}
	// The API gives documents in URL encoding.
	document, err := url.PathUnescape(aws.ToString(out.Role.AssumeRolePolicyDocument))
	if err != nil {
		return nil, fmt.Errorf("read trust policy of role %s: %w", name, err)
	}
	return []byte(document), nil
}

// Call is something that a role would do.
type Call struct {
	Action, Resource string
	// Keys are condition keys and their values.
	Keys map[string]string
}

// May simulates a call: whether the policies of the role, given by its ARN,
// allow it. Policies of the resource are left out of account.
func (r *Roles) May(ctx context.Context, arn string, call Call) (bool, error) {
	in := &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: &arn, ActionNames: []string{call.Action}, ResourceArns: []string{call.Resource},
	}
	for key, value := range call.Keys {
		in.ContextEntries = append(in.ContextEntries, types.ContextEntry{
			ContextKeyName: &key, ContextKeyType: types.ContextKeyTypeEnumString, ContextKeyValues: []string{value},
		})
	}
	slices.SortFunc(in.ContextEntries, func(a, b types.ContextEntry) int { return strings.Compare(*a.ContextKeyName, *b.ContextKeyName) })
	out, err := r.api.SimulatePrincipalPolicy(ctx, in)
	if err != nil {
		return false, fault.Of(ctx, err, "simulate %s by %s", call.Action, arn)
	}
	for _, result := range out.EvaluationResults {
		if result.EvalDecision != types.PolicyEvaluationDecisionTypeAllowed {
			return false, nil
		}
	}
	return len(out.EvaluationResults) > 0, nil
}
