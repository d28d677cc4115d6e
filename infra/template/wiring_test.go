package template_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

func TestFunctionsGetTheEnvironmentTheyRead(t *testing.T) {
	p := load(t)
	for id, read := range map[string][]string{"FunctionSubmit": config.SubmitEnv, "FunctionCollect": config.CollectEnv} {
		env, _ := at(p.Resources[id].Properties, "Environment", "Variables").(map[string]any)
		set := slices.Sorted(maps.Keys(env))
		if want := slices.Sorted(slices.Values(read)); !slices.Equal(set, want) {
			t.Errorf("%s: set  %v\n             read %v", id, set, want)
		}
		if _, err := config.Parse(env[config.EnvSettings].(string)); err != nil {
			t.Errorf("%s cannot read its settings: %v", id, err)
		}
	}
}

func TestFunctionsRunAsBuilt(t *testing.T) {
	p := load(t)
	for _, id := range p.ofType("AWS::Lambda::Function") {
		f := p.Resources[id].Properties
		for k, want := range map[string]any{"Runtime": "provided.al2023", "Handler": "bootstrap", "RecursiveLoop": "Allow"} {
			if f[k] != want {
				t.Errorf("%s: %s is %v, want %v", id, k, f[k], want)
			}
		}
		if got := texts(f["Architectures"]); !slices.Equal(got, []string{"arm64"}) {
			t.Errorf("%s: architectures %v", id, got)
		}
		logs := p.Resources[target(at(f, "LoggingConfig", "LogGroup"))]
		if logs.Type != "AWS::Logs::LogGroup" || logs.Properties["RetentionInDays"] == nil {
			t.Errorf("%s logs into %v, which has no retention", id, logs)
		}
		short := strings.ToLower(strings.TrimPrefix(id, "Function"))
		if got := at(f, "Code", "S3Key"); got != short+".zip" {
			t.Errorf("%s: package %v, want the function's name for its hash", id, got)
		}
	}
}

func TestFunctionsReadTheirQueueOneMessageAtATime(t *testing.T) {
	p := load(t)
	fed := map[string]string{}
	for _, id := range p.ofType("AWS::Lambda::EventSourceMapping") {
		m := p.Resources[id].Properties
		function, queue := target(m["FunctionName"]), target(m["EventSourceArn"])
		fed[function] = queue
		if m["BatchSize"] != float64(1) {
			t.Errorf("%s: batch size %v", id, m["BatchSize"])
		}
		if got := texts(m["FunctionResponseTypes"]); !slices.Equal(got, []string{"ReportBatchItemFailures"}) {
			t.Errorf("%s: response types %v", id, got)
		}
		if n, _ := at(m, "ScalingConfig", "MaximumConcurrency").(float64); n < 2 {
			t.Errorf("%s: concurrency %v", id, n)
		}
		timeout, _ := p.Resources[function].Properties["Timeout"].(float64)
		visibility, _ := p.Resources[queue].Properties["VisibilityTimeout"].(float64)
		if visibility < 6*timeout || timeout == 0 {
			t.Errorf("%s: visibility %v s is less than six times the function's %v s", queue, visibility, timeout)
		}
	}
	want := map[string]string{"FunctionSubmit": "QueueUploads", "FunctionCollect": "QueueJobs"}
	if !maps.Equal(fed, want) {
		t.Errorf("functions read %v, want %v", fed, want)
	}
}

func TestEveryQueueIsOrHasADeadLetterQueue(t *testing.T) {
	p := load(t)
	dead := map[string]bool{}
	for _, id := range p.ofType("AWS::SQS::Queue") {
		if d := target(at(p.Resources[id].Properties, "RedrivePolicy", "deadLetterTargetArn")); d != "" {
			dead[d] = true
			if n, _ := at(p.Resources[id].Properties, "RedrivePolicy", "maxReceiveCount").(float64); n < 5 {
				t.Errorf("%s gives up after %v receives", id, n)
			}
		}
	}
	for _, id := range p.ofType("AWS::Events::Rule") {
		for _, target_ := range list(p.Resources[id].Properties["Targets"]) {
			d := target(at(target_, "DeadLetterConfig", "Arn"))
			if d == "" {
				t.Errorf("%s: target %v loses what cannot be delivered", id, at(target_, "Id"))
			}
			dead[d] = true
			if at(target_, "RetryPolicy", "MaximumRetryAttempts") == nil {
				t.Errorf("%s: target %v has no retry policy", id, at(target_, "Id"))
			}
		}
	}
	for _, id := range p.ofType("AWS::SQS::Queue") {
		q := p.Resources[id].Properties
		if at(q, "RedrivePolicy") == nil && !dead[id] {
			t.Errorf("%s neither is nor has a dead letter queue", id)
		}
		if q["MessageRetentionPeriod"] != float64(14*24*3600) {
			t.Errorf("%s keeps messages %v s, want 14 days", id, q["MessageRetentionPeriod"])
		}
		if q["SqsManagedSseEnabled"] != true {
			t.Errorf("%s is not encrypted", id)
		}
	}
}

func TestBucketsKeepWhatTheyMustAndNothingElse(t *testing.T) {
	p := load(t)
	for _, id := range p.ofType("AWS::S3::Bucket") {
		b := p.Resources[id]
		if b.DeletionPolicy != "RetainExceptOnCreate" || b.UpdateReplacePolicy != "Retain" {
			t.Errorf("%s: deletion %s, replacement %s", id, b.DeletionPolicy, b.UpdateReplacePolicy)
		}
		for _, k := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
			if at(b.Properties, "PublicAccessBlockConfiguration", k) != true {
				t.Errorf("%s: %s is not set", id, k)
			}
		}
		versioned := at(b.Properties, "VersioningConfiguration", "Status") == "Enabled"
		if versioned != (id == "BucketInput") {
			t.Errorf("%s: versioned is %v", id, versioned)
		}
		aborts := false
		for _, rule := range list(at(b.Properties, "LifecycleConfiguration", "Rules")) {
			if days, ok := at(rule, "ExpirationInDays").(float64); ok {
				// The warehouse and what is known are copies; what queries wrote can
				// be asked again.
				least, expires := map[any]float64{config.Staged: 90, config.Known: 90, config.Warehouse: 365, config.Queries: 1}[at(rule, "Prefix")]
				if id != "BucketOutput" || !expires || days < least {
					t.Errorf("%s: rule %v expires what must stay", id, rule)
				}
			}
			aborts = aborts || at(rule, "AbortIncompleteMultipartUpload", "DaysAfterInitiation") == float64(7)
		}
		if !aborts {
			t.Errorf("%s: unfinished uploads stay for ever", id)
		}
	}
}

func TestOutputsHaveTheNamesOfTheEnvironment(t *testing.T) {
	want := []string{"Deployment", "InputBucket", "JobRoleArn", "JobsQueueUrl", "OperationsTopicArn", "OutputBucket", "TopicArn", "UploadsQueueUrl", "WarehouseDatabaseName", "WarehouseWorkGroupName"}
	if got := slices.Sorted(maps.Keys(load(t).Outputs)); !slices.Equal(got, want) {
		t.Errorf("outputs are %v, want %v", got, want)
	}
}

// bodies gives the texts of the messages in a payload of events/.
func bodies(t *testing.T, name string) (queue string, out []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "events", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		Records []struct{ Body, EventSourceARN string }
	}
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	for _, r := range e.Records {
		out, queue = append(out, r.Body), r.EventSourceARN
	}
	return queue, out
}
