package iam_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/smithy-go"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/iam"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

type api struct {
	role     string
	decision types.PolicyEvaluationDecisionType
	err      error
	asked    *sdk.SimulatePrincipalPolicyInput
}

func (a *api) GetRole(_ context.Context, in *sdk.GetRoleInput, _ ...func(*sdk.Options)) (*sdk.GetRoleOutput, error) {
	a.role = *in.RoleName
	return &sdk.GetRoleOutput{Role: &types.Role{AssumeRolePolicyDocument: aws.String(`%7B%22a%2Bb%22%3A%22c+d%22%7D`)}}, a.err
}

func (a *api) SimulatePrincipalPolicy(_ context.Context, in *sdk.SimulatePrincipalPolicyInput, _ ...func(*sdk.Options)) (*sdk.SimulatePrincipalPolicyOutput, error) {
	a.asked = in
	return &sdk.SimulatePrincipalPolicyOutput{EvaluationResults: []types.EvaluationResult{{EvalDecision: a.decision}}}, a.err
}

func TestARoleIsReadByTheLastPartOfItsARN(t *testing.T) {
	a := &api{}
	text, err := iam.Over(a).Trust(t.Context(), "arn:aws:iam::123456789012:role/team/jobs")
	if err != nil || a.role != "jobs" || string(text) != `{"a+b":"c+d"}` {
		t.Errorf("%s %q %v", a.role, text, err)
	}
	a.err = &smithy.GenericAPIError{Code: "NoSuchEntity"}
	if _, err := iam.Over(a).Trust(t.Context(), "arn:aws:iam::123456789012:role/jobs"); !errors.Is(err, batch.ErrNotFound) {
		t.Errorf("a role that is not there: %v", err)
	}
}

func TestACallIsAllowedOnlyIfTheSimulationSaysSo(t *testing.T) {
	for decision, want := range map[types.PolicyEvaluationDecisionType]bool{
		types.PolicyEvaluationDecisionTypeAllowed: true, types.PolicyEvaluationDecisionTypeExplicitDeny: false, types.PolicyEvaluationDecisionTypeImplicitDeny: false,
	} {
		a := &api{decision: decision}
		may, err := iam.Over(a).May(t.Context(), "arn", iam.Call{Action: "s3:ListBucket", Resource: "arn:aws:s3:::b", Keys: map[string]string{"s3:prefix": "p", "aws:x": "y"}})
		if err != nil || may != want || len(a.asked.ContextEntries) != 2 || *a.asked.ContextEntries[1].ContextKeyName != "s3:prefix" {
			t.Errorf("%s: %v %v", decision, may, err)
		}
	}
}
