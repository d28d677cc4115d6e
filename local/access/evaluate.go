package access

import (
	"slices"
	"strings"
)

// match is the statement that decided, for the record.
type match struct {
	policy   string
	action   string
	resource string
}

type verdict int

const (
	silent verdict = iota
	allows
	allowsAccount // allowed to the account: its identity policies decide
	denies
)

// decide evaluates one policy for one call.
func (p *Policy) decide(call Call, keys conditionKeys) (verdict, match) {
	if p == nil {
		return silent, match{}
	}
	best, by := silent, match{}
	for _, s := range p.statements {
		reach := named
		if s.principals != nil {
			reach = s.principals.reach(call.Principal)
			if s.notPrincipal {
				if reach == unnamed {
					reach = named
				} else {
					reach = unnamed
				}
			}
		}
		if reach == unnamed {
			continue
		}
		action, ok := covered(s.actions, s.notAction, strings.ToLower(call.Action), nil)
		if !ok {
			continue
		}
		resource := ""
		if p.kind != TrustPolicy {
			if resource, ok = covered(s.resources, s.notResource, call.Resource, keys); !ok {
				continue
			}
		}
		if slices.ContainsFunc(s.conditions, func(c condition) bool { return !c.holds(keys) }) {
			continue
		}
		m := match{action: action, resource: resource}
		switch {
		case s.deny:
			return denies, m
		case reach == named && best != allows:
			best, by = allows, m
		case best == silent:
			best, by = allowsAccount, m
		}
	}
	return best, by
}

// covered finds the pattern that fits, or for a Not list that none does.
func covered(patterns []pattern, not bool, s string, keys conditionKeys) (string, bool) {
	i := slices.IndexFunc(patterns, func(p pattern) bool { return p.matches(s, keys) })
	switch {
	case not && i < 0:
		return "everything else", true
	case not || i < 0:
		return "", false
	}
	return patterns[i].source, true
}

// decide joins identity and resource policies as IAM does: an explicit deny
// wins; else, within one account, one Allow from either side is enough, where
// an Allow that names only the account leaves it to the identity policies. A
// caller of another account needs both.
func (a *Authority) decide(call Call) (match, *Denial) {
	a.mu.RLock()
	secure := a.secure
	var identity []attached
	if call.Principal != nil {
		identity = call.Principal.identity
	}
	a.mu.RUnlock()
	keys := a.requestKeys(call, secure)

	allowed, by := false, match{}
	for _, at := range identity {
		switch v, m := at.policy.decide(call, keys); {
		case v == denies:
			return match{}, call.denial(true, "with an explicit deny in an identity-based policy")
		case v == allows && !allowed:
			allowed, by = true, m
			by.policy = at.name
		}
	}
	v, m := call.ResourcePolicy.decide(call, keys)
	switch {
	case v == denies:
		return match{}, call.denial(true, "with an explicit deny in a resource-based policy")
	case allowed && call.Principal.abroad() && v != allows && v != allowsAccount:
		return match{}, call.denial(false, "because no resource-based policy allows the "+call.Action+" action")
	case allowed:
		return by, nil
	case call.Principal.abroad(): // whatever the resource's policy says
	case v == allows:
		m.policy = "resource policy"
		return m, nil
	}
	side := "identity-based"
	if call.Principal == nil || call.Principal.IsService() || call.Action == "sts:AssumeRole" {
		side = "resource-based"
	}
	return match{}, call.denial(false, "because no "+side+" policy allows the "+call.Action+" action")
}

func (c Call) denial(explicit bool, why string) *Denial {
	return &Denial{Principal: c.Principal, Action: c.Action, Resource: c.Resource, Explicit: explicit, Why: why}
}
