// Package cloudformation reads the template back as a stack that is complete:
// its outputs, its resources and its text.
package cloudformation

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/sqs/query"
)

// Stack is what the template declared.
type Stack struct {
	Name, Description string
	// Template is the template's text.
	Template  string
	Outputs   []Output
	Resources []Resource
	// Created is when the services started.
	Created time.Time
}

// Output is an output with its value.
type Output struct{ Key, Value, Description string }

// Resource is a resource with the name that the cloud knows it by.
type Resource struct{ LogicalID, PhysicalID, Type string }

// Authority decides on calls; *access.Authority is one.
type Authority interface {
	// Check allows the call (nil) or denies it.
	Check(ctx context.Context, call access.Call) error
}

// Service answers the API.
type Service struct {
	query.Service
	authority Authority
	stack     Stack
}

// New makes the service of one stack.
func New(authority Authority, stack Stack) *Service {
	s := &Service{authority: authority, stack: stack}
	s.Service = query.Service{
		Name: "CloudFormation", Namespace: "http://cloudformation.amazonaws.com/doc/2010-05-15/",
		Operations: map[string]query.Operation{
			"DescribeStacks": query.Op(s.describeStacks), "ListStacks": query.Op(s.listStacks), "GetTemplate": query.Op(s.getTemplate),
			"DescribeStackResources": query.Op(s.describeResources), "ListStackResources": query.Op(s.listResources),
		},
	}
	return s
}

// Operations lists what the service answers, sorted.
func Operations() []string { return New(nil, Stack{}).Names() }

// ARN is the stack's id.
func (s *Service) ARN() string {
	id := sha256.Sum256([]byte(s.stack.Name))
	return fmt.Sprintf("arn:aws:cloudformation:%s:%s:stack/%s/%x-%x-%x-%x-%x",
		access.Region, access.Account, s.stack.Name, id[:4], id[4:6], id[6:8], id[8:10], id[10:16])
}

// find checks that the caller may do the action and means this stack.
func (s *Service) find(ctx context.Context, action, name string) error {
	resource := s.ARN()
	known := name == "" || name == s.stack.Name || name == resource
	if !known {
		resource = "arn:aws:cloudformation:" + access.Region + ":" + access.Account + ":stack/" + name + "/*"
	}
	if err := s.authority.Check(ctx, access.Call{Principal: access.PrincipalFrom(ctx), Action: "cloudformation:" + action, Resource: resource}); err != nil {
		return err
	}
	if !known {
		return access.Errorf("ValidationError", "Stack with id %s does not exist", name)
	}
	return nil
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

type output struct {
	OutputKey, OutputValue string
	Description            string `json:",omitzero"`
}

type stack struct {
	StackId, StackName string
	Description        string `json:",omitzero"`
	CreationTime       string
	StackStatus        string
	DisableRollback    bool
	Capabilities       []string
	Outputs            []output
	Parameters, Tags   []struct{}
	NotificationARNs   []string
}

type stackIn struct{ StackName, NextToken string }

type stacksOut struct{ Stacks []stack }

func (s *Service) describeStacks(ctx context.Context, in *stackIn) (*stacksOut, error) {
	if err := s.find(ctx, "DescribeStacks", in.StackName); err != nil {
		return nil, err
	}
	d := stack{
		StackId: s.ARN(), StackName: s.stack.Name, Description: s.stack.Description, CreationTime: date(s.stack.Created),
		StackStatus: "CREATE_COMPLETE", Capabilities: []string{"CAPABILITY_NAMED_IAM"},
	}
	for _, o := range s.stack.Outputs {
		d.Outputs = append(d.Outputs, output{o.Key, o.Value, o.Description})
	}
	return &stacksOut{[]stack{d}}, nil
}

type summary struct {
	StackId, StackName, CreationTime, StackStatus string
	TemplateDescription                           string `json:",omitzero"`
}

type listIn struct {
	StackStatusFilter []string
	NextToken         string
}

type listOut struct{ StackSummaries []summary }

func (s *Service) listStacks(ctx context.Context, in *listIn) (*listOut, error) {
	if err := s.find(ctx, "ListStacks", ""); err != nil {
		return nil, err
	}
	out := &listOut{}
	if len(in.StackStatusFilter) == 0 || slices.Contains(in.StackStatusFilter, "CREATE_COMPLETE") {
		out.StackSummaries = []summary{{s.ARN(), s.stack.Name, date(s.stack.Created), "CREATE_COMPLETE", s.stack.Description}}
	}
	return out, nil
}

type templateIn struct{ StackName, TemplateStage string }

type templateOut struct {
	TemplateBody    string
	StagesAvailable []string
}

func (s *Service) getTemplate(ctx context.Context, in *templateIn) (*templateOut, error) {
	if err := s.find(ctx, "GetTemplate", in.StackName); err != nil {
		return nil, err
	}
	if s.stack.Template == "" {
		return nil, access.Errorf("ValidationError", "The stack %s was not made from a template", s.stack.Name)
	}
	return &templateOut{s.stack.Template, []string{"Original", "Processed"}}, nil
}

type resource struct {
	StackId            string `json:",omitzero"`
	StackName          string `json:",omitzero"`
	LogicalResourceId  string
	PhysicalResourceId string `json:",omitzero"`
	ResourceType       string
	Timestamp          string `json:",omitzero"`
	LastUpdated        string `query:"LastUpdatedTimestamp" json:",omitzero"`
	ResourceStatus     string
}

type resourcesIn struct{ StackName, LogicalResourceId, PhysicalResourceId string }

type resourcesOut struct{ StackResources []resource }

func (s *Service) describeResources(ctx context.Context, in *resourcesIn) (*resourcesOut, error) {
	if err := s.find(ctx, "DescribeStackResources", in.StackName); err != nil {
		return nil, err
	}
	out := &resourcesOut{}
	for _, r := range s.stack.Resources {
		if in.LogicalResourceId != "" && r.LogicalID != in.LogicalResourceId || in.PhysicalResourceId != "" && r.PhysicalID != in.PhysicalResourceId {
			continue
		}
		out.StackResources = append(out.StackResources, resource{
			StackId: s.ARN(), StackName: s.stack.Name, LogicalResourceId: r.LogicalID, PhysicalResourceId: r.PhysicalID,
			ResourceType: r.Type, Timestamp: date(s.stack.Created), ResourceStatus: "CREATE_COMPLETE",
		})
	}
	if len(out.StackResources) == 0 && in.LogicalResourceId+in.PhysicalResourceId != "" {
		return nil, access.Errorf("ValidationError", "Resource %s does not exist for stack %s",
			strings.TrimSpace(in.LogicalResourceId+" "+in.PhysicalResourceId), s.stack.Name)
	}
	return out, nil
}

type summariesOut struct{ StackResourceSummaries []resource }

func (s *Service) listResources(ctx context.Context, in *stackIn) (*summariesOut, error) {
	if err := s.find(ctx, "ListStackResources", in.StackName); err != nil {
		return nil, err
	}
	out := &summariesOut{}
	for _, r := range s.stack.Resources {
		out.StackResourceSummaries = append(out.StackResourceSummaries, resource{
			LogicalResourceId: r.LogicalID, PhysicalResourceId: r.PhysicalID, ResourceType: r.Type,
			LastUpdated: date(s.stack.Created), ResourceStatus: "CREATE_COMPLETE",
		})
	}
	return out, nil
}
