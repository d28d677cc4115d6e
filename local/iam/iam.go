// Package iam reads the roles of the template back, with their policies, and
// says what a role or user may do.
package iam

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/sqs/query"
)

// Role is a role with its trust policy and its inline policies by name.
type Role struct {
	Name, ARN string
	Trust     []byte
	Policies  map[string][]byte
}

// Authority decides on calls and simulates others; *access.Authority is one.
type Authority interface {
	// Check allows the call (nil) or denies it.
	Check(ctx context.Context, call access.Call) error
	// Denies is how a call would be denied, or nil if it would be allowed.
	Denies(call access.Call) *access.Denial
	// ByARN finds a role or user.
	ByARN(arn string) (*access.Principal, bool)
}

// Service answers the API.
type Service struct {
	query.Service
	authority Authority
	roles     []Role // by name
	created   time.Time
}

// New makes the service over these roles. Created is their date.
func New(authority Authority, roles []Role, created time.Time) *Service {
	s := &Service{authority: authority, roles: slices.Clone(roles), created: created}
	slices.SortFunc(s.roles, func(a, b Role) int { return strings.Compare(a.Name, b.Name) })
	s.Service = query.Service{
		Name: "IAM", Namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
		Operations: map[string]query.Operation{
			"GetRole": query.Op(s.getRole), "ListRoles": query.Op(s.listRoles), "GetRolePolicy": query.Op(s.getRolePolicy),
			"ListRolePolicies": query.Op(s.listRolePolicies), "ListAttachedRolePolicies": query.Op(s.listAttached),
			"SimulatePrincipalPolicy": query.Op(s.simulate),
		},
	}
	return s
}

// Operations lists what the service answers, sorted.
func Operations() []string { return New(nil, nil, time.Time{}).Names() }

type role struct {
	Path, RoleName, RoleId, Arn, CreateDate, AssumeRolePolicyDocument string
	MaxSessionDuration                                                int
}

// describe gives documents in URL encoding, as the API does.
func (s *Service) describe(r Role) role {
	id := sha256.Sum256([]byte(r.ARN))
	return role{
		Path: "/", RoleName: r.Name, RoleId: "AROA" + strings.ToUpper(hex.EncodeToString(id[:8])), Arn: r.ARN,
		CreateDate: s.created.UTC().Format(time.RFC3339), AssumeRolePolicyDocument: encode(r.Trust), MaxSessionDuration: 3600,
	}
}

func encode(document []byte) string {
	return strings.ReplaceAll(url.QueryEscape(string(document)), "+", "%20")
}

func absent(format string, args ...any) error {
	return &access.APIError{Code: "NoSuchEntity", Status: http.StatusNotFound, Message: fmt.Sprintf(format, args...)}
}

// find is the role for a caller who may do the action on it.
func (s *Service) find(ctx context.Context, action, name string) (Role, error) {
	arn := "arn:aws:iam::" + access.Account + ":role/" + name
	i := slices.IndexFunc(s.roles, func(r Role) bool { return r.Name == name })
	if i >= 0 {
		arn = s.roles[i].ARN
	}
	if err := s.authority.Check(ctx, access.Call{Principal: access.PrincipalFrom(ctx), Action: "iam:" + action, Resource: arn}); err != nil {
		return Role{}, err
	}
	if i < 0 {
		return Role{}, absent("The role with name %s cannot be found.", name)
	}
	return s.roles[i], nil
}

type roleIn struct{ RoleName string }

type roleOut struct{ Role role }

func (s *Service) getRole(ctx context.Context, in *roleIn) (*roleOut, error) {
	r, err := s.find(ctx, "GetRole", in.RoleName)
	return &roleOut{s.describe(r)}, err
}

type pageIn struct {
	PathPrefix, Marker string
	MaxItems           int
}

type rolesOut struct {
	Roles       []role
	IsTruncated bool
	Marker      string `json:",omitzero"`
}

func (s *Service) listRoles(ctx context.Context, in *pageIn) (*rolesOut, error) {
	if err := s.authority.Check(ctx, access.Call{
		Principal: access.PrincipalFrom(ctx), Action: "iam:ListRoles", Resource: "arn:aws:iam::" + access.Account + ":role/",
	}); err != nil {
		return nil, err
	}
	out := &rolesOut{}
	most := in.MaxItems
	if most == 0 {
		most = 100
	}
	for _, r := range s.roles {
		if in.PathPrefix != "" && in.PathPrefix != "/" || r.Name <= in.Marker {
			continue // all roles have the path /
		}
		if len(out.Roles) == most {
			out.IsTruncated, out.Marker = true, out.Roles[most-1].RoleName
			break
		}
		out.Roles = append(out.Roles, s.describe(r))
	}
	return out, nil
}

type policyIn struct{ RoleName, PolicyName string }

type policyOut struct{ RoleName, PolicyName, PolicyDocument string }

func (s *Service) getRolePolicy(ctx context.Context, in *policyIn) (*policyOut, error) {
	r, err := s.find(ctx, "GetRolePolicy", in.RoleName)
	if err != nil {
		return nil, err
	}
	document, ok := r.Policies[in.PolicyName]
	if !ok {
		return nil, absent("The role policy with name %s cannot be found.", in.PolicyName)
	}
	return &policyOut{r.Name, in.PolicyName, encode(document)}, nil
}

type policiesIn struct {
	RoleName, Marker string
	MaxItems         int
}

type policiesOut struct {
	PolicyNames []string
	IsTruncated bool
}

func (s *Service) listRolePolicies(ctx context.Context, in *policiesIn) (*policiesOut, error) {
	r, err := s.find(ctx, "ListRolePolicies", in.RoleName)
	return &policiesOut{PolicyNames: slices.Sorted(maps.Keys(r.Policies))}, err
}

type attachedOut struct {
	AttachedPolicies []struct{}
	IsTruncated      bool
}

// listAttached is always empty: a template with managed policies is refused.
func (s *Service) listAttached(ctx context.Context, in *policiesIn) (*attachedOut, error) {
	_, err := s.find(ctx, "ListAttachedRolePolicies", in.RoleName)
	return &attachedOut{}, err
}
