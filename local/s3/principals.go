package s3

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"strings"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3err"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// principals tells the gateway who signs and what they may do. All decisions
// (identity and bucket policies together) are access.Authority's; the gateway
// is told that buckets have no policy and an owner who never calls.
type principals struct {
	authority *access.Authority
	policy    func(bucket string) *access.Policy
}

var (
	_ auth.IAMService         = principals{}
	_ auth.SigningKeyProvider = principals{}
	_ auth.PolicyEvaluator    = principals{}
)

var errNoAccounts = errors.New("accounts come from the template and cannot be changed over the API")

func (p principals) CreateAccount(auth.Account) error                  { return errNoAccounts }
func (p principals) UpdateUserAccount(string, auth.MutableProps) error { return errNoAccounts }
func (p principals) DeleteUserAccount(string) error                    { return errNoAccounts }
func (p principals) ListUserAccounts() ([]auth.Account, error)         { return nil, errNoAccounts }
func (p principals) Shutdown() error                                   { return nil }

func (p principals) find(accessKey string) (*access.Principal, auth.Account, error) {
	who, ok := p.authority.ByAccessKey(accessKey)
	if !ok {
		return nil, auth.Account{}, auth.ErrNoSuchUser
	}
	account := auth.Account{Access: strings.Clone(accessKey), Role: auth.RoleUser, Arn: who.String()}
	if who.IsRole() {
		account.RoleArn = who.ARN
	}
	return who, account, nil
}

// ResolveAccounts returns the access keys that nobody has.
func (p principals) ResolveAccounts(accessKeyIDs []string) ([]string, error) {
	missing := []string{}
	for _, id := range accessKeyIDs {
		if _, ok := p.authority.ByAccessKey(id); !ok && id != owner {
			missing = append(missing, id)
		}
	}
	return missing, nil
}

// GetUserAccount finds who has the access key.
func (p principals) GetUserAccount(accessKey string) (auth.Account, error) {
	_, account, err := p.find(accessKey)
	return account, err
}

// DeriveSigningKey makes the key that the caller's signature is checked with.
func (p principals) DeriveSigningKey(accessKey, sessionToken, date, region, service string) ([]byte, auth.Account, error) {
	who, account, err := p.find(accessKey)
	if err != nil {
		return nil, account, err
	}
	if sessionToken != "" {
		return nil, account, auth.ErrInvalidSessionToken // all keys here are long-lived
	}
	key := []byte("AWS4" + who.Secret)
	for _, part := range []string{date, region, service, "aws4_request"} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return key, account, nil
}

// The gateway's decisions, whose type it does not export.
const (
	noMatch = iota
	allowed
	denied
)

// EvaluatePolicy decides on every action and resource of a request. A denial
// is returned as an error with AWS's words, except for deletes, where each
// object of a batch is denied on its own.
func (p principals) EvaluatePolicy(accessKey, _ string, actions []auth.Action, resources []string, condition map[string][]string) (auth.PolicyEvaluation, error) {
	who, _, err := p.find(accessKey)
	if err != nil {
		return auth.PolicyEvaluation{}, err
	}
	eval := auth.PolicyEvaluation{PrincipalArn: who.String()}
	matrix := make([][]int, len(resources))
	for i, resource := range resources {
		for _, action := range actions {
			decision := allowed
			err := p.authority.Check(context.Background(), p.call(who, string(action), resource, condition))
			var denial *access.Denial
			switch {
			case errors.As(err, &denial) && action != auth.DeleteObjectAction && action != auth.DeleteObjectVersionAction:
				return eval, accessDenied(denial)
			case errors.As(err, &denial) && denial.Explicit:
				decision = denied
			case errors.As(err, &denial):
				decision = noMatch
			case err != nil:
				return eval, err
			}
			matrix[i] = append(matrix[i], decision)
		}
	}
	fill(&eval.Decisions, matrix)
	return eval, nil
}

// call puts a decision together; what it keeps is copied, because the gateway
// lends its strings for the length of the request only.
func (p principals) call(who *access.Principal, action, resource string, condition map[string][]string) access.Call {
	resource = strings.Clone(resource)
	if key, version, ok := strings.Cut(resource, "?versionId="); ok && action == "s3:GetObject" && version != "" {
		// The source of a copy from an old version.
		resource, action = key, "s3:GetObjectVersion"
	}
	keys := map[string][]string{}
	for key, values := range condition {
		// The Authority says whether this transport counts as secure and what
		// time it is.
		if key != "aws:SecureTransport" && key != "aws:CurrentTime" && key != "aws:EpochTime" && key != "aws:SourceIp" {
			for _, v := range values {
				keys[key] = append(keys[key], strings.Clone(v))
			}
		}
	}
	bucket, _, _ := strings.Cut(strings.TrimPrefix(resource, "arn:aws:s3:::"), "/")
	return access.Call{Principal: who, Action: strings.Clone(action), Resource: resource, Context: keys, ResourcePolicy: p.policy(bucket)}
}

func accessDenied(d *access.Denial) s3err.APIError {
	return s3err.APIError{Code: "AccessDenied", Description: d.Error(), HTTPStatusCode: 403}
}

// fill converts to the gateway's unexported element type.
func fill[D ~int](to *[][]D, from [][]int) {
	*to = make([][]D, len(from))
	for i, row := range from {
		for _, d := range row {
			(*to)[i] = append((*to)[i], D(d))
		}
	}
}
