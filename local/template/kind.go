package template

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// kind says how a resource type is read.
type kind struct {
	// nameProperty holds the resource's name.
	nameProperty string
	// ref is what Ref gives: name, arn, url, or nothing.
	ref string
	// attributes are those of Fn::GetAtt: name, arn or url.
	attributes map[string]string
	// arn makes the ARN out of the name.
	arn func(name string) string
	// read decodes the resolved properties into the stack.
	read func(s *Stack, r *resolver, id string, properties map[string]any) error
	// properties is an empty value of the type that read decodes, for the
	// table of what is supported.
	properties any
}

func arn(service, before string) func(string) string {
	return func(name string) string {
		return "arn:aws:" + service + ":" + access.Region + ":" + access.Account + ":" + before + name
	}
}

var kinds map[string]kind

func init() { // not a literal: the readers look into it
	kinds = map[string]kind{
		"AWS::S3::Bucket": {
			nameProperty: "BucketName", ref: "name", attributes: map[string]string{"Arn": "arn"},
			arn:  func(name string) string { return "arn:aws:s3:::" + name },
			read: readBucket, properties: bucketProperties{},
		},
		"AWS::S3::BucketPolicy": {read: readBucketPolicy, properties: bucketPolicyProperties{}},
		"AWS::SQS::Queue": {
			nameProperty: "QueueName", ref: "url",
			attributes: map[string]string{"Arn": "arn", "QueueName": "name", "QueueUrl": "url"},
			arn:        arn("sqs", ""), read: readQueue, properties: queueProperties{},
		},
		"AWS::SQS::QueuePolicy": {read: readQueuePolicy, properties: queuePolicyProperties{}},
		"AWS::SNS::Topic": {
			nameProperty: "TopicName", ref: "arn", attributes: map[string]string{"TopicArn": "arn", "TopicName": "name"},
			arn: arn("sns", ""), read: readTopic, properties: topicProperties{},
		},
		"AWS::SNS::TopicPolicy":  {read: readTopicPolicy, properties: topicPolicyProperties{}},
		"AWS::SNS::Subscription": {read: readSubscription, properties: subscriptionProperties{}},
		"AWS::Lambda::Function": {
			nameProperty: "FunctionName", ref: "name", attributes: map[string]string{"Arn": "arn"},
			arn: arn("lambda", "function:"), read: readFunction, properties: functionProperties{},
		},
		"AWS::Lambda::EventSourceMapping": {read: readMapping, properties: mappingProperties{}},
		"AWS::Lambda::EventInvokeConfig":  {read: readInvokeConfig, properties: invokeConfigProperties{}},
		"AWS::Lambda::Permission":         {read: readPermission, properties: permissionProperties{}},
		"AWS::IAM::Role": {
			nameProperty: "RoleName", ref: "name", attributes: map[string]string{"Arn": "arn"},
			arn:  func(name string) string { return "arn:aws:iam::" + access.Account + ":role/" + name },
			read: readRole, properties: roleProperties{},
		},
		"AWS::IAM::Policy": {read: readPolicy, properties: policyProperties{}},
		"AWS::Events::Rule": {
			nameProperty: "Name", ref: "name", attributes: map[string]string{"Arn": "arn"},
			arn: arn("events", "rule/"), read: readRule, properties: ruleProperties{},
		},
		"AWS::CloudWatch::Alarm": {
			nameProperty: "AlarmName", ref: "name", attributes: map[string]string{"Arn": "arn"},
			arn: arn("cloudwatch", "alarm:"), read: readAlarm, properties: alarmProperties{},
		},
		"AWS::CloudWatch::Dashboard": {nameProperty: "DashboardName", ref: "name", read: readDashboard, properties: dashboardProperties{}},
		// The warehouse takes no part in what runs here.
		"AWS::Glue::Database": {read: passive[databaseProperties], properties: databaseProperties{}},
		"AWS::Glue::Table":    {read: passive[tableProperties], properties: tableProperties{}},
		"AWS::Athena::WorkGroup": {
			nameProperty: "Name", ref: "name", read: passive[workGroupProperties], properties: workGroupProperties{},
		},
		"AWS::Athena::NamedQuery": {read: passive[namedQueryProperties], properties: namedQueryProperties{}},
		"AWS::Logs::LogGroup": {
			nameProperty: "LogGroupName", ref: "name", attributes: map[string]string{"Arn": "arn"},
			arn:  func(name string) string { return arn("logs", "log-group:")(name) + ":*" },
			read: readLogGroup, properties: logGroupProperties{},
		},
	}
}

func unknownType(name string) error {
	return fmt.Errorf("resource type %s is not supported here (%s are)", name, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
}
