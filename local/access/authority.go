// Package access decides who may do what on one machine, as IAM does: it
// evaluates identity, resource and trust policies of the principals that the
// template declares, words its denials as AWS does, logs them, and records
// what was granted and what was used.
package access

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/bedrock-batch/bedrock-batch/local/clock"
)

// Config is what an Authority needs.
type Config struct {
	// Log receives a warning per denial; default slog.Default().
	Log *slog.Logger
	// Record receives one JSON line per granted action and per first use of
	// each (role, action, granted resource); default: nothing is recorded.
	Record io.Writer
	// Clock gives aws:CurrentTime; default the machine's.
	Clock *clock.Clock
}

// Authority knows all principals and decides on calls. It is safe for
// concurrent use.
type Authority struct {
	log    *slog.Logger
	clock  *clock.Clock
	record recorder

	mu       sync.RWMutex
	byKey    map[string]*Principal
	byARN    map[string]*Principal
	services map[string]*Principal
	secure   bool
}

// Call is one request to decide on.
type Call struct {
	// Principal makes the call; nil is an anonymous caller.
	Principal *Principal
	// Action is like s3:PutObject.
	Action string
	// Resource is the ARN acted on, or * for actions without one.
	Resource string
	// Context holds the request's condition keys, such as s3:prefix; the
	// global ones (aws:SecureTransport, aws:PrincipalArn, ...) are added.
	Context map[string][]string
	// ResourcePolicy is the policy on the resource, or nil.
	ResourcePolicy *Policy
}

// NewAuthority makes an authority that knows nobody yet.
func NewAuthority(cfg Config) *Authority {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.Real()
	}
	return &Authority{
		log: cfg.Log, clock: cfg.Clock, record: recorder{out: cfg.Record, seen: map[string]bool{}},
		byKey: map[string]*Principal{}, byARN: map[string]*Principal{}, services: map[string]*Principal{},
		secure: true,
	}
}

// Role describes a role for AddRole.
type Role struct {
	// Name is the role's name; its ARN follows from it unless ARN is set.
	Name, ARN string
	// Trust is the trust policy (AssumeRolePolicyDocument).
	Trust []byte
	// Policies are the identity policies by name.
	Policies map[string][]byte
}

// AddRole makes a role known, with an access key of its own.
func (a *Authority) AddRole(r Role) (*Principal, error) {
	if r.ARN == "" {
		r.ARN = "arn:aws:iam::" + Account + ":role/" + r.Name
	}
	p := &Principal{
		Name: r.Name, ARN: r.ARN,
	}
	p.Session = "arn:aws:sts::" + p.account() + ":assumed-role/" + r.Name + "/local"
	trust, err := ParsePolicy(r.Trust, TrustPolicy)
	if err != nil {
		return nil, fmt.Errorf("role %s: trust policy: %w", r.Name, err)
	}
	p.trust = trust
	return p, a.add(p, "role "+r.Name, r.Policies)
}

// AddUser makes a user known, with an access key of its own.
func (a *Authority) AddUser(name string, policies map[string][]byte) (*Principal, error) {
	arn := "arn:aws:iam::" + Account + ":user/" + name
	p := &Principal{Name: name, ARN: arn, Session: arn}
	return p, a.add(p, "user "+name, policies)
}

// Attach adds an identity policy to a role or user that is already known.
func (a *Authority) Attach(arn, name string, document []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.byARN[arn]
	if p == nil {
		return fmt.Errorf("attach policy %s: no role or user %s", name, arn)
	}
	return a.attach(p, name, document)
}

// Role finds a role by its ARN.
func (a *Authority) Role(arn string) (*Principal, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	p := a.byARN[arn]
	return p, p.IsRole()
}

// ByARN finds a role or user by its ARN.
func (a *Authority) ByARN(arn string) (*Principal, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	p, ok := a.byARN[arn]
	return p, ok
}

// ByAccessKey finds who signs with the access key.
func (a *Authority) ByAccessKey(id string) (*Principal, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	p, ok := a.byKey[id]
	return p, ok
}

// AsService is the service principal (such as s3.amazonaws.com) acting for the
// resource sourceARN of this account.
func (a *Authority) AsService(service, sourceARN string) *Principal {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := service + " " + sourceARN
	if p := a.services[id]; p != nil {
		return p
	}
	p := &Principal{Name: service, Service: service, Session: service, Context: map[string][]string{
		"aws:SourceAccount": {Account},
	}}
	if sourceARN != "" {
		p.Context["aws:SourceArn"] = []string{sourceARN}
	}
	p.AccessKeyID, p.Secret = newKeys()
	a.byKey[p.AccessKeyID] = p
	a.services[id] = p
	return p
}

// Check allows or denies a call. A denial is a *Denial, logged with action,
// resource and principal; an allowed call is recorded.
func (a *Authority) Check(ctx context.Context, call Call) error {
	by, denial := a.decide(call)
	if denial != nil {
		a.log.WarnContext(ctx, "access denied", "action", call.Action, "resource", call.Resource,
			"role", call.Principal.String(), "why", denial.Why)
		return denial
	}
	if call.Principal == nil {
		return nil
	}
	return a.record.write(Record{
		What: "use", Role: call.Principal.Name, Policy: by.policy, Action: call.Action, Resource: call.Resource,
		GrantedAction: by.action, GrantedResource: by.resource,
	})
}

// Allows is Check without log and record, for decisions that are not the
// caller's own call (such as whether an absent object may be told apart).
func (a *Authority) Allows(call Call) bool {
	_, denial := a.decide(call)
	return denial == nil
}

// Denies is how a call would be denied, or nil if it would be allowed; like
// Allows it leaves no trace.
func (a *Authority) Denies(call Call) *Denial {
	_, denial := a.decide(call)
	return denial
}

// CheckPassRole decides whether caller may hand the role to the service
// (iam:PassRole). Whether the service may then assume it is Assume's question.
func (a *Authority) CheckPassRole(ctx context.Context, caller *Principal, roleARN, service string) error {
	return a.Check(ctx, Call{
		Principal: caller, Action: "iam:PassRole", Resource: roleARN,
		Context: map[string][]string{"iam:PassedToService": {service}},
	})
}

// Assume gives the role's principal to the service that acts for sourceARN, if
// the role's trust policy allows it; else a *Denial.
func (a *Authority) Assume(ctx context.Context, service, sourceARN, roleARN string) (*Principal, error) {
	call := Call{Principal: a.AsService(service, sourceARN), Action: "sts:AssumeRole", Resource: roleARN}
	role, ok := a.Role(roleARN)
	if ok {
		call.ResourcePolicy = role.trust
	}
	if err := a.Check(ctx, call); err != nil {
		return nil, err
	}
	return role, nil
}

// SetSecureTransport changes what aws:SecureTransport says. Plain HTTP on
// 127.0.0.1 counts as secure; tests turn that off.
func (a *Authority) SetSecureTransport(secure bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secure = secure
}

// add registers a role or user under new keys with its policies.
func (a *Authority) add(p *Principal, what string, policies map[string][]byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byARN[p.ARN] != nil {
		return fmt.Errorf("%s: declared twice", what)
	}
	for _, name := range slices.Sorted(maps.Keys(policies)) {
		if err := a.attach(p, name, policies[name]); err != nil {
			return err
		}
	}
	p.AccessKeyID, p.Secret = newKeys()
	a.byARN[p.ARN], a.byKey[p.AccessKeyID] = p, p
	return nil
}

func (a *Authority) attach(p *Principal, name string, document []byte) error {
	policy, err := ParsePolicy(document, IdentityPolicy)
	if err != nil {
		return fmt.Errorf("policy %s of %s: %w", name, p.ARN, err)
	}
	// A new slice: decisions may be reading the old one.
	p.identity = append(slices.Clone(p.identity), attached{name: name, policy: policy})
	return a.record.grants(p, name, policy)
}
