package stack_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/bedrock-batch/bedrock-batch/infra/app"
	"github.com/bedrock-batch/bedrock-batch/infra/assembly"
	"github.com/bedrock-batch/bedrock-batch/infra/spec"
	"github.com/bedrock-batch/bedrock-batch/infra/stack"
	"github.com/bedrock-batch/bedrock-batch/infra/stage"
)

const root = "../.."

// silenced keeps Node.js 20 from announcing its end of life at every start.
const silenced = "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"

// TestMain runs the tests on the pinned Node.js where make node has fetched
// it, else on the one in PATH. The construct library takes its environment
// before main, so the tests run in a process of their own that has it.
func TestMain(m *testing.M) {
	if os.Getenv(silenced) != "" {
		code := m.Run()
		jsii.Close()
		os.Exit(code)
	}
	jsii.Close()
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), silenced+"=20")
	if node, err := filepath.Abs(filepath.Join(root, "node_modules", "node", "bin", "node")); err == nil && os.Getenv("JSII_NODE") == "" {
		if _, err := os.Stat(node); err == nil {
			cmd.Env = append(cmd.Env, "JSII_NODE="+node)
		}
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// binaries makes a folder of functions that are something else each: what is
// in them decides nothing but their packages' hashes.
func binaries(t *testing.T) string {
	t.Helper()
	dist := t.TempDir()
	for _, name := range stack.Functions() {
		if err := os.MkdirAll(filepath.Join(dist, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dist, name, "bootstrap"), []byte(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dist
}

// newApp makes an app as main does, writing into a folder of its own.
func newApp(t *testing.T) (awscdk.App, string) {
	t.Helper()
	out := t.TempDir()
	a, err := app.New(root, out, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a, out
}

func dev(t *testing.T) stage.Settings {
	t.Helper()
	s, err := stage.Load(filepath.Join(root, "infra", "stages"), app.GoldenStage)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// synth gives the normalised template of each of the settings, all in one app.
func synth(t *testing.T, all ...stage.Settings) [][]byte {
	t.Helper()
	a, out := newApp(t)
	dist := binaries(t)
	for _, s := range all {
		if _, err := stack.New(a, stack.Props{Settings: s, Dist: dist}); err != nil {
			t.Fatal(err)
		}
	}
	a.Synth(nil)
	known, err := spec.Read()
	if err != nil {
		t.Fatal(err)
	}
	var templates [][]byte
	for _, s := range all {
		template, err := assembly.Golden(out, s.Prefix())
		if err != nil {
			t.Fatal(err)
		}
		if err := known.Check(template); err != nil {
			t.Errorf("stage %s is not what AWS's resource specification knows:\n%v", s.Stage, err)
		}
		templates = append(templates, template)
	}
	return templates
}

func TestTheGoldenTemplateIsFresh(t *testing.T) {
	want, err := os.ReadFile(filepath.Join(root, "infra", "template", "bedrock-batch.template.json"))
	if err != nil {
		t.Fatal(err)
	}
	got := synth(t, dev(t))[0]
	if !bytes.Equal(got, want) {
		t.Errorf("infra/template is stale: run make synth and look at what changes\nfirst difference: %s", difference(got, want))
	}
}

// difference shows the first line that differs.
func difference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "\n  now    " + g[i] + "\n  golden " + w[i]
		}
	}
	return "one is longer"
}

// names are the physical names and the prefixes of jobs that a template takes
// for itself in an account.
func names(t *testing.T, template []byte) []string {
	t.Helper()
	var parsed struct {
		Resources map[string]struct {
			Type       string
			Properties map[string]any
		}
		Outputs map[string]struct{ Value any }
	}
	if err := json.Unmarshal(template, &parsed); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range parsed.Resources {
		if r.Type == "AWS::Lambda::EventSourceMapping" {
			continue // names its function, which is listed itself
		}
		for _, k := range []string{"BucketName", "QueueName", "TopicName", "FunctionName", "LogGroupName", "Name", "RoleName"} {
			if v := r.Properties[k]; v != nil {
				text, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, r.Type+" "+string(text))
			}
		}
	}
	return append(all, "jobs "+parsed.Outputs["Deployment"].Value.(string))
}

func TestSeveralCopiesLiveSideBySide(t *testing.T) {
	prod, other := dev(t), dev(t)
	prod.Stage, other.Name = "prod", "other"
	taken := map[string]string{}
	for i, template := range synth(t, dev(t), prod, other) {
		for _, n := range names(t, template) {
			if who, ok := taken[n]; ok {
				t.Errorf("copies %s and %d both take %s", who, i, n)
			}
			taken[n] = string(rune('0' + i))
		}
	}
}

func TestSettingsReachTheTemplate(t *testing.T) {
	s := dev(t)
	s.Stage = "full"
	s.Architecture = "x86_64"
	s.Emails = []string{"a.b@example.com", "ab@example.com", "team@example.com"}
	const profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
	const custom = "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-lite-v1:0/abcdefghijkl"
	s.Models = append(slices.Clone(s.Models), profile, custom)
	s.OperationsEmails = []string{"night@example.com"}
	s.VPC.Subnets, s.VPC.SecurityGroups = []string{"subnet-12345678", "subnet-87654321"}, []string{"sg-12345678"}
	s.VPC.Jobs = true
	s.Removal = "destroy"
	s.Tracing = true
	s.AccessLogs = "example-access-logs"
	s.PermissionsBoundary = "arn:aws:iam::123456789012:policy/Boundary"
	s.Tags = map[string]string{"cost-center": "4711"}
	s.LogLevel, s.LogDays, s.TickMinutes = "debug", 14, 1
	s.Submit.TimeoutSeconds, s.Collect.Concurrency = 300, 2
	s.Alarms = stage.Alarms{WaitingHours: 3, OpenHours: 5, SpendUSDPerDay: 12.5}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Resources map[string]map[string]any
	}
	if err := json.Unmarshal(synth(t, s)[0], &parsed); err != nil {
		t.Fatal(err)
	}
	text := func(id string) string {
		b, err := json.Marshal(parsed.Resources[id])
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, c := range []struct{ id, has string }{
		{"FunctionSubmit", `"Architectures":["x86_64"]`},
		{"FunctionSubmit", `"Timeout":300`},
		{"QueueUploads", `"VisibilityTimeout":1800`},
		{"MappingCollect", `"MaximumConcurrency":2`},
		{"FunctionCollect", `"BB_LOG_LEVEL":"debug"`},
		{"FunctionCollect", `"TracingConfig":{"Mode":"Active"}`},
		{"FunctionSubmit", `"TracingConfig":{"Mode":"Active"}`},
		{"RoleCollect", `"xray:PutTraceSegments"`},
		{"RoleSubmit", `"xray:PutTraceSegments"`},
		{"FunctionSubmit", `"BB_NAME":"bedrock-batch-full"`},
		{"AlarmWaitingOld", `"Threshold":10800`},
		{"AlarmOpenOld", `"Threshold":18000`},
		{"AlarmSpendHigh", `"Threshold":12.5,"TreatMissingData"`},
		{"AlarmJobsFailed", `"Dimensions":[{"Name":"Deployment","Value":"bedrock-batch-full"}]`},
		{"RoleSubmit", `"PermissionsBoundary":"arn:aws:iam::123456789012:policy/Boundary"`},
		{"RoleJob", `"PermissionsBoundary"`},
		{"LogSubmit", `"RetentionInDays":14`},
		{"FunctionCollect", `"VpcConfig":{"SecurityGroupIds":["sg-12345678"],"SubnetIds":["subnet-12345678","subnet-87654321"]}`},
		{"RoleCollect", `"Sid":"JoinNetwork"`},
		{"RoleJob", `"Sid":"MakeInterfaces"`},
		{"RoleJob", `:subnet/subnet-87654321"`},
		{"RoleJob", `"aws:RequestTag/BedrockModelInvocationJobArn":{"Fn::Sub":`},
		{"FunctionSubmit", `\"job_subnets\":[\"subnet-12345678\",\"subnet-87654321\"],\"job_security_groups\":[\"sg-12345678\"]`},
		{"RoleSubmit", `"Action":"bedrock:GetInferenceProfile","Effect":"Allow","Resource":"` + profile + `"`},
		{"RoleSubmit", `"Action":"bedrock:GetCustomModel","Effect":"Allow","Resource":"` + custom + `"`},
		{"AlarmSubmitSlow", `"Threshold":285000`},
		{"TopicOperationsPolicy", `"Service":"cloudwatch.amazonaws.com"`},
		{"RuleTick", `rate(1 minute)`},
		{"BucketInput", `"DestinationBucketName":"example-access-logs"`},
		{"BucketInput", `"LogFilePrefix":"bedrock-batch-full-in/"`},
		{"BucketOutput", `"DestinationBucketName":"example-access-logs"`},
		{"BucketInput", `"DeletionPolicy":"Delete"`},
		{"FunctionSubmit", `\"job_tags\":{\"cost-center\":\"4711\"}`},
		{"TopicNotices", `{"Key":"cost-center","Value":"4711"}`},
	} {
		if got := text(c.id); !strings.Contains(got, c.has) {
			t.Errorf("%s: no %s in %s", c.id, c.has, got)
		}
	}
	var addresses []string
	for _, id := range slices.Sorted(maps.Keys(parsed.Resources)) {
		r := parsed.Resources[id]
		if r["Type"] == "AWS::SNS::Subscription" {
			addresses = append(addresses, r["Properties"].(map[string]any)["Endpoint"].(string))
		}
	}
	slices.Sort(addresses)
	if want := slices.Sorted(slices.Values(slices.Concat(s.Emails, s.OperationsEmails))); !slices.Equal(addresses, want) {
		t.Errorf("subscribed %v, want %v", addresses, want)
	}
}

func TestWithoutALimitOfSpendingThereIsNoAlarmOfIt(t *testing.T) {
	s := dev(t)
	s.Alarms.SpendUSDPerDay = 0
	if template := string(synth(t, s)[0]); strings.Contains(template, "spend-high") || !strings.Contains(template, "jobs-failed") {
		t.Error("an alarm of no limit, or no alarm of failed jobs")
	}
}

func TestWithoutAWarehouseThereIsNothingOfIt(t *testing.T) {
	with, without := dev(t), dev(t)
	without.Warehouse.Enabled = false
	without.Stage = "plain"
	both := synth(t, with, without)
	for _, word := range []string{"AWS::Glue", "AWS::Athena", "warehouse", "queries/"} {
		if !strings.Contains(string(both[0]), word) || strings.Contains(string(both[1]), word) {
			t.Errorf("%s: with %v, without %v", word, strings.Contains(string(both[0]), word), strings.Contains(string(both[1]), word))
		}
	}
}

func TestSettingsThatAreWrongMakeNoStack(t *testing.T) {
	a, _ := newApp(t)
	s := dev(t)
	s.Models = nil
	if _, err := stack.New(a, stack.Props{Settings: s, Dist: binaries(t)}); err == nil || !strings.Contains(err.Error(), "models is empty") {
		t.Errorf("got %v", err)
	}
}
