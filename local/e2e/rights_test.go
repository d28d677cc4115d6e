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

// exception is why a right is granted that the tests do not use.
type exception struct {
	reason string
	// rare rights are used where chance will have it, such as after a crash at
	// the right moment.
	rare bool
}

// abort is the reason for the right to give up a multipart upload.
const abort = "a large object whose writing fails half way is given up, so that its pieces cost nothing"

// absent is the reason for the right to list a bucket of which only single
// objects are read.
const absent = "without it S3 says of an absent object that access is denied, not that there is none"

// exceptions are the rights that the tests need not use.
var exceptions = map[right]exception{
	{"Submit", "s3:AbortMultipartUpload", "s3:::out--/staged/*"}:     {abort, true},
	{"Collect", "s3:AbortMultipartUpload", "s3:::out--/staged/*"}:    {abort, true},
	{"Collect", "s3:AbortMultipartUpload", "s3:::out--/known/*"}:     {abort, true},
	{"Collect", "s3:AbortMultipartUpload", "s3:::out--/results/*"}:   {abort, true},
	{"Collect", "s3:AbortMultipartUpload", "s3:::out--/warehouse/*"}: {abort, true},
	{"Submit", "s3:ListBucket", "s3:::in--"}:                         {absent, false},
	{"Collect", "s3:ListBucket", "s3:::in--"}:                        {absent, false},
	{"Collect", "s3:GetObject", "s3:::in--/*"}:                       {"an object from before the bucket had versions has none to be read at", false},
}

// check compares the rights that were never used with the exceptions.
func (l *ledger) check() error {
	var errs []error
	for r := range l.granted {
		e, listed := exceptions[r]
		switch {
		case !l.used[r] && !listed:
			errs = append(errs, fmt.Errorf("granted and never used: %s: take it out of infra/stack, use it in a test, or list it with a reason", r))
		case l.used[r] && listed && !e.rare:
			errs = append(errs, fmt.Errorf("listed as never used, but used: %s (%s)", r, e.reason))
		}
	}
	for r, e := range exceptions {
		if !l.granted[r] {
			errs = append(errs, fmt.Errorf("listed as never used, but not granted: %s (%s)", r, e.reason))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	if len(l.granted) == 0 {
		errs = append(errs, errors.New("no right was recorded"))
	}
	return errors.Join(errs...)
}
