package main

import "github.com/bedrock-batch/bedrock-batch/local/template"

// contractStack is what --services-only declares: enough for tests of clients
// of the services.
func contractStack(endpoint string) *template.Stack {
	const name = "contract"
	url := endpoint + "/123456789012/" + name
	topic := "arn:aws:sns:us-east-1:123456789012:" + name
	role := "arn:aws:iam::123456789012:role/" + name + "-job"
	return &template.Stack{
		Buckets: []template.Bucket{{Name: name}, {Name: name + "-versioned", Versioned: true}},
		Queues:  []template.Queue{{Name: name, ARN: "arn:aws:sqs:us-east-1:123456789012:" + name, URL: url}},
		Topics:  []template.Topic{{Name: name, ARN: topic}},
		Roles: []template.Role{{
			Name: name + "-job", ARN: role,
			Trust: []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"bedrock.amazonaws.com"},
				"Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"},"ArnLike":{"aws:SourceArn":"arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/*"}}}]}`),
			Policies: map[string][]byte{"buckets": []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:ListBucket"],
				"Resource":["arn:aws:s3:::contract","arn:aws:s3:::contract/*","arn:aws:s3:::contract-versioned","arn:aws:s3:::contract-versioned/*"]}]}`)},
		}},
		Outputs: map[string]string{
			"InputBucket": name + "-versioned", "OutputBucket": name, "TopicArn": topic,
			"UploadsQueueUrl": url, "JobsQueueUrl": url, "JobRoleArn": role,
		},
	}
}
