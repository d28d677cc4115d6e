package access

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// A Record is one line of the access record. Grants are written when a policy
// is loaded, uses when a call is allowed, once per (role, action, pattern of
// the resource that the policy grants), so that the file stays small.
// Whoever lists grants without a use finds rights that nobody needs.
type Record struct {
	// What is "grant" or "use".
	What string `json:"what"`
	// Role is the principal's name.
	Role string `json:"role"`
	// Policy is the name of the identity policy, or "resource policy".
	Policy string `json:"policy"`
	// Action is as the policy writes it for a grant, as called for a use.
	Action string `json:"action"`
	// Resource is as the policy writes it for a grant; the first resource
	// that it was used on for a use.
	Resource string `json:"resource"`
	// GrantedAction and GrantedResource name, for a use, the grant's patterns.
	GrantedAction   string `json:"grantedAction,omitempty"`
	GrantedResource string `json:"grantedResource,omitempty"`
}

type recorder struct {
	mu   sync.Mutex
	out  io.Writer
	seen map[string]bool
}

func (r *recorder) write(rec Record) error {
	if r.out == nil {
		return nil
	}
	id := fmt.Sprintf("%s\x00%s\x00%s\x00%s\x00%s", rec.What, rec.Role, rec.Policy, rec.Action, rec.Resource)
	if rec.What == "use" {
		id = fmt.Sprintf("%s\x00%s\x00%s\x00%s\x00%s\x00%s", rec.What, rec.Role, rec.Policy, rec.Action, rec.GrantedAction, rec.GrantedResource)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[id] {
		return nil
	}
	line, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("access record: %w", err)
	}
	if _, err := r.out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("access record: %w", err)
	}
	r.seen[id] = true
	return nil
}

// grants writes what an identity policy grants.
func (r *recorder) grants(p *Principal, name string, policy *Policy) error {
	for _, s := range policy.statements {
		if s.deny {
			continue
		}
		for _, action := range s.actions {
			for _, resource := range s.resources {
				rec := Record{What: "grant", Role: p.Name, Policy: name, Action: action.source, Resource: resource.source}
				if s.notAction || s.notResource {
					rec.Action, rec.Resource = "everything else", "everything else"
				}
				if err := r.write(rec); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
