// Package stack is the whole of what is deployed: two buckets, two queues with
// their dead letters, two functions with a role each, the role of the batch
// jobs, three rules, a topic for notices, and a topic, alarms and a dashboard for
// operators. There is no helper function and no custom resource; every permission is written out as a statement.
//
// The stack follows nothing but its Props: it reads no environment and looks
// nothing up, so that the same settings give the same template anywhere.
package stack

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/bedrock-batch/bedrock-batch/infra/stage"
)

// Props is what a stack is made from.
type Props struct {
	// Settings must have passed Validate.
	Settings stage.Settings
	// Dist holds <function>/bootstrap for each of Functions.
	Dist string
}

// Functions are the folders of Dist that a stack takes.
func Functions() []string { return []string{submitName, collectName} }

const (
	submitName  = "submit"
	collectName = "collect"
)

// builder carries what the parts of the stack refer to.
type builder struct {
	stack    awscdk.Stack
	settings stage.Settings
	dist     string
	pipeline string // the settings as the functions read them

	key                              awskms.IKey // nil: each service's own
	input                            awss3.Bucket
	output                           awss3.IBucket // another account's where the stage names one
	uploads, jobs                    queue
	undelivered                      awssqs.Queue
	topic, operations                awssns.Topic
	submitLogs, collectLogs          awslogs.LogGroup
	jobRole, submitRole, collectRole awsiam.Role
	submit, collect                  awslambda.Function
}

// New adds the stack of one stage to an app.
func New(app constructs.Construct, props Props) (awscdk.Stack, error) {
	s := props.Settings
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("stage %s: %w", s.Stage, err)
	}
	dist, err := filepath.Abs(props.Dist)
	if err != nil {
		return nil, fmt.Errorf("function binaries in %s: %w", props.Dist, err)
	}
	st := awscdk.NewStack(app, jsii.String(s.Prefix()), &awscdk.StackProps{
		StackName:   jsii.String(s.Prefix()),
		Description: jsii.String("Amazon Bedrock batch inference for files dropped into a bucket: results beside the upload, one notice each."),
		// The CDK command line checks the bootstrap version itself.
		Synthesizer: awscdk.NewDefaultStackSynthesizer(&awscdk.DefaultStackSynthesizerProps{
			GenerateBootstrapVersionRule: jsii.Bool(false),
		}),
		AnalyticsReporting: jsii.Bool(false),
	})
	b := &builder{stack: st, settings: s, dist: dist}
	b.addKey()
	if b.key != nil {
		s.Pipeline.KMSKey = *b.key.KeyArn() // jobs write with it too
	}
	s.Pipeline.JobTags = s.JobTags()
	s.Pipeline.OutputOwner = s.Output.Account
	if s.VPC.Jobs {
		s.Pipeline.JobSubnets, s.Pipeline.JobSecurityGroups = s.VPC.Subnets, s.VPC.SecurityGroups
	}
	s.Pipeline.Warehouse = s.Warehouse.Enabled
	if b.pipeline, err = s.Pipeline.Encode(); err != nil {
		return nil, fmt.Errorf("stage %s: %w", s.Stage, err)
	}
	b.addQueues()
	b.addRules()
	b.addBuckets()
	b.addTopic()
	b.addRoles()
	b.addFunctions()
	b.addWatch()
	if err := b.addWarehouse(); err != nil {
		return nil, fmt.Errorf("stage %s: %w", s.Stage, err)
	}
	b.addOutputs()
	b.finish()
	return st, nil
}

// finish applies what concerns everything in the stack.
func (b *builder) finish() {
	for _, k := range sortedKeys(b.settings.Tags) {
		awscdk.Tags_Of(b.stack).Add(jsii.String(k), jsii.String(b.settings.Tags[k]), nil)
	}
	if arn := b.settings.PermissionsBoundary; arn != "" {
		awsiam.PermissionsBoundary_Of(b.stack).Apply(
			awsiam.ManagedPolicy_FromManagedPolicyArn(b.stack, jsii.String("Boundary"), jsii.String(arn)))
	}
	b.nameElements()
}

// nameElements gives every element the plain join of its path as logical id.
// The hashes that CDK adds guard against joins that collide, as A/BC and AB/C;
// there are none here (CDK would report the duplicate), and people read these
// ids in the CloudFormation console, in the golden template and in denials.
func (b *builder) nameElements() {
	for _, c := range *b.stack.Node().FindAll(constructs.ConstructOrder_PREORDER) {
		if !*awscdk.CfnElement_IsCfnElement(c) {
			continue
		}
		element, ok := c.(awscdk.CfnElement)
		if !ok {
			continue
		}
		id := ""
		for _, scope := range (*c.Node().Scopes())[2:] { // below app and stack
			if part := *scope.Node().Id(); part != "Resource" {
				id += part
			}
		}
		element.OverrideLogicalId(jsii.String(id))
	}
}

// name begins with the deployment's prefix, so that copies never collide.
func (b *builder) name(what string) *string {
	return jsii.String(b.settings.Prefix() + "-" + what)
}

// arn writes an ARN of this partition; resource may hold pseudo parameters.
func arn(service, regionAndAccount, resource string) *string {
	return awscdk.Fn_Sub(jsii.String("arn:${AWS::Partition}:"+service+":"+regionAndAccount+":"+resource), nil)
}

// here is an ARN's region and account: the stack's own.
const here = "${AWS::Region}:${AWS::AccountId}"

// jobARNs are all batch jobs of this account in this region.
func jobARNs() *string { return arn("bedrock", here, "model-invocation-job/*") }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
