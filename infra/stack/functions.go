package stack

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/jsii-runtime-go"

	"github.com/bedrock-batch/bedrock-batch/infra/stage"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

func (b *builder) addTopic() {
	b.topic = b.newTopic("TopicNotices", "notices", "Bedrock batch")
	for _, address := range b.settings.Emails {
		subscribe(b, emailID(address), b.topic, address)
	}
}

// emailID names a subscription by its address, so that it stays the same one
// whatever stands before it in the list.
func emailID(address string) string {
	sum := sha256.Sum256([]byte(address))
	return "Email" + hex.EncodeToString(sum[:4])
}

func (b *builder) addFunctions() {
	b.submit = b.function("Submit", submitName, "Takes uploads in, prepares their records and starts batch jobs.",
		b.settings.Submit, b.submitRole, b.submitLogs, b.uploads, config.SubmitEnv)
	b.collect = b.function("Collect", collectName, "Gathers the answers of ended jobs, writes results and publishes notices.",
		b.settings.Collect, b.collectRole, b.collectLogs, b.jobs, config.CollectEnv)
}

// values are what the names of a function's environment stand for.
func (b *builder) values() map[string]*string {
	return map[string]*string{
		config.EnvDeployment:      jsii.String(b.settings.Deployment()),
		config.EnvName:            jsii.String(b.settings.Prefix()),
		config.EnvInputBucket:     b.input.BucketName(),
		config.EnvOutputBucket:    b.output.BucketName(),
		config.EnvTopicARN:        b.topic.TopicArn(),
		config.EnvUploadsQueueURL: b.uploads.QueueUrl(),
		config.EnvJobsQueueURL:    b.jobs.QueueUrl(),
		config.EnvJobRoleARN:      b.jobRole.RoleArn(),
		config.EnvSettings:        jsii.String(b.pipeline),
		config.EnvLogLevel:        jsii.String(b.settings.LogLevel),
	}
}

func (b *builder) logGroup(id, name string) awslogs.LogGroup {
	return awslogs.NewLogGroup(b.stack, jsii.String(id), &awslogs.LogGroupProps{
		LogGroupName:  jsii.String("/aws/lambda/" + *b.name(name)),
		Retention:     retention(b.settings.LogDays),
		EncryptionKey: b.key,
		// Logs hold no content and nothing that is needed again.
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
}

func (b *builder) function(id, name, description string, size stage.Function, role awsiam.Role, logs awslogs.LogGroup, source queue, env []string) awslambda.Function {
	values, environment := b.values(), map[string]*string{}
	for _, k := range env {
		environment[k] = values[k]
	}
	architecture := awslambda.Architecture_ARM_64()
	if b.settings.Architecture == "x86_64" {
		architecture = awslambda.Architecture_X86_64()
	}
	tracing := awslambda.Tracing_DISABLED
	if b.settings.Tracing {
		tracing = awslambda.Tracing_ACTIVE
	}
	f := awslambda.NewFunction(b.stack, jsii.String("Function"+id), &awslambda.FunctionProps{
		FunctionName:         b.name(name),
		Description:          jsii.String(description),
		Runtime:              awslambda.Runtime_PROVIDED_AL2023(),
		Architecture:         architecture,
		Handler:              jsii.String("bootstrap"),
		Code:                 awslambda.Code_FromAsset(jsii.String(filepath.Join(b.dist, name)), nil),
		Role:                 role,
		LogGroup:             logs,
		MemorySize:           jsii.Number(size.MemoryMB),
		Timeout:              awscdk.Duration_Seconds(jsii.Number(size.TimeoutSeconds)),
		EphemeralStorageSize: awscdk.Size_Mebibytes(jsii.Number(size.StorageMB)),
		Environment:          &environment,
		Tracing:              tracing,
		// Work that is longer than a slice goes on by a message to the
		// function's own queue. Lambda would take that for a runaway loop
		// and drop the message after some sixteen; the functions count
		// their progress themselves.
		RecursiveLoop: awslambda.RecursiveLoop_ALLOW,
	})
	if vpc := b.settings.VPC; len(vpc.Subnets) > 0 {
		f.Node().DefaultChild().(awslambda.CfnFunction).SetVpcConfig(&awslambda.CfnFunction_VpcConfigProperty{
			SubnetIds:        jsii.Strings(vpc.Subnets...),
			SecurityGroupIds: jsii.Strings(vpc.SecurityGroups...),
		})
	}
	awslambda.NewEventSourceMapping(b.stack, jsii.String("Mapping"+id), &awslambda.EventSourceMappingProps{
		Target:                  f,
		EventSourceArn:          source.QueueArn(),
		BatchSize:               jsii.Number(1),
		MaxConcurrency:          jsii.Number(size.Concurrency),
		ReportBatchItemFailures: jsii.Bool(true),
	})
	return f
}

// retention is the construct library's word for a number of days.
func retention(days int) awslogs.RetentionDays {
	return map[int]awslogs.RetentionDays{
		1: awslogs.RetentionDays_ONE_DAY, 3: awslogs.RetentionDays_THREE_DAYS, 5: awslogs.RetentionDays_FIVE_DAYS,
		7: awslogs.RetentionDays_ONE_WEEK, 14: awslogs.RetentionDays_TWO_WEEKS, 30: awslogs.RetentionDays_ONE_MONTH,
		60: awslogs.RetentionDays_TWO_MONTHS, 90: awslogs.RetentionDays_THREE_MONTHS, 120: awslogs.RetentionDays_FOUR_MONTHS,
		150: awslogs.RetentionDays_FIVE_MONTHS, 180: awslogs.RetentionDays_SIX_MONTHS, 365: awslogs.RetentionDays_ONE_YEAR,
		400: awslogs.RetentionDays_THIRTEEN_MONTHS, 545: awslogs.RetentionDays_EIGHTEEN_MONTHS, 731: awslogs.RetentionDays_TWO_YEARS,
		1096: awslogs.RetentionDays_THREE_YEARS, 1827: awslogs.RetentionDays_FIVE_YEARS, 2192: awslogs.RetentionDays_SIX_YEARS,
		2557: awslogs.RetentionDays_SEVEN_YEARS, 2922: awslogs.RetentionDays_EIGHT_YEARS, 3288: awslogs.RetentionDays_NINE_YEARS,
		3653: awslogs.RetentionDays_TEN_YEARS,
	}[days]
}

// addOutputs says where everything is, under the names of the environment.
func (b *builder) addOutputs() {
	values := b.values()
	for _, env := range []string{
		config.EnvDeployment, config.EnvInputBucket, config.EnvOutputBucket, config.EnvTopicARN,
		config.EnvUploadsQueueURL, config.EnvJobsQueueURL, config.EnvJobRoleARN,
	} {
		awscdk.NewCfnOutput(b.stack, jsii.String(camel(env)), &awscdk.CfnOutputProps{Value: values[env]})
	}
	if b.settings.Output.Bucket != "" {
		awscdk.NewCfnOutput(b.stack, jsii.String("OutputBucketPolicy"), &awscdk.CfnOutputProps{Value: b.stack.ToJsonString(b.outputBucketPolicy(), nil)})
	}
	awscdk.NewCfnOutput(b.stack, jsii.String("OperationsTopicArn"), &awscdk.CfnOutputProps{Value: b.operations.TopicArn()})
}
