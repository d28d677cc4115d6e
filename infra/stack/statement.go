package stack

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// statement is one written-out policy statement. Each has a Sid: it says what
// the statement is for, and statements with a Sid are never merged, so that
// the template reads as this code does.
type statement struct {
	sid        string
	actions    []string
	resources  []*string
	conditions map[string]any
	principal  awsiam.IPrincipal // resource policies only
}

func (s statement) build() awsiam.PolicyStatement {
	props := &awsiam.PolicyStatementProps{
		Sid:       jsii.String(s.sid),
		Effect:    awsiam.Effect_ALLOW,
		Actions:   jsii.Strings(s.actions...),
		Resources: &s.resources,
	}
	if s.conditions != nil {
		props.Conditions = &s.conditions
	}
	if s.principal != nil {
		props.Principals = &[]awsiam.IPrincipal{s.principal}
	}
	return awsiam.NewPolicyStatement(props)
}

func document(statements ...statement) awsiam.PolicyDocument {
	built := make([]awsiam.PolicyStatement, len(statements))
	for i, s := range statements {
		built[i] = s.build()
	}
	return awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &built})
}

func service(host string) awsiam.IPrincipal {
	return awsiam.NewServicePrincipal(jsii.String(host), nil)
}

// from limits a service to acting for one source of this account: without it
// anybody's bucket, rule or job could make the service act on ours.
func from(sourceARN *string) map[string]any {
	return map[string]any{
		"StringEquals": map[string]any{"aws:SourceAccount": account()},
		"ArnLike":      map[string]any{"aws:SourceArn": sourceARN},
	}
}
