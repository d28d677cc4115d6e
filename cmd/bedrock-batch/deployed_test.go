package main_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch/deployed"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
	"github.com/bedrock-batch/bedrock-batch/shared/request"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.ToLower(t.Name()))
	for name, text := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const settingsFile = "model: " + model + "\n"

func TestSubmitWaitsAndCopiesResults(t *testing.T) {
	dir := folder(t, map[string]string{"workload.yaml": settingsFile, "jobs.jsonl": rows(120, "submit"), "few.jsonl": rows(3, "few") + "nonsense\n"})
	out := t.TempDir()
	stdout, stderr, code := call(t, "submit", dir, "--wait", "--out", out)
	if code != 1 || !strings.Contains(stderr, "120 answered") || !strings.Contains(stderr, "3 answered, 0 failed, 1 set aside") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, name := range []string{"jobs.jsonl/results.jsonl", "few.jsonl/set-aside.jsonl"} {
		if _, err := os.Stat(filepath.Join(out, filepath.Base(dir), filepath.FromSlash(name))); err != nil {
			t.Error(err)
		}
	}
	key := filepath.Base(dir) + "/jobs.jsonl"
	stdout, stderr, code = call(t, "status", key)
	if code != 0 || !strings.Contains(stdout, "why: done: 120 of 120 rows answered") {
		t.Errorf("status: exit code %d\n%s%s", code, stdout, stderr)
	}
	again := t.TempDir()
	stdout, stderr, code = call(t, "results", "s3://"+os.Getenv("BB_INPUT_BUCKET")+"/"+key, "--out", again)
	if code != 0 || strings.Count(stdout, "\n") != 2 {
		t.Errorf("results: exit code %d\n%s%s", code, stdout, stderr)
	}
	stdout, _, code = call(t, "--json", "uploads", "--all")
	found := false
	for _, s := range objects(t, stdout)["submission"] {
		found = found || s["upload"].(map[string]any)["key"] == key && s["state"] == "done"
	}
	if code != 0 || !found {
		t.Errorf("uploads: exit code %d\n%s", code, stdout)
	}
	if _, stderr, code = call(t, "retry", key); code != 3 || !strings.Contains(stderr, "none of its rows failed") {
		t.Errorf("retry of what did not fail: exit code %d\n%s", code, stderr)
	}
	if _, stderr, code = call(t, "cancel", key); code != 3 {
		t.Errorf("cancel of what has ended: exit code %d\n%s", code, stderr)
	}
	if _, stderr, code = call(t, "status", "no/such/key"); code != 4 {
		t.Errorf("status of nothing: exit code %d\n%s", code, stderr)
	}
}

func TestSubmitAFolderOfDocumentsWaitsForItsOneSubmission(t *testing.T) {
	dir := folder(t, map[string]string{"workload.yaml": settingsFile + "prompt_template: 'Summarise: {content}'\ngather: {expect: 2}\n", "a.md": "Alpha", "deep/b.md": "Beta"})
	stdout, stderr, code := call(t, "submit", dir, "--to", "docs", "--wait")
	if code != 0 || !strings.Contains(stderr, "docs/"+filepath.Base(dir)) || !strings.Contains(stderr, "2 rows: 2 answered") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

func TestAPauseHoldsWorkBackAndStatusSaysWhy(t *testing.T) {
	if _, stderr, code := call(t, "pause"); code != 0 {
		t.Fatal(stderr)
	}
	dir := folder(t, map[string]string{"workload.yaml": settingsFile, "a.jsonl": rows(100, "pause")})
	if _, stderr, code := call(t, "submit", dir); code != 0 {
		t.Fatal(stderr)
	}
	key := filepath.Base(dir) + "/a.jsonl"
	var stdout, stderr string
	for range 200 {
		if stdout, stderr, _ = call(t, "status", key); strings.Contains(stdout, "1st in line") {
			break
		}
	}
	if !strings.Contains(stdout, "why: waiting: 0 of 20 slots taken, 1st in line, 1 part for amazon.nova-lite-v1:0, the deployment is paused") {
		t.Fatalf("%s%s", stdout, stderr)
	}
	if stdout, _, _ = call(t, "uploads"); !strings.Contains(stdout, key) {
		t.Errorf("it is not among the open ones:\n%s", stdout)
	}
	if _, stderr, code := call(t, "resume"); code != 0 {
		t.Fatal(stderr)
	}
	if _, stderr, code := call(t, "watch", key); code != 0 || !strings.Contains(stderr, "100 answered") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

func TestCancelStopsASubmission(t *testing.T) {
	if _, stderr, code := call(t, "pause"); code != 0 {
		t.Fatal(stderr)
	}
	defer call(t, "resume")
	dir := folder(t, map[string]string{"workload.yaml": settingsFile, "a.jsonl": rows(100, "cancel")})
	if _, stderr, code := call(t, "submit", dir); code != 0 {
		t.Fatal(stderr)
	}
	key := filepath.Base(dir) + "/a.jsonl"
	for range 200 {
		if stdout, _, _ := call(t, "status", key); strings.Contains(stdout, "1st in line") {
			break
		}
	}
	if _, stderr, code := call(t, "cancel", key); code != 0 {
		t.Fatal(stderr)
	}
	if _, stderr, code := call(t, "watch", key); code != 6 || !strings.Contains(stderr, "Stopped") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

func TestBackfillAndRedriveFindNothingWhereNothingIsLost(t *testing.T) {
	dir := folder(t, map[string]string{"workload.yaml": settingsFile, "a.jsonl": rows(2, "backfill")})
	if _, stderr, code := call(t, "submit", dir, "--wait"); code != 0 {
		t.Fatal(stderr)
	}
	if stdout, stderr, code := call(t, "backfill", filepath.Base(dir)+"/"); code != 0 || stdout != "" || !strings.Contains(stderr, "0 objects") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if stdout, stderr, code := call(t, "redrive"); code != 0 || stdout != "0\n" {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

func TestDoctorFindsWhatIsBrokenAndSaysTheFix(t *testing.T) {
	stdout, stderr, code := call(t, "doctor", "--model", model)
	if code != 0 || strings.Count(stdout, "ok ") != 13 || strings.Count(stdout, "unknown ") != 1 {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, c := range []struct {
		name  string
		args  []string
		env   string
		value string
		says  string
		fix   string
	}{
		{"a model that is not there", []string{"--model", "us.amazon.no-such-model-v1:0"}, "", "", "broken   access to model us.amazon.no-such-model-v1:0", "check the id"},
		{"wrong credentials", nil, "AWS_SECRET_ACCESS_KEY", "wrong", "broken   credentials", "sign in"},
		{"a role that another service assumes", nil, "BB_JOB_ROLE_ARN", strings.Replace(os.Getenv("BB_JOB_ROLE_ARN"), "RoleJob", "RoleSubmit", 1), "broken   trust of the job role", `"Principal":{"Service":"bedrock.amazonaws.com"}`},
		{"a folder that the role may not use", []string{"--bucket", os.Getenv("BB_OUTPUT_BUCKET"), "--prefix", "elsewhere/"}, "", "", "may not do s3:GetObject on arn:aws:s3:::" + os.Getenv("BB_OUTPUT_BUCKET") + "/elsewhere/doctor/in/doctor", `add the statement {"Sid":"ReadParts"`},
		{"a role that is not there", nil, "BB_JOB_ROLE_ARN", "arn:aws:iam::123456789012:role/absent", "broken   trust of the job role", "setup --cloudformation"},
		{"a bucket that is not there", []string{"--bucket", "absent-bucket"}, "", "", "broken   bucket", "it is not there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.env != "" {
				t.Setenv(c.env, c.value)
			}
			stdout, stderr, code := call(t, append([]string{"doctor"}, c.args...)...)
			if code != 4 || !strings.Contains(stdout, c.says) || !strings.Contains(stdout, c.fix) {
				t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
			}
		})
	}
}

func TestRetryDropsWhatFailedAgain(t *testing.T) {
	dir := folder(t, map[string]string{"workload.yaml": settingsFile, "a.jsonl": `{"recordId":"good","modelInput":{"messages":[{"role":"user","content":[{"text":"Say yes."}]}]}}
{"recordId":"bad","modelInput":{"messages":"wrong"}}
`})
	if _, stderr, code := call(t, "submit", dir, "--wait"); code != 1 || !strings.Contains(stderr, "1 answered, 1 failed") {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	stdout, stderr, code := call(t, "retry", filepath.Base(dir)+"/a.jsonl", "--wait")
	if code != 6 || !strings.Contains(stdout, "/"+filepath.Base(dir)+"/retry-") || !strings.Contains(stderr, "1 row: 0 answered, 1 failed") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

func TestAProgramSendsARequestAndWaits(t *testing.T) {
	out, err := deployed.Find(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := deployed.Open(t.Context(), out, bedrockbatch.Delay{First: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	asked := request.Request{
		Prompts:  []jsontext.Value{jsontext.Value(`{"id":"a","prompt":"Why?"}`), jsontext.Value(`{"id":"b","prompt":"How?"}`)},
		Settings: workload.Workload{Model: model},
	}
	id, err := p.Request(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.WaitRequest(t.Context(), id, nil)
	if err != nil || s.State != pipeline.Done || s.Rows.Answered != 2 {
		t.Fatalf("%+v, %v", s, err)
	}
	if files, err := p.Download(t.Context(), s, t.TempDir()); err != nil || len(files) != 2 {
		t.Errorf("%q, %v", files, err)
	}
	if _, err := p.Retry(t.Context(), s); !errors.Is(err, batch.ErrInvalid) {
		t.Errorf("retry: %v", err)
	}
	asked.Prompts = nil
	if _, err := p.Request(t.Context(), asked); !errors.Is(err, batch.ErrInvalid) {
		t.Errorf("a request for nothing: %v", err)
	}
	stdout, stderr, code := call(t, "status", "requests/"+s.Request)
	if code != 0 || !strings.Contains(stdout, "request "+s.Request) {
		t.Errorf("status: exit code %d\n%s%s", code, stdout, stderr)
	}
}
