package s3_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/s3"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

type encryption func() (*types.ServerSideEncryptionConfiguration, error)

func (e encryption) GetBucketEncryption(context.Context, *sdk.GetBucketEncryptionInput, ...func(*sdk.Options)) (*sdk.GetBucketEncryptionOutput, error) {
	c, err := e()
	return &sdk.GetBucketEncryptionOutput{ServerSideEncryptionConfiguration: c}, err
}

func TestTheKeyOfABucket(t *testing.T) {
	by := func(algorithm types.ServerSideEncryption, key *string) *types.ServerSideEncryptionConfiguration {
		return &types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{{ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: algorithm, KMSMasterKeyID: key}}}}
	}
	for _, c := range []struct {
		name  string
		rules *types.ServerSideEncryptionConfiguration
		code  string
		key   string
		class error
	}{
		{name: "S3's own key", rules: by(types.ServerSideEncryptionAes256, nil)},
		{name: "a key of one's own", rules: by(types.ServerSideEncryptionAwsKms, aws.String("arn:k")), key: "arn:k"},
		{name: "AWS's key for S3", rules: by(types.ServerSideEncryptionAwsKms, nil)},
		{name: "no rule", code: "ServerSideEncryptionConfigurationNotFoundError"},
		{name: "no right", code: "AccessDenied", class: batch.ErrAccess},
	} {
		key, err := s3.KeyOf(t.Context(), encryption(func() (*types.ServerSideEncryptionConfiguration, error) {
			if c.code != "" {
				return nil, &smithy.GenericAPIError{Code: c.code}
			}
			return c.rules, nil
		}), "b")
		if key != c.key || !errors.Is(err, c.class) {
			t.Errorf("%s: %q %v", c.name, key, err)
		}
	}
}
