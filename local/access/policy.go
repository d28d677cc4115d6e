package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Kind says where a policy stands, and so which members it must have.
type Kind int

// The kinds of policies.
const (
	// IdentityPolicy is attached to a role or user: no Principal.
	IdentityPolicy Kind = iota
	// ResourcePolicy is attached to a bucket, queue or topic.
	ResourcePolicy
	// TrustPolicy says who may assume a role: no Resource.
	TrustPolicy
)

// A Policy is a parsed policy document.
type Policy struct {
	kind       Kind
	statements []statement
}

type statement struct {
	sid          string
	deny         bool
	principals   *principalSet
	notPrincipal bool
	actions      []pattern
	notAction    bool
	resources    []pattern
	notResource  bool
	conditions   []condition
}

type rawPolicy struct {
	Version   string
	ID        string `json:"Id"`
	Statement oneOrMany[rawStatement]
}

type rawStatement struct {
	Sid, Effect  string
	Principal    json.RawMessage
	NotPrincipal json.RawMessage
	Action       oneOrMany[string]
	NotAction    oneOrMany[string]
	Resource     oneOrMany[string]
	NotResource  oneOrMany[string]
	Condition    map[string]map[string]oneOrMany[scalar]
}

// oneOrMany reads a single value as a list of one, as IAM does.
type oneOrMany[T any] []T

func (l *oneOrMany[T]) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		return strictly(b, (*[]T)(l))
	}
	var one T
	if err := strictly(b, &one); err != nil {
		return err
	}
	*l = oneOrMany[T]{one}
	return nil
}

// scalar is a condition value: text, number or truth value, kept as text.
type scalar string

func (s *scalar) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(s))
	}
	if len(b) > 0 && (b[0] == '{' || b[0] == '[' || string(b) == "null") {
		return fmt.Errorf("condition value %s: want text, a number or a truth value", b)
	}
	*s = scalar(b)
	return nil
}

func strictly(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// ParsePolicy reads a policy document. Whatever could not be evaluated here (an
// unknown member, operator, condition key or kind of principal) is an error
// that names it.
func ParsePolicy(document []byte, kind Kind) (*Policy, error) {
	var raw rawPolicy
	if err := strictly(document, &raw); err != nil {
		return nil, fmt.Errorf("policy document: %w", err)
	}
	if raw.Version != "" && raw.Version != "2012-10-17" && raw.Version != "2008-10-17" {
		return nil, fmt.Errorf("policy document: unknown Version %q", raw.Version)
	}
	if len(raw.Statement) == 0 {
		return nil, errors.New("policy document: no Statement")
	}
	p := &Policy{kind: kind}
	for i, r := range raw.Statement {
		// Variables have a meaning in the newer language only.
		s, err := r.parse(kind, raw.Version == "2012-10-17")
		if err != nil {
			name := fmt.Sprint(i)
			if r.Sid != "" {
				name += " (" + r.Sid + ")"
			}
			return nil, fmt.Errorf("policy statement %s: %w", name, err)
		}
		p.statements = append(p.statements, s)
	}
	return p, nil
}

func (r rawStatement) parse(kind Kind, variables bool) (s statement, err error) {
	s.sid = r.Sid
	switch r.Effect {
	case "Allow":
	case "Deny":
		s.deny = true
	default:
		return s, fmt.Errorf("Effect %q: want Allow or Deny", r.Effect)
	}
	if s.principals, s.notPrincipal, err = r.principalSet(kind); err != nil {
		return s, err
	}
	actions, notAction, err := either("Action", r.Action, r.NotAction)
	if err != nil {
		return s, err
	}
	s.notAction = notAction
	for _, a := range actions {
		if service, name, ok := strings.Cut(a, ":"); a != "*" && (!ok || service == "" || name == "") {
			return s, fmt.Errorf("action %q: want service:Action or *", a)
		}
		p, _ := parsePattern(strings.ToLower(a), false)
		p.source = a
		s.actions = append(s.actions, p)
	}
	if kind == TrustPolicy {
		if r.Resource != nil || r.NotResource != nil {
			return s, errors.New("a trust policy has no Resource")
		}
	} else {
		resources, notResource, err := either("Resource", r.Resource, r.NotResource)
		if err != nil {
			return s, err
		}
		s.notResource = notResource
		for _, text := range resources {
			if text != "*" && strings.Count(text, ":") < 5 {
				return s, fmt.Errorf("resource %q: want an ARN or *", text)
			}
			p, err := parsePattern(text, variables)
			if err != nil {
				return s, fmt.Errorf("resource %w", err)
			}
			s.resources = append(s.resources, p)
		}
	}
	s.conditions, err = parseConditions(r.Condition, variables)
	return s, err
}

func (r rawStatement) principalSet(kind Kind) (*principalSet, bool, error) {
	if kind == IdentityPolicy {
		if r.Principal != nil || r.NotPrincipal != nil {
			return nil, false, errors.New("an identity policy has no Principal")
		}
		return nil, false, nil
	}
	raw, not := r.Principal, false
	switch {
	case r.Principal != nil && r.NotPrincipal != nil:
		return nil, false, errors.New("Principal and NotPrincipal exclude each other")
	case r.Principal == nil && r.NotPrincipal == nil:
		return nil, false, errors.New("Principal is missing")
	case r.NotPrincipal != nil:
		raw, not = r.NotPrincipal, true
	}
	set, err := parsePrincipals(raw)
	return set, not, err
}

func either(name string, yes, no []string) (list []string, not bool, err error) {
	switch {
	case len(yes) > 0 && len(no) > 0:
		return nil, false, fmt.Errorf("%s and Not%s exclude each other", name, name)
	case len(yes) > 0:
		return yes, false, nil
	case len(no) > 0:
		return no, true, nil
	}
	return nil, false, fmt.Errorf("%s is missing", name)
}
