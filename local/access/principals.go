package access

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// principalSet is the Principal member of a statement.
type principalSet struct {
	everyone bool
	arns     []string
	accounts []string
	services []string
}

// reach says how a statement's Principal covers a caller.
type reach int

const (
	unnamed reach = iota
	// throughAccount: the account is named, which leaves the decision to the
	// caller's own identity policies.
	throughAccount
	// named: the caller itself, or everyone.
	named
)

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

func parsePrincipals(raw json.RawMessage) (*principalSet, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		if text != "*" {
			return nil, fmt.Errorf("Principal %q: want * or an object", text)
		}
		return &principalSet{everyone: true}, nil
	}
	var byKind map[string]oneOrMany[string]
	if err := strictly(raw, &byKind); err != nil {
		return nil, fmt.Errorf("Principal: %w", err)
	}
	set := &principalSet{}
	for kind, values := range byKind {
		for _, v := range values {
			switch {
			case kind == "Service":
				set.services = append(set.services, v)
			case kind != "AWS":
				return nil, fmt.Errorf("Principal of kind %q is not supported here (AWS and Service are)", kind)
			case v == "*":
				set.everyone = true
			case accountID.MatchString(v):
				set.accounts = append(set.accounts, v)
			case strings.HasPrefix(v, "arn:aws:iam::") && strings.HasSuffix(v, ":root"):
				set.accounts = append(set.accounts, strings.Split(v, ":")[4])
			case strings.HasPrefix(v, "arn:aws:iam::"), strings.HasPrefix(v, "arn:aws:sts::"):
				if strings.ContainsAny(v, "*?") {
					return nil, fmt.Errorf("Principal %q: wildcards match nothing in a principal's ARN", v)
				}
				set.arns = append(set.arns, v)
			default:
				return nil, fmt.Errorf("Principal %q: want *, an account or the ARN of a role or user", v)
			}
		}
	}
	return set, nil
}

func (s *principalSet) reach(p *Principal) reach {
	switch {
	case s.everyone:
		return named
	case p == nil:
		return unnamed
	case p.IsService():
		if slices.Contains(s.services, p.Service) {
			return named
		}
		return unnamed
	case slices.Contains(s.arns, p.ARN), slices.Contains(s.arns, p.Session):
		return named
	case slices.Contains(s.accounts, p.account()):
		return throughAccount
	}
	return unnamed
}
