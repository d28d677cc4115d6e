// Package sts tells who is calling.
package sts

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
)

// Identity is the account and the ARN that the configuration's credentials
// belong to.
func Identity(ctx context.Context, cfg aws.Config) (account, arn string, err error) {
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", "", fault.Of(ctx, err, "get caller identity")
	}
	return aws.ToString(out.Account), aws.ToString(out.Arn), nil
}
