package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// rights is what the roles of the golden template were granted and what of it
// was used, over all tests.
var rights = &ledger{granted: map[right]bool{}, used: map[right]bool{}}

// right is an action on a resource, as a role's policy writes them.
type right struct{ role, action, resource string }

// short is a resource without what is the same for all.
func short(resource string) string {
	return strings.NewReplacer("arn:aws:", "", "123456789012", "", "us-east-1", "", stackName+"-", "").Replace(resource)
}

func (r right) String() string { return r.role + " " + r.action + " " + r.resource }

type ledger struct {
	mu            sync.Mutex
	granted, used map[right]bool
}

// read adds what one process of the services recorded.
func (l *ledger) read(t *testing.T, path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Error("record of rights:", err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(data) {
		var r struct{ What, Role, Policy, Action, Resource, GrantedAction, GrantedResource string }
		if err := json.Unmarshal(line, &r); err != nil {
			t.Error("record of rights:", err)
			return
		}
		role, ours := strings.CutPrefix(r.Role, "local-Role") // after the template's name for it
		switch {
		case !ours || r.Policy == "resource policy":
		case r.What == "grant":
			l.granted[right{role, r.Action, short(r.Resource)}] = true
		case r.What == "use":
			l.used[right{role, r.GrantedAction, short(r.GrantedResource)}] = true
		}
	}
}

// unused are rights that no test uses, each with the reason why it is granted.
var unused = map[right]string{}

// check compares the rights that were never used with the list above.
func (l *ledger) check() error {
	var errs []error
	for r := range l.granted {
		if _, listed := unused[r]; !l.used[r] && !listed {
			errs = append(errs, fmt.Errorf("granted and never used: %s", r))
		} else if l.used[r] && listed {
			errs = append(errs, fmt.Errorf("listed as never used, but used: %s", r))
		}
	}
	for r := range unused {
		if !l.granted[r] {
			errs = append(errs, fmt.Errorf("listed as never used, but not granted: %s", r))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	if len(l.granted) == 0 {
		errs = append(errs, errors.New("no right was recorded"))
	}
	return errors.Join(errs...)
}
