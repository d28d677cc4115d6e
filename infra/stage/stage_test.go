package stage_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/infra/stage"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

var update = flag.Bool("update", false, "write docs/settings.md anew")

const head = `# Settings of a deployment

One YAML file per stage in ` + "`infra/stages`" + `, chosen by ` + "`-c stage=NAME`" + ` or
` + "`make deploy STAGE=NAME`" + `. The file's name is the stage's name and part of every name in
the stack, so several copies live side by side in one account and region. Only
` + "`models`" + ` must be there; an unknown key is refused with its file and line.

This table is generated from the code (` + "`go test ./infra/stage -update`" + `). Settings of
single workloads stand in ` + "`workload.yaml`" + ` files in the input bucket instead and need
no deployment.

`

func TestTheTableOfSettingsIsFresh(t *testing.T) {
	table, err := stage.Markdown()
	if err != nil {
		t.Fatal(err)
	}
	file, want := filepath.Join("..", "..", "docs", "settings.md"), head+table
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale: run go test ./infra/stage -update", file)
	}
}

func TestEveryStageOfTheRepositoryLoads(t *testing.T) {
	files, err := filepath.Glob("../stages/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stages: %v", err)
	}
	deployments := map[string]string{}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".yaml")
		s, err := stage.Load("../stages", name)
		if err != nil {
			t.Error(err)
			continue
		}
		if other := deployments[s.Deployment()]; other != "" {
			t.Errorf("stages %s and %s have the same eight digits", name, other)
		}
		deployments[s.Deployment()] = name
	}
}

const least = "models: [amazon.nova-lite-v1:0]\n"

func TestWhatAStageChooses(t *testing.T) {
	s, err := stage.Parse("infra/stages/prod.yaml", "prod", []byte(least+`
name: reviews
workload: {model: us.amazon.nova-lite-v1:0, retries: 2}
submit: {timeout_seconds: 300}
pipeline:
  max_wait: 24h
  quotas: {max_records: 100000}
`))
	if err != nil {
		t.Fatal(err)
	}
	if s.Prefix() != "reviews-prod" || len(s.Deployment()) != 8 {
		t.Errorf("prefix %s, deployment %s", s.Prefix(), s.Deployment())
	}
	if s.Submit != (stage.Function{MemoryMB: 1769, TimeoutSeconds: 300, StorageMB: 512, Concurrency: 10}) {
		t.Errorf("what is not written lost its default: %+v", s.Submit)
	}
	if q := s.Pipeline.Quotas; q.MaxRecords != 100_000 || q.MinRecords != 100 {
		t.Errorf("quotas %+v", q)
	}
	text, err := s.Pipeline.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := config.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if back.MaxWait.Std().Hours() != 24 || !slices.Equal(back.Models, s.Models) || !strings.Contains(string(back.Workload), `"retries":2`) {
		t.Errorf("the functions read %+v from %s", back, text)
	}
}

func TestWhatIsWrongIsSaidWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		stage, text string
		says        []string
	}{
		"an unknown key with its line":           {"dev", least + "emailz: [a@example.com]\n", []string{"infra/stages/dev.yaml", "emailz", "2 |"}},
		"an unknown key inside":                  {"dev", least + "submit:\n  memory: 1\n", []string{`"memory"`, "3 |"}},
		"an unknown key of the pipeline":         {"dev", least + "pipeline:\n  max_waits: 1h\n", []string{`"max_waits"`}},
		"a value of the wrong kind":              {"dev", least + "tick_minutes: soon\n", []string{"2 |"}},
		"no models":                              {"dev", "name: x\n", []string{"models is empty"}},
		"an empty file":                          {"dev", "", []string{"models is empty"}},
		"a model that batch jobs refuse":         {"dev", "models: ['arn:aws:bedrock:us-east-1:123456789012:imported-model/abc']\n", []string{"models[0]", "imported-model"}},
		"every model at once":                    {"dev", "models: ['*']\n", []string{"models[0]"}},
		"every model of a geography":             {"dev", "models: ['us.*']\n", []string{"models[0]", "allows too much"}},
		"a star in the middle":                   {"dev", "models: ['us.*.nova*']\n", []string{"a * stands at the end"}},
		"a model twice":                          {"dev", "models: [a.b, a.b]\n", []string{"models[1]", "listed before"}},
		"models of the pipeline":                 {"dev", least + "pipeline: {models: [x.y]}\n", []string{"pipeline.models"}},
		"a stage whose name does not fit":        {"Dev_1", least, []string{`stage is "Dev_1"`}},
		"names that are too long together":       {"development", least + "name: a-rather-long-name-for-it\n", []string{"at most 30"}},
		"no address":                             {"dev", least + "emails: [nobody]\n", []string{"emails[0]"}},
		"an address twice":                       {"dev", least + "operations_emails: [a@b.example, a@b.example]\n", []string{"operations_emails[1]", "listed before"}},
		"jobs in no network":                     {"dev", least + "vpc: {jobs: true}\n", []string{"vpc.jobs needs vpc.subnets"}},
		"half a bucket of another account":       {"dev", least + "output: {bucket: B}\n", []string{"give both or neither", "output.bucket"}},
		"another account's bucket, our own key":  {"dev", least + "output: {bucket: theirs, account: \"444455556666\"}\nencryption: managed\n", []string{"the bucket's owner chooses its key"}},
		"subnets without a security group":       {"dev", least + "vpc: {subnets: [subnet-12345678, vpc-1]}\n", []string{"give both or neither", "vpc.subnets[1]"}},
		"a warehouse without limits":             {"dev", least + "warehouse: {enabled: true, scan_limit_mb: 9, days: 0, query_days: 0}\n", []string{"warehouse.scan_limit_mb", "warehouse.days", "warehouse.query_days"}},
		"another account's bucket as warehouse":  {"dev", least + "warehouse: {enabled: true}\noutput: {bucket: theirs, account: \"444455556666\"}\n", []string{"warehouse.enabled with output.bucket"}},
		"all that is wrong at once":              {"dev", least + "architecture: arm\nlog_level: loud\nlog_days: 8\nremoval: maybe\nstaged_days: 1\nknown_days: 0\nnoncurrent_days: 2\ntick_minutes: 0\nalarms: {waiting_hours: 0, open_hours: 721, spend_usd_per_day: -1}\n", []string{"alarms.waiting_hours", "alarms.open_hours", "alarms.spend_usd_per_day", "architecture", "log_level", "log_days", "removal", "staged_days", "known_days", "noncurrent_days", "tick_minutes"}},
		"sizes of functions":                     {"dev", least + "submit: {memory_mb: 64, timeout_seconds: 901}\ncollect: {storage_mb: 1, concurrency: 1}\n", []string{"submit.memory_mb", "submit.timeout_seconds", "collect.storage_mb", "collect.concurrency"}},
		"a boundary, a bucket and a tag":         {"dev", least + "encryption: alias/mine\npermissions_boundary: x\naccess_logs: X\ntags: {'aws:x': y}\n", []string{"encryption", "permissions_boundary", "access_logs", "tags"}},
		"a folder smaller than what is spilled":  {"dev", least + "collect: {storage_mb: 1024}\n", []string{"pipeline.spill_bytes"}},
		"an unknown key of the default workload": {"dev", least + "workload: {modell: x}\n", []string{"workload", "modell", "model"}},
		"settings too long for the environment":  {"dev", least + "workload: {system: " + strings.Repeat("x", 4000) + "}\n", []string{"the limit is 3500"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := stage.Parse("infra/stages/dev.yaml", c.stage, []byte(c.text))
			for _, part := range c.says {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("no %q in: %v", part, err)
				}
			}
		})
	}
	t.Run("a stage that is not there, with those that are", func(t *testing.T) {
		if _, err := stage.Load("../stages", "nope"); err == nil || !strings.Contains(err.Error(), "dev") {
			t.Errorf("got %v", err)
		}
	})
}

func TestModelsBecomeResources(t *testing.T) {
	const profileARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.amazon.nova-pro-v1:0"
	const ownARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
	for name, c := range map[string]struct {
		model string
		want  []stage.Resource
	}{
		"a base model":        {"amazon.nova-lite-v1:0", []stage.Resource{{Path: "foundation-model/amazon.nova-lite-v1:0"}}},
		"a provider's models": {"anthropic.*", []stage.Resource{{Path: "foundation-model/anthropic.*"}}},
		"a profile and the model behind it, wherever it runs": {"us.amazon.nova-lite-v1:0", []stage.Resource{
			{Account: true, Path: "inference-profile/us.amazon.nova-lite-v1:0", Profile: true},
			{AnyRegion: true, Path: "foundation-model/amazon.nova-lite-v1:0", Profile: true}}},
		"profiles by prefix": {"us.anthropic.claude*", []stage.Resource{
			{Account: true, Path: "inference-profile/us.anthropic.claude*", Profile: true},
			{AnyRegion: true, Path: "foundation-model/anthropic.claude*", Profile: true}}},
		"a profile's ARN": {profileARN, []stage.Resource{
			{ARN: profileARN, Profile: true},
			{AnyRegion: true, Path: "foundation-model/amazon.nova-pro-v1:0", Profile: true}}},
		"an application's own profile": {ownARN, []stage.Resource{{ARN: ownARN, Profile: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := stage.Parse("dev.yaml", "dev", []byte("models: ['"+c.model+"']\n"))
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Resources(); !slices.Equal(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}
