package stack

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/jsii-runtime-go"
)

// useKey are the two actions that whoever writes and reads encrypted data
// needs; every service below asks for them and for nothing else.
var useKey = []string{"kms:Decrypt", "kms:GenerateDataKey"}

// addKey makes or takes the key that encrypts buckets, queues, topic and logs,
// where the stage asks for one. Without, each service uses its own key.
func (b *builder) addKey() {
	switch choice := b.settings.Encryption; {
	case choice == "":
		return
	case strings.HasPrefix(choice, "arn:"):
		// Its policy is its owner's: docs/settings.md says what it must allow.
		b.key = awskms.Key_FromKeyArn(b.stack, jsii.String("Key"), jsii.String(choice))
		return
	}
	key := awskms.NewKey(b.stack, jsii.String("Key"), &awskms.KeyProps{
		Description:       jsii.String("Everything that " + b.settings.Prefix() + " stores."),
		EnableKeyRotation: jsii.Bool(true),
		// Kept with the buckets: without it nothing in them can be read.
		RemovalPolicy: awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE,
	})
	all := []*string{jsii.String("*")} // in a key's policy this is the key
	byAccount := map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": account()}}
	for _, s := range []statement{
		{sid: "S3SendsToEncryptedQueues", actions: useKey, resources: all, principal: service("s3.amazonaws.com"), conditions: byAccount},
		{sid: "EventBridgeSendsToEncryptedQueues", actions: useKey, resources: all, principal: service("events.amazonaws.com"), conditions: byAccount},
		{sid: "AlarmsSpeakToEncryptedTopic", actions: useKey, resources: all, principal: service("cloudwatch.amazonaws.com"), conditions: byAccount},
		{sid: "LogsAreEncrypted", resources: all,
			actions: []string{"kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:DescribeKey"},
			principal: awsiam.NewServicePrincipal(
				awscdk.Fn_Sub(jsii.String("logs.${AWS::Region}.amazonaws.com"), nil), nil),
			conditions: map[string]any{"ArnLike": map[string]any{
				"kms:EncryptionContext:aws:logs:arn": arn("logs", here, "log-group:/aws/lambda/"+b.settings.Prefix()+"-*"),
			}}},
	} {
		key.AddToResourcePolicy(s.build(), nil)
	}
	b.key = key
}

// keyStatements let a role use the key, if there is one.
func (b *builder) keyStatements() []statement {
	if b.key == nil {
		return nil
	}
	return []statement{{sid: "UseKey", actions: useKey, resources: []*string{b.key.KeyArn()}}}
}
