package bedrock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/bedrock/model"
)

// Limits of a job's input, from the quota table.
const (
	fileLimit = 1 << 30
	jobLimit  = 5 << 30
)

// fault is a reason that fails a job, as Get shows it.
type fault struct{ message string }

func (f *fault) Error() string { return f.message }

func faultf(format string, args ...any) error { return &fault{fmt.Sprintf(format, args...)} }

// ErrDenied is the cause of an ObjectStore's refusal for lack of rights,
// ErrAbsent of one for lack of the bucket or object.
var (
	ErrDenied = errors.New("access denied")
	ErrAbsent = errors.New("no such bucket or object")
)

// place splits an s3:// URI into bucket and key.
func place(uri string) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(uri, "s3://"), "/")
	return bucket, key
}

// store assumes the job's role and is S3 as that role.
func (s *Service) store(ctx context.Context, j *job) (*access.Principal, ObjectStore, error) {
	role, err := s.cfg.Authority.Assume(ctx, "bedrock.amazonaws.com", j.Detail.ARN, j.Detail.RoleARN)
	if err != nil {
		return nil, nil, faultf("Amazon Bedrock could not assume the role %s for the job %s. Check that the role exists and that its trust policy allows bedrock.amazonaws.com. (%v)", j.Detail.RoleARN, j.Detail.ARN, err)
	}
	return role, s.cfg.Objects(role), nil
}

// inputs lists the files of a job.
func inputs(ctx context.Context, store ObjectStore, d detail) ([]Object, error) {
	bucket, key := place(d.Input.S3.URI)
	single := strings.HasSuffix(key, ".jsonl")
	prefix := key
	if !single && prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	var files []Object
	for o, err := range store.List(ctx, bucket, prefix) {
		if err != nil {
			return nil, readFault(err, d)
		}
		if single && o.Key == key || !single && strings.HasSuffix(o.Key, ".jsonl") {
			files = append(files, o)
		}
	}
	if len(files) == 0 {
		return nil, faultf("The input data at %s does not exist or holds no .jsonl file.", d.Input.S3.URI)
	}
	return files, nil
}

// readFault words a failed read of the input.
func readFault(err error, d detail) error {
	bucket, key := place(d.Input.S3.URI)
	switch {
	case errors.Is(err, ErrDenied):
		return faultf("Could not validate GetObject permissions to access Amazon S3 bucket: %s at key prefix: %s with role arn: %s", bucket, key, d.RoleARN)
	case errors.Is(err, ErrAbsent):
		return faultf("The input data at %s does not exist.", d.Input.S3.URI)
	}
	return err
}

// writeFault words a failed write of the output.
func writeFault(err error, d detail) error {
	bucket, key := place(d.Output.S3.URI)
	switch {
	case errors.Is(err, ErrDenied):
		return faultf("Could not validate PutObject permissions to access Amazon S3 bucket: %s at key prefix: %s with role arn: %s", bucket, key, d.RoleARN)
	case errors.Is(err, ErrAbsent):
		return faultf("The output bucket %s does not exist.", bucket)
	}
	return err
}

// inspect is what Validating does; it returns the number of records.
func (s *Service) inspect(ctx context.Context, j *job) (int64, error) {
	d := j.Detail
	role, store, err := s.store(ctx, j)
	if err != nil {
		return 0, err
	}
	for _, resource := range j.Resources {
		if err := s.cfg.Authority.Check(ctx, access.Call{Principal: role, Action: "bedrock:InvokeModel", Resource: resource}); err != nil {
			return 0, faultf("Customer doesn't have permissions to invokeModel on %s with role arn: %s", resource, d.RoleARN)
		}
	}
	if err := s.interfaces(ctx, j, role); err != nil {
		return 0, err
	}
	// Who says whose a bucket is and errs is denied, as S3 does with
	// x-amz-expected-bucket-owner; all buckets here are of one account.
	if owner := d.Input.S3.Owner; owner != "" && owner != access.Account {
		return 0, readFault(fmt.Errorf("the bucket's owner is not %s: %w", owner, ErrDenied), d)
	}
	files, err := inputs(ctx, store, d)
	if err != nil {
		return 0, err
	}
	if owner := d.Output.S3.Owner; owner != "" && owner != access.Account {
		return 0, writeFault(fmt.Errorf("the bucket's owner is not %s: %w", owner, ErrDenied), d)
	}
	if bucket, _ := place(d.Output.S3.URI); bucket != "" {
		if err := store.MayPut(ctx, bucket, outputKey(j, "manifest.json.out")); err != nil {
			return 0, writeFault(err, d)
		}
	}
	base, ok := model.Lookup(j.BaseModel)
	if !ok {
		return 0, faultf("The model %s is not available any more.", j.BaseModel)
	}
	var bytes, total int64
	for _, file := range files {
		if bytes += file.Size; file.Size > fileLimit || bytes > jobLimit {
			return 0, faultf("The input file %s of %d bytes is larger than allowed: at most %d bytes a file and %d bytes a job", file.Key, file.Size, int64(fileLimit), int64(jobLimit))
		}
	}
	for _, file := range files {
		n, err := s.inspectFile(ctx, store, d, file, base.MaxRecords-total)
		if total += n; err != nil {
			return 0, err
		}
		if total > base.MaxRecords {
			return 0, faultf("Batch job contains more records than the allowed maximum of: %d", base.MaxRecords)
		}
	}
	if total < base.MinRecords {
		return 0, faultf("Batch job contains less records (%d) than the required minimum of: %d", total, base.MinRecords)
	}
	return total, nil
}

// interfaces is what Bedrock does with a job's network: it makes interfaces in
// the subnets with the groups, as the job's role, and tags them as the job's.
// AWS does not say in which words it fails.
func (s *Service) interfaces(ctx context.Context, j *job, role *access.Principal) error {
	if j.Detail.VPC == nil {
		return nil
	}
	const made, job = "network-interface/eni-0123456789abcdef0", "/BedrockModelInvocationJobArn"
	arn := func(what string) string { return "arn:aws:ec2:" + access.Region + ":" + access.Account + ":" + what }
	asked := map[string][]string{"aws:RequestTag/BedrockManaged": {"true"}, "aws:RequestTag" + job: {j.Detail.ARN},
		"aws:TagKeys": {"BedrockManaged", "BedrockModelInvocationJobArn"}}
	type call struct {
		action, resource string
		context          map[string][]string
	}
	calls := []call{{"ec2:CreateNetworkInterface", made, asked}}
	for _, id := range j.Detail.VPC.SecurityGroupIDs {
		calls = append(calls, call{"ec2:CreateNetworkInterface", "security-group/" + id, asked})
	}
	for _, id := range j.Detail.VPC.SubnetIDs {
		tagged := map[string][]string{"ec2:Subnet": {arn("subnet/" + id)}, "ec2:ResourceTag" + job: {j.Detail.ARN}}
		calls = append(calls, call{"ec2:CreateNetworkInterface", "subnet/" + id, asked},
			call{"ec2:CreateNetworkInterfacePermission", made, tagged}, call{"ec2:DeleteNetworkInterface", made, tagged})
	}
	calls = append(calls, call{"ec2:CreateTags", made, map[string][]string{
		"ec2:CreateAction": {"CreateNetworkInterface"}, "aws:TagKeys": asked["aws:TagKeys"]}})
	for _, c := range calls {
		err := s.cfg.Authority.Check(ctx, access.Call{Principal: role, Action: c.action, Resource: arn(c.resource), Context: c.context})
		if err != nil {
			return faultf("Could not make a network interface for the job: %v", err)
		}
	}
	return nil
}

// inspectFile checks the outer shape of each line and counts, up to one more
// than room.
func (s *Service) inspectFile(ctx context.Context, store ObjectStore, d detail, file Object, room int64) (int64, error) {
	bucket, _ := place(d.Input.S3.URI)
	body, err := store.Open(ctx, bucket, file.Key)
	if err != nil {
		return 0, readFault(err, d)
	}
	defer body.Close()
	in := newLines(body)
	var n int64
	for n <= room {
		line, err := in.next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("read %s: %w", file.Key, err)
		}
		if _, err := in.read(line); err != nil {
			return n, faultf("The input file %s is not valid: line %d %v", file.Key, in.no, err)
		}
		n++
	}
	return n, nil
}

// outputKey is the key of an output file of a job.
func outputKey(j *job, name string) string {
	_, prefix := place(j.Detail.Output.S3.URI)
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return prefix + j.ID + "/" + name
}
