package main_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every verb writes objects of a type with --json, and nothing else to stdout.
func TestEveryVerbWritesTypedObjects(t *testing.T) {
	work := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		name = filepath.Join(work, name)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	few, many := file("few.jsonl", rows(3, "typed")), file("many.jsonl", rows(100, "typed"))
	dropped := folder(t, map[string]string{"workload.yaml": settingsFile, "a.jsonl": rows(2, "typed") + `{"recordId":"bad","modelInput":{}}` + "\n", "w.jsonl": rows(100, "typed wait")})
	key, waits := filepath.Base(dropped)+"/a.jsonl", filepath.Base(dropped)+"/w.jsonl"
	const role = "arn:aws:iam::123456789012:role/r"
	arn := "" // of a job, once there is one
	for _, c := range []struct {
		args  string
		types string // each must be there
		code  int
	}{
		{"run " + few + " --model " + model, "progress answer outcome", 0},
		{"run " + many + " --model " + model + " --name typed --out " + filepath.Join(work, "many"), "progress file outcome", 0},
		{"validate " + few + " --model " + model, "forecast", 0},
		{"try " + few + " --model " + model, "answer outcome whole", 0},
		{"runs list", "run", 0},
		{"runs status typed", "run", 0},
		{"runs wait typed --out " + filepath.Join(work, "again"), "file outcome", 0},
		{"runs cancel typed", "error", 3},
		{"jobs list", "job", 0},
		{"jobs status ARN", "job", 0},
		{"jobs wait ARN", "job", 0},
		{"jobs cancel ARN", "error", 3},
		{"setup --bucket b --role " + role, "policy", 0},
		{"setup --bucket b --role " + role + " --cloudformation", "template", 0},
		{"man " + filepath.Join(work, "man"), "file", 0},
		{"pause", "pause", 0},
		{"submit " + dropped, "upload", 0},
		{"uploads", "submission", 0},
		{"cancel " + waits, "cancel", 0},
		{"resume", "pause", 0},
		{"watch " + key, "submission notice", 1},
		{"status " + key, "status", 0},
		{"results " + key + " --out " + filepath.Join(work, "results"), "file", 0},
		{"redrive", "redrive", 0},
		{"backfill " + key, "backfill", 0},
		{"doctor", "finding", 0},
		{"status no/such/key", "error", 4},
		{"ruin", "error", 2},
	} {
		verb, _, _ := strings.Cut(c.args, " /")
		t.Run(verb, func(t *testing.T) {
			if strings.HasPrefix(c.args, "uploads") || strings.HasPrefix(c.args, "cancel") {
				heard(t, waits)
			}
			stdout, stderr, code := call(t, append([]string{"--json"}, strings.Fields(strings.ReplaceAll(c.args, "ARN", arn))...)...)
			all := objects(t, stdout)
			for _, want := range strings.Fields(c.types) {
				if len(all[want]) == 0 {
					t.Errorf("no object of type %s", want)
				}
			}
			if code != c.code || len(all[""]) > 0 {
				t.Errorf("exit code %d, want %d\n%s%s", code, c.code, stdout, stderr)
			}
			if c.args == "runs status typed" && len(all["run"]) > 0 {
				arn = all["run"][0]["parts"].([]any)[0].(map[string]any)["jobArn"].(string)
			}
		})
	}
}

func TestWhatPassesEndsWithFive(t *testing.T) {
	for code, status := range map[string]int{"ThrottlingException": http.StatusTooManyRequests, "ServiceQuotaExceededException": http.StatusBadRequest, "InternalServerException": http.StatusInternalServerError} {
		t.Run(code, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Amzn-Errortype", code)
				w.WriteHeader(status)
				fmt.Fprint(w, `{"message":"not now"}`)
			}))
			defer s.Close()
			t.Setenv("AWS_ENDPOINT_URL", s.URL)
			t.Setenv("AWS_MAX_ATTEMPTS", "1")
			if _, stderr, exit := call(t, "jobs", "list"); exit != 5 || !strings.Contains(stderr, "not now") {
				t.Errorf("exit code %d\n%s", exit, stderr)
			}
		})
	}
	t.Run("nobody answers", func(t *testing.T) {
		t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
		t.Setenv("AWS_MAX_ATTEMPTS", "1")
		if _, stderr, exit := call(t, "jobs", "list"); exit != 5 {
			t.Errorf("exit code %d\n%s", exit, stderr)
		}
	})
}

// go install takes the module as the proxy has it: no replacement, no
// exclusion, and of the repository only what the module itself holds.
func TestGoInstallWorksFromACopyOfTheModule(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "replace") || strings.HasPrefix(line, "exclude") {
			t.Errorf("go install refuses a module with %q", line)
		}
	}
	dir := t.TempDir()
	for _, part := range []string{"cmd/bedrock-batch", "shared"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(root, part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		body, err := os.ReadFile(filepath.Join(root, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), body, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	bin := t.TempDir()
	cmd := exec.Command("go", "install", "-mod=readonly", "./cmd/bedrock-batch")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOBIN="+bin, "GOWORK=off", "GOCACHE="+cache)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.Command(filepath.Join(bin, "bedrock-batch"), "--help").Output(); err != nil || !strings.Contains(string(out), "Usage:") {
		t.Errorf("%v\n%s", err, out)
	}
}

// BenchmarkStart is how long the command takes from its start to the end of
// its help: the least of all times, as other work only adds to it.
func BenchmarkStart(b *testing.B) {
	least := time.Hour
	for b.Loop() {
		begun := time.Now()
		if err := exec.Command(binary, "--help").Run(); err != nil {
			b.Fatal(err)
		}
		least = min(least, time.Since(begun))
	}
	b.ReportMetric(float64(least.Microseconds())/1000, "ms-least")
}

func TestTheDeployedStackIsFoundByItself(t *testing.T) {
	t.Setenv("BB_INPUT_BUCKET", "")
	if _, stderr, code := call(t, "uploads"); code != 0 || !strings.Contains(stderr, "stack: ") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	if _, stderr, code := call(t, "uploads", "--stack", "absent"); code != 4 {
		t.Errorf("a stack that is not there: exit code %d\n%s", code, stderr)
	}
}
