package stack

import (
	"slices"

	"github.com/aws/jsii-runtime-go"

	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

// jobNetwork is what Bedrock needs as the jobs' role to reach buckets from a
// network of the account: interfaces that it tags as a job's, in these subnets
// with these groups alone. Describing knows no resources.
func (b *builder) jobNetwork() []statement {
	ec2 := func(resource string) *string { return arn("ec2", here, resource) }
	interfaces := []*string{ec2("network-interface/*")}
	made := slices.Clone(interfaces)
	var subnets []*string
	for _, id := range b.settings.VPC.Subnets {
		subnets = append(subnets, ec2("subnet/"+id))
	}
	made = append(made, subnets...)
	for _, id := range b.settings.VPC.SecurityGroups {
		made = append(made, ec2("security-group/"+id))
	}
	ofJob := func(key string) map[string]any {
		return map[string]any{key + "/BedrockModelInvocationJobArn": jobARNs()}
	}
	return []statement{
		{sid: "SeeNetwork", resources: []*string{jsii.String("*")}, actions: []string{
			"ec2:DescribeNetworkInterfaces", "ec2:DescribeVpcs", "ec2:DescribeDhcpOptions", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups"}},
		{sid: "MakeInterfaces", actions: []string{"ec2:CreateNetworkInterface"}, resources: made, conditions: map[string]any{
			"StringEquals": map[string]any{"aws:RequestTag/BedrockManaged": "true"},
			"ArnLike":      ofJob("aws:RequestTag"),
		}},
		// AWS documents these on everything, narrowed by their conditions.
		{sid: "UseInterfaces", resources: []*string{jsii.String("*")}, actions: []string{
			"ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterface", "ec2:DeleteNetworkInterfacePermission"},
			conditions: map[string]any{"StringEquals": map[string]any{"ec2:Subnet": subnets}, "ArnLike": ofJob("ec2:ResourceTag")}},
		{sid: "TagInterfaces", actions: []string{"ec2:CreateTags"}, resources: interfaces, conditions: map[string]any{
			"StringEquals":              map[string]any{"ec2:CreateAction": "CreateNetworkInterface"},
			"ForAllValues:StringEquals": map[string]any{"aws:TagKeys": []string{"BedrockManaged", "BedrockModelInvocationJobArn"}},
		}},
	}
}

// outputBucketPolicy is what the owner of an output bucket of another account
// puts on it. It lets the three roles in, each with what the role itself may
// do at most: across accounts a call needs both, and what a role may do where
// is narrowed by the role's own policy.
func (b *builder) outputBucketPolicy() any {
	bucket := "arn:aws:s3:::" + b.settings.Output.Bucket
	allow := func(sid string, roles []*string, resource string, actions ...string) map[string]any {
		return map[string]any{"Sid": sid, "Effect": "Allow", "Principal": map[string]any{"AWS": roles}, "Action": actions, "Resource": resource}
	}
	functions, job := []*string{b.submitRole.RoleArn(), b.collectRole.RoleArn()}, []*string{b.jobRole.RoleArn()}
	return map[string]any{"Version": "2012-10-17", "Statement": []any{
		allow("FunctionsKeepStateAndResults", functions, bucket+"/*", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"),
		allow("JobsReadParts", job, bucket+"/"+config.JobInputs, "s3:GetObject"),
		allow("JobsWriteOutputs", job, bucket+"/"+config.JobOutputs, "s3:PutObject"),
		allow("FunctionsAndJobsList", append(functions, job...), bucket, "s3:ListBucket"),
	}}
}
