package bedrockbatch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/model"
)

// Setup is what runs need in an account that has no deployed pipeline: a
// bucket and a role for the jobs. It writes the policies that belong to them,
// and a CloudFormation template that makes both. It calls no service.
type Setup struct {
	// Bucket is the name of the bucket of runs, Prefix their folder in it.
	// Default of Prefix: DefaultPrefix.
	Bucket, Prefix string
	// Role is the ARN of the role that Bedrock runs the jobs as. Its account
	// is that of the bucket and the jobs.
	Role string
	// Region is where the jobs run.
	Region string
	// Models are the ids or ARNs of the models that may be asked. Without,
	// the caller may ask any, and the role none that is an inference profile.
	Models []string
	// Key is the ARN of the KMS key that encrypts the bucket, if it is one of
	// your own.
	Key string
}

// Setup is that of the client's own bucket and role. Region is that of the
// jobs.
func (c *Client) Setup(region string, models ...string) Setup {
	return Setup{Bucket: c.opt.Bucket, Prefix: c.opt.Prefix, Role: c.opt.Role, Region: region, Models: models}
}

// Policies are the documents of a Setup.
type Policies struct {
	// Trust is the role's trust policy, Role what it may do.
	Trust, Role Policy
	// Bucket is the policy of the bucket. It opens it to Bedrock alone, for
	// jobs of this account, and closes it to calls without TLS.
	Bucket Policy
	// Caller is for whoever starts runs.
	Caller Policy
}

// Policy is a policy document.
type Policy struct {
	Version   string
	Statement []Statement
}

// Statement is one statement of a policy. Conditions are operator, key, values.
type Statement struct {
	Sid       string
	Effect    string
	Principal any                            `json:",omitempty"`
	Action    []string                       `json:",omitempty"`
	Resource  []string                       `json:",omitempty"`
	Condition map[string]map[string][]string `json:",omitempty"`
}

// String is the statement as JSON in one line.
func (s Statement) String() string {
	text, err := plainJSON(s)
	if err != nil {
		return err.Error() // texts alone: does not happen
	}
	return strings.TrimSpace(string(text))
}

// String is the document as JSON, indented.
func (p Policy) String() string {
	text, err := plainJSON(p)
	if err != nil {
		return err.Error()
	}
	var b bytes.Buffer
	_ = json.Indent(&b, bytes.TrimSpace(text), "", "  ")
	return b.String()
}

// plainJSON leaves < and > as they are.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

var (
	roleARN    = regexp.MustCompile(`^arn:(aws[a-z-]*):iam::([0-9]{12}):role/(.+)$`)
	regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
)

const bedrockPrincipal = "bedrock.amazonaws.com"

// setupParts are what the statements are made of.
type setupParts struct {
	Setup
	partition, account, role string
	bucketARN, jobs          string
	models                   []string // ARNs, all
	profiles                 []string // and those of inference profiles with what is behind
}

func (s Setup) parts() (setupParts, error) {
	p := setupParts{Setup: s}
	var problems []string
	if p.Prefix == "" {
		p.Prefix = DefaultPrefix
	}
	if s.Bucket == "" {
		problems = append(problems, "no bucket is named")
	}
	m := roleARN.FindStringSubmatch(s.Role)
	if m == nil {
		problems = append(problems, fmt.Sprintf("role %q: give its ARN, as arn:aws:iam::123456789012:role/batch; it need not exist yet", s.Role))
	} else {
		p.partition, p.account, p.role = m[1], m[2], m[3]
	}
	if !regionName.MatchString(s.Region) {
		problems = append(problems, fmt.Sprintf("region %q: give the Region that the jobs run in, as us-east-1", s.Region))
	}
	for _, name := range s.Models {
		id, err := model.Parse(name)
		if err != nil {
			problems = append(problems, err.Error())
			continue
		}
		p.add(id)
	}
	if len(problems) > 0 {
		return p, invalid("make the set-up", "%s", strings.Join(problems, "; "))
	}
	p.bucketARN = fmt.Sprintf("arn:%s:s3:::%s", p.partition, s.Bucket)
	p.jobs = fmt.Sprintf("arn:%s:bedrock:%s:%s:model-invocation-job/*", p.partition, s.Region, p.account)
	return p, nil
}

// add says which ARNs a model is used by. A profile leads into several
// Regions, and whoever asks it needs the model in each of them.
func (p *setupParts) add(id model.ID) {
	own := id.Raw
	if !strings.HasPrefix(own, "arn:") {
		account := ""
		if id.Resource != model.FoundationModel {
			account = p.account
		}
		own = fmt.Sprintf("arn:%s:bedrock:%s:%s:%s/%s", p.partition, p.Region, account, id.Resource, id.Raw)
	}
	p.models = append(p.models, own)
	if id.Resource == model.FoundationModel {
		return
	}
	p.profiles = append(p.profiles, own)
	if id.Resource == model.CustomModel {
		return
	}
	behind := id.Base
	if behind == "" {
		behind = "*" // an application profile does not tell its model
	}
	all := fmt.Sprintf("arn:%s:bedrock:*::foundation-model/%s", p.partition, behind)
	p.models, p.profiles = append(p.models, all), append(p.profiles, all)
}

func policyOf(statements ...Statement) Policy { return Policy{"2012-10-17", statements} }

func allow(sid string, resources []string, actions ...string) Statement {
	return Statement{Sid: sid, Effect: "Allow", Action: actions, Resource: resources}
}

func (s Statement) when(operator, key string, values ...string) Statement {
	all := map[string]map[string][]string{}
	for o, keys := range s.Condition {
		all[o] = keys
	}
	all[operator] = map[string][]string{key: values}
	s.Condition = all
	return s
}

// to makes a resource's statement of one about a service.
func (s Statement) to(service string) Statement {
	s.Principal = map[string]string{"Service": service}
	return s
}

// Policies writes the documents. batch.ErrInvalid if something is missing.
func (s Setup) Policies() (Policies, error) {
	p, err := s.parts()
	if err != nil {
		return Policies{}, err
	}
	var (
		objects = p.bucketARN + "/" + p.Prefix + "*"
		inputs  = []string{objects + "/in/*"}
		outputs = []string{objects + "/out/*"}
		bucket  = []string{p.bucketARN}
	)
	fromJobs := func(st Statement) Statement {
		return st.when("StringEquals", "aws:SourceAccount", p.account).when("ArnLike", "aws:SourceArn", p.jobs)
	}
	out := Policies{
		Trust: policyOf(fromJobs(Statement{Sid: "BedrockRunsJobs", Effect: "Allow", Action: []string{"sts:AssumeRole"}}.to(bedrockPrincipal))),
		Role: policyOf(
			allow("ReadParts", inputs, "s3:GetObject"),
			allow("WriteOutputs", outputs, "s3:PutObject"),
			allow("ListRuns", bucket, "s3:ListBucket").when("StringLike", "s3:prefix", p.Prefix+"*"),
		),
		Bucket: policyOf(
			fromJobs(allow("BedrockReadsParts", inputs, "s3:GetObject").to(bedrockPrincipal)),
			fromJobs(allow("BedrockWritesOutputs", outputs, "s3:PutObject").to(bedrockPrincipal)),
			fromJobs(allow("BedrockListsRuns", bucket, "s3:ListBucket").to(bedrockPrincipal)).when("StringLike", "s3:prefix", p.Prefix+"*"),
			Statement{Sid: "OnlyEncrypted", Effect: "Deny", Principal: "*", Action: []string{"s3:*"}, Resource: []string{p.bucketARN, p.bucketARN + "/*"}}.
				when("Bool", "aws:SecureTransport", "false"),
		),
	}
	asked := p.models
	if len(asked) == 0 {
		asked = []string{"*"}
	}
	created := append([]string{p.jobs}, p.models...)
	if len(p.models) == 0 {
		created = []string{"*"}
	}
	out.Caller = policyOf(
		allow("KeepRuns", []string{objects}, "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"),
		allow("ListRuns", bucket, "s3:ListBucket"),
		allow("CreateJobs", created, "bedrock:CreateModelInvocationJob"),
		allow("ManageJobs", []string{p.jobs}, "bedrock:GetModelInvocationJob", "bedrock:StopModelInvocationJob"),
		allow("ListJobs", []string{"*"}, "bedrock:ListModelInvocationJobs"),
		allow("AskOnDemand", asked, "bedrock:InvokeModel"),
		allow("PassRole", []string{s.Role}, "iam:PassRole").when("StringEquals", "iam:PassedToService", bedrockPrincipal),
	)
	if len(p.profiles) > 0 {
		out.Role.Statement = append(out.Role.Statement, allow("CallProfiles", p.profiles, "bedrock:InvokeModel"))
	}
	if p.Key != "" {
		use := allow("UseKey", []string{p.Key}, "kms:Decrypt", "kms:GenerateDataKey")
		out.Role.Statement = append(out.Role.Statement, use)
		out.Caller.Statement = append(out.Caller.Statement, use)
	}
	return out, nil
}

// Template is a CloudFormation template that makes the bucket and the role,
// with their policies. The bucket outlives its stack.
func (s Setup) Template() ([]byte, error) {
	p, err := s.parts()
	if err != nil {
		return nil, err
	}
	policies, err := s.Policies()
	if err != nil {
		return nil, err
	}
	if strings.Contains(p.role, "/") {
		return nil, invalid("make the set-up", "role %q has a path: a template makes roles without", s.Role)
	}
	encryption := map[string]any{"SSEAlgorithm": "AES256"}
	if p.Key != "" {
		encryption = map[string]any{"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": p.Key}
	}
	resources := map[string]any{
		"Bucket": map[string]any{
			"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain",
			"Properties": map[string]any{
				"BucketName":        s.Bucket,
				"BucketEncryption":  map[string]any{"ServerSideEncryptionConfiguration": []any{map[string]any{"ServerSideEncryptionByDefault": encryption}}},
				"OwnershipControls": map[string]any{"Rules": []any{map[string]any{"ObjectOwnership": "BucketOwnerEnforced"}}},
				"PublicAccessBlockConfiguration": map[string]any{
					"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true,
				},
				"LifecycleConfiguration": map[string]any{"Rules": []any{map[string]any{
					"Id": "abort-unfinished-uploads", "Status": "Enabled",
					"AbortIncompleteMultipartUpload": map[string]any{"DaysAfterInitiation": 7},
				}}},
			},
		},
		"BucketPolicy": map[string]any{
			"Type":       "AWS::S3::BucketPolicy",
			"Properties": map[string]any{"Bucket": map[string]any{"Ref": "Bucket"}, "PolicyDocument": policies.Bucket},
		},
		"Role": map[string]any{
			"Type": "AWS::IAM::Role",
			"Properties": map[string]any{
				"RoleName": p.role, "Description": "Bedrock runs the batch jobs of runs as this role.",
				"AssumeRolePolicyDocument": policies.Trust,
				"Policies":                 []any{map[string]any{"PolicyName": "job", "PolicyDocument": policies.Role}},
			},
		},
	}
	text, err := plainJSON(map[string]any{
		"AWSTemplateFormatVersion": "2010-09-09",
		"Description":              "A bucket and a role for runs of bedrock-batch without a deployed pipeline.",
		"Resources":                resources,
		"Outputs": map[string]any{
			"OutputBucket": map[string]any{"Value": map[string]any{"Ref": "Bucket"}},
			"JobRoleArn":   map[string]any{"Value": map[string]any{"Fn::GetAtt": []string{"Role", "Arn"}}},
		},
	})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(text), "", "  "); err != nil {
		return nil, err
	}
	return append(b.Bytes(), '\n'), nil
}
