package s3

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
)

// EncryptionAPI is the part of the SDK's client that KeyOf uses.
type EncryptionAPI interface {
	GetBucketEncryption(context.Context, *s3.GetBucketEncryptionInput, ...func(*s3.Options)) (*s3.GetBucketEncryptionOutput, error)
}

// Key is the KMS key that new objects of a bucket are encrypted with: its ARN
// or id, empty if it is none of the account's own.
func Key(ctx context.Context, cfg aws.Config, bucket string) (string, error) {
	return KeyOf(ctx, NewClient(cfg), bucket)
}

// KeyOf is Key over a client.
func KeyOf(ctx context.Context, api EncryptionAPI, bucket string) (string, error) {
	out, err := api.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: &bucket})
	if fault.Code(err) == "ServerSideEncryptionConfigurationNotFoundError" {
		return "", nil
	}
	if err != nil {
		return "", fault.Of(ctx, err, "get encryption of bucket %s", bucket)
	}
	if out.ServerSideEncryptionConfiguration == nil {
		return "", nil
	}
	for _, rule := range out.ServerSideEncryptionConfiguration.Rules {
		by := rule.ApplyServerSideEncryptionByDefault
		if by != nil && by.SSEAlgorithm != types.ServerSideEncryptionAes256 {
			return aws.ToString(by.KMSMasterKeyID), nil
		}
	}
	return "", nil
}
