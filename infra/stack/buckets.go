package stack

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

// account is the stack's own account.
func account() *string { return awscdk.Aws_ACCOUNT_ID() }

func rate(minutes int) *string {
	unit := "minutes"
	if minutes == 1 {
		unit = "minute"
	}
	return jsii.String(fmt.Sprintf("rate(%d %s)", minutes, unit))
}

// bucketName is known before the bucket is made, so that the queue's policy
// can name the bucket and stand before it: S3 tries the queue when the
// notification is set up, and a reference would close a circle.
func (b *builder) bucketName(what string) string {
	return b.settings.Prefix() + "-" + what + "-${AWS::AccountId}-${AWS::Region}"
}

func (b *builder) addBuckets() {
	abort := &awss3.LifecycleRule{
		Id:                                  jsii.String("abort-unfinished-uploads"),
		AbortIncompleteMultipartUploadAfter: awscdk.Duration_Days(jsii.Number(7)),
	}
	// Uploads are read by version long after a newer one has come, so
	// versions that were replaced or deleted live on for a while.
	b.input = b.bucket("BucketInput", "in", true, abort, &awss3.LifecycleRule{
		Id:                          jsii.String("expire-replaced-uploads"),
		NoncurrentVersionExpiration: awscdk.Duration_Days(jsii.Number(b.settings.NoncurrentDays)),
		ExpiredObjectDeleteMarker:   jsii.Bool(true),
	})
	if name := b.settings.Output.Bucket; name != "" {
		// Of another account: its owner lets the roles in.
		b.output = awss3.Bucket_FromBucketName(b.stack, jsii.String("BucketOutput"), jsii.String(name))
	} else {
		// State is changed by conditional writes and never needs an old version.
		b.output = b.bucket("BucketOutput", "out", false, append([]*awss3.LifecycleRule{abort, {
			Id:         jsii.String("expire-staged-leftovers"),
			Prefix:     jsii.String(config.Staged),
			Expiration: awscdk.Duration_Days(jsii.Number(b.settings.StagedDays)),
		}, {
			Id:         jsii.String("forget-known-answers"),
			Prefix:     jsii.String(config.Known),
			Expiration: awscdk.Duration_Days(jsii.Number(b.settings.KnownDays)),
		}}, b.warehouseRules()...)...)
	}

	b.notifyUploads()
	b.letBedrockIn()
}

func (b *builder) bucket(id, what string, versioned bool, rules ...*awss3.LifecycleRule) awss3.Bucket {
	props := &awss3.BucketProps{
		BucketName:        awscdk.Fn_Sub(jsii.String(b.bucketName(what)), nil),
		Versioned:         jsii.Bool(versioned),
		Encryption:        awss3.BucketEncryption_S3_MANAGED,
		EnforceSSL:        jsii.Bool(true),
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		ObjectOwnership:   awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED,
		LifecycleRules:    &rules,
		// Kept with the stack's deletion, but not after a creation that was
		// rolled back: the empty bucket would block the next try.
		RemovalPolicy: awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE,
	}
	if b.key != nil {
		props.Encryption, props.EncryptionKey = awss3.BucketEncryption_KMS, b.key
		props.BucketKeyEnabled = jsii.Bool(true) // one call of the key for many objects
	}
	if b.settings.Removal == "destroy" {
		props.RemovalPolicy = awscdk.RemovalPolicy_DESTROY
	}
	if b.settings.AccessLogs != "" {
		props.ServerAccessLogsBucket = awss3.Bucket_FromBucketName(b.stack, jsii.String(id+"Logs"), jsii.String(b.settings.AccessLogs))
		props.ServerAccessLogsPrefix = jsii.String(b.settings.Prefix() + "-" + what + "/")
	}
	return awss3.NewBucket(b.stack, jsii.String(id), props)
}

// notifyUploads tells the uploads queue of every object that is created. It is
// the bucket's own property: the construct library's method would bring a
// helper function that may change the notifications of any bucket.
func (b *builder) notifyUploads() {
	b.uploads.AddToResourcePolicy(statement{
		sid:        "SendForUploads",
		actions:    []string{"sqs:SendMessage"},
		resources:  []*string{b.uploads.QueueArn()},
		principal:  service("s3.amazonaws.com"),
		conditions: from(arn("s3", ":", b.bucketName("in"))),
	}.build())
	cfn := b.input.Node().DefaultChild().(awss3.CfnBucket)
	cfn.SetNotificationConfiguration(&awss3.CfnBucket_NotificationConfigurationProperty{
		QueueConfigurations: []any{&awss3.CfnBucket_QueueConfigurationProperty{
			Event: jsii.String("s3:ObjectCreated:*"),
			Queue: b.uploads.QueueArn(),
		}},
	})
	policy := b.uploads.Node().FindChild(jsii.String("Policy")).Node().DefaultChild().(awssqs.CfnQueuePolicy)
	cfn.AddResourceDependency(policy, nil)
}

// letBedrockIn allows the service itself what the role of the jobs allows
// too: reading and writing below the pipeline's own folders, for jobs of this
// account alone.
func (b *builder) letBedrockIn() {
	bedrock := service(bedrockService)
	objects := func(pattern string) []*string { return []*string{b.output.ArnForObjects(jsii.String(pattern))} }
	list := from(jobARNs())
	list["StringLike"] = map[string]any{"s3:prefix": []string{config.Staged + "*"}}
	for _, s := range []statement{
		{sid: "BedrockReadsStagedParts", actions: []string{"s3:GetObject"}, resources: objects(config.JobInputs), principal: bedrock, conditions: from(jobARNs())},
		{sid: "BedrockWritesJobOutputs", actions: []string{"s3:PutObject"}, resources: objects(config.JobOutputs), principal: bedrock, conditions: from(jobARNs())},
		{sid: "BedrockListsStaged", actions: []string{"s3:ListBucket"}, resources: []*string{b.output.BucketArn()}, principal: bedrock, conditions: list},
	} {
		b.output.AddToResourcePolicy(s.build())
	}
}
