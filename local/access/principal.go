package access

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// Account and Region are those of everything that there is on one machine;
// roles alone may be of another account.
const (
	Account = "123456789012"
	Region  = "us-east-1"
)

// A Principal is who makes a call: a role that a function or a job runs as, a
// user, or an AWS service that acts for one of its resources.
type Principal struct {
	// Name is short and readable: the role's or user's name, or the service.
	Name string
	// ARN is the role's or user's own ARN, which policies name. Empty for a service.
	ARN string
	// Session is the ARN that denials and userIdentity show: for a role
	// arn:aws:sts::...:assumed-role/<role>/<session>, else the ARN or service.
	Session string
	// Service is the service principal, such as s3.amazonaws.com, or empty.
	Service string
	// AccessKeyID and Secret sign this principal's calls.
	AccessKeyID, Secret string
	// Context holds condition keys that go with each call of this principal,
	// such as aws:SourceArn and aws:SourceAccount for a service.
	Context map[string][]string

	identity []attached
	trust    *Policy
}

// attached is an identity policy with its name, for the record.
type attached struct {
	name   string
	policy *Policy
}

// account is the account that a role or user belongs to.
func (p *Principal) account() string {
	if parts := strings.SplitN(p.ARN, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return Account
}

// abroad tells whether the principal is a role or user of another account;
// every resource belongs to Account.
func (p *Principal) abroad() bool { return p != nil && !p.IsService() && p.account() != Account }

// IsService tells whether the principal is an AWS service.
func (p *Principal) IsService() bool { return p != nil && p.Service != "" }

// IsRole tells whether the principal is a role.
func (p *Principal) IsRole() bool { return p != nil && strings.Contains(p.ARN, ":role/") }

// String is what AWS calls the principal in a denial.
func (p *Principal) String() string {
	if p == nil {
		return "anonymous"
	}
	return p.Session
}

type principalKey struct{}

// WithPrincipal puts the caller into a request's context.
func WithPrincipal(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalFrom is the caller that the front door recognised by its signature,
// or nil outside of a signed request.
func PrincipalFrom(ctx context.Context) *Principal {
	p, _ := ctx.Value(principalKey{}).(*Principal)
	return p
}

// newKeys makes an access key that no other principal has.
func newKeys() (id, secret string) {
	var b [28]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return "AKIA" + strings.ToUpper(hex.EncodeToString(b[:8])), hex.EncodeToString(b[8:])
}
