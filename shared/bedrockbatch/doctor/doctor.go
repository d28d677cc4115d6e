// Package doctor looks whether everything that batch jobs need is there and
// allowed, and says the fix where it is not. It changes nothing and asks no
// model anything.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/bedrock"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/iam"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/quotas"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/s3"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
)

// The states of a Finding.
const (
	Fine    = "ok"
	Warning = "warning"
	Broken  = "broken"
	// Unknown: the look itself was not possible.
	Unknown = "unknown"
)

// Finding is what one check found.
type Finding struct {
	Check  string `json:"check"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	// Fix says what to do, where something is to be done.
	Fix string `json:"fix,omitempty"`
}

// Roles is what is asked about roles.
type Roles interface {
	// Trust is the trust policy of a role.
	Trust(ctx context.Context, arn string) ([]byte, error)
	// May tells whether a role's policies allow a call.
	May(ctx context.Context, arn string, call iam.Call) (bool, error)
}

// Catalogue is what is asked about base models.
type Catalogue interface {
	Name(ctx context.Context, model string) (string, error)
	Missing(ctx context.Context, model string) (string, error)
}

// Quotas is what is asked about quotas.
type Quotas interface {
	OfModel(ctx context.Context, name string, custom bool) (quotas.Batch, error)
}

// Jobs lists an account's jobs.
type Jobs interface {
	List(ctx context.Context, filter batch.JobFilter) iter.Seq2[batch.Job, error]
}

// Doctor looks.
type Doctor struct {
	Roles     Roles
	Catalogue Catalogue
	Quotas    Quotas
	Jobs      Jobs
	Models    batch.Models
	// Key is the KMS key of a bucket, empty if it has none of its own.
	Key func(ctx context.Context, bucket string) (string, error)
}

// New makes a Doctor from the SDK's configuration.
func New(cfg aws.Config) *Doctor {
	return &Doctor{
		Roles: iam.New(cfg), Catalogue: bedrock.NewCatalogue(cfg), Quotas: quotas.New(cfg), Jobs: bedrock.New(cfg), Models: bedrock.NewModels(cfg),
		Key: func(ctx context.Context, bucket string) (string, error) { return s3.Key(ctx, cfg, bucket) },
	}
}

// Check looks at role, key and models of a set-up.
func (d *Doctor) Check(ctx context.Context, s bedrockbatch.Setup) []Finding {
	found, s := d.Encryption(ctx, s)
	out := []Finding{found, d.Trust(ctx, s)}
	out = append(out, d.Rights(ctx, s)...)
	for _, model := range s.Models {
		out = append(out, d.Model(ctx, model)...)
	}
	return out
}

// Judged is a finding about a call: fine, or broken with a fix by class of
// error.
func Judged(check, detail string, err error, right string) Finding {
	f := Finding{Check: check, State: Fine, Detail: detail}
	if err == nil {
		return f
	}
	f.State, f.Detail = Broken, err.Error()
	switch {
	case errors.Is(err, batch.ErrAccess):
		f.Fix = "allow " + right + " to who you are, and the use of the key if the bucket is encrypted with one of yours"
	case errors.Is(err, batch.ErrNotFound):
		f.Fix = "it is not there: check region and stack, or deploy again"
	case batch.Passing(err):
		f.Fix = "try again in a while"
	}
	return f
}

// looked is a finding about a look that was not possible: that the doctor may
// not look does not mean that something is broken.
func looked(check string, err error, right string) Finding {
	f := Judged(check, "", err, right)
	if errors.Is(err, batch.ErrAccess) {
		f.State, f.Fix = Unknown, "to have it checked, allow "+right+" to who you are"
	}
	return f
}

// Encryption tells the key of the set-up's bucket, and gives the set-up with
// it.
func (d *Doctor) Encryption(ctx context.Context, s bedrockbatch.Setup) (Finding, bedrockbatch.Setup) {
	check := "encryption"
	key, err := d.Key(ctx, s.Bucket)
	var service *batch.ServiceError
	switch {
	case errors.As(err, &service) && service.Code == "NotImplemented":
		return Finding{Check: check, State: Unknown, Detail: "this S3 does not tell how bucket " + s.Bucket + " is encrypted"}, s
	case err != nil:
		return looked(check, err, "s3:GetEncryptionConfiguration on arn:aws:s3:::"+s.Bucket), s
	case key == "":
		return Finding{Check: check, State: Fine, Detail: "bucket " + s.Bucket + " uses a key of S3's own"}, s
	}
	s.Key = key
	return Finding{Check: check, State: Fine, Detail: "bucket " + s.Bucket + " uses the key " + key + "; whether the role may use it is below"}, s
}

// Rights asks for each statement that the job role needs whether its policies
// allow it, and names those that are missing.
func (d *Doctor) Rights(ctx context.Context, s bedrockbatch.Setup) []Finding {
	check := "rights of the job role"
	policies, err := s.Policies()
	if err != nil {
		return []Finding{Judged(check, "", err, "")}
	}
	var out []Finding
	all := 0
	for _, statement := range policies.Role.Statement {
		for _, call := range calls(statement, s) {
			may, err := d.Roles.May(ctx, s.Role, call)
			if err != nil {
				return append(out, looked(check, err, "iam:SimulatePrincipalPolicy on "+s.Role))
			}
			all++
			if !may {
				out = append(out, Finding{Check: check, State: Broken, Detail: fmt.Sprintf("%s may not do %s on %s", s.Role, call.Action, call.Resource),
					Fix: "add the statement " + statement.String() + " to a policy of the role"})
				break
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	return []Finding{{Check: check, State: Fine, Detail: fmt.Sprintf("%s may do all of %d calls that jobs make", s.Role, all)}}
}
