package main_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/awstest"
)

// The tests run the command itself against the local services.
var (
	binary string
	home   string
	cache  string // of Go's builds
)

func TestMain(m *testing.M) {
	var err error
	if home, err = os.MkdirTemp("", "bedrock-batch-cli-"); err != nil {
		log.Fatal(err)
	}
	place, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		log.Fatal(err)
	}
	cache = strings.TrimSpace(string(place))
	binary = filepath.Join(home, "bedrock-batch")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		log.Fatalf("build: %v\n%s", err, out)
	}
	if err := earlier(home); err != nil {
		log.Fatal(err)
	}
	services, end, err := awstest.Deploy(home, "--job-time", "1s", "--speed", "10")
	if err != nil {
		log.Fatal(err)
	}
	use(services)
	os.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	code := m.Run()
	if said, err := end(); err != nil {
		fmt.Fprintln(os.Stderr, err, said)
		code = 1
	}
	os.RemoveAll(home)
	os.Exit(code)
}

func command(args ...string) *exec.Cmd {
	return exec.Command(binary, append([]string{"--poll", "100ms"}, args...)...)
}

// call runs the command to its end.
func call(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := command(args...)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), talk.String(), cmd.ProcessState.ExitCode()
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func rows(n int, salt string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"id":"q%d","prompt":"Say %d, %s."}`+"\n", i+1, i+1, salt)
	}
	return b.String()
}

// objects are the lines of --json by their type.
func objects(t *testing.T, stdout string) map[string][]map[string]any {
	t.Helper()
	all := map[string][]map[string]any{}
	for line := range strings.Lines(stdout) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		kind, _ := o["type"].(string)
		all[kind] = append(all[kind], o)
	}
	return all
}

const model = "us.amazon.nova-lite-v1:0"

func TestExitCodesTellWhatHappened(t *testing.T) {
	good := write(t, "good.jsonl", rows(3, "good"))
	bad := write(t, "bad.jsonl", rows(2, "bad")+"nonsense\n")
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"all rows answered", []string{"run", good, "--model", model}, 0, "3 answered"},
		{"a row set aside", []string{"run", bad, "--model", model}, 1, "1 set aside"},
		{"an unknown flag", []string{"run", good, "--colour"}, 2, "--colour"},
		{"an unknown command", []string{"ruin"}, 2, "ruin"},
		{"an argument too few", []string{"jobs", "status"}, 2, "jobs status"},
		{"no model", []string{"run", good}, 2, "--model"},
		{"a file that is not there", []string{"validate", "/does/not/exist.jsonl", "--model", model}, 3, "/does/not/exist.jsonl"},
		{"a file that would be rejected", []string{"validate", write(t, "t.csv", "a,b\n1,2\n"), "--model", model}, 3, "prompt_template"},
		{"a file that is rejected", []string{"run", write(t, "t.csv", "a,b\n1,2\n"), "--model", model}, 3, "prompt_template"},
		{"a bucket that is not there", []string{"run", good, "--model", model, "--bucket", "absent-bucket"}, 4, "absent-bucket"},
		{"a job that is not there", []string{"jobs", "status", "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghijkl"}, 4, "check name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, code := call(t, c.args...)
			if code != c.code || !strings.Contains(stdout+stderr, c.says) {
				t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
			}
		})
	}
}

func TestRunPrintsAnswersInOrderAndCopiesFiles(t *testing.T) {
	file := write(t, "q.jsonl", rows(120, "order"))
	stdout, stderr, code := call(t, "--json", "run", file, "--model", model, "--max-concurrent-jobs", "1")
	all := objects(t, stdout)
	if code != 0 || len(all["answer"]) != 120 || len(all["outcome"]) != 1 || len(all["progress"]) == 0 {
		t.Fatalf("exit code %d, %d answers\n%s", code, len(all["answer"]), stderr)
	}
	for i, a := range all["answer"] {
		if a["row"] != float64(i+1) || a["id"] != fmt.Sprintf("q%d", i+1) || a["status"] != "answered" {
			t.Fatalf("answer %d: %v", i+1, a)
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	stdout, stderr, code = call(t, "run", file, "--model", model, "--out", out)
	if code != 0 || !strings.Contains(stderr, "carried on") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for name := range strings.Lines(stdout) {
		if info, err := os.Stat(strings.TrimSpace(name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if body, err := os.ReadFile(filepath.Join(out, "results.jsonl")); err != nil || bytes.Count(body, []byte("\n")) != 120 {
		t.Errorf("results.jsonl: %v", err)
	}
}

func TestRunAnswersAFolderWithTheSettingsInIt(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	for name, text := range map[string]string{
		"workload.yaml": "model: " + model + "\nprompt_template_file: _prompt.txt\n", "_prompt.txt": "Summarise {name}: {content}",
		"a.md": "Alpha", "deep/b.md": "Beta", "c.txt": "Gamma",
	} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stdout, stderr, code := call(t, "run", dir, "--pattern", "**/*.md", "--out", out)
	if code != 0 || stdout != out+"\n" || !strings.Contains(stderr, "2 files: 2 answered") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if _, err := os.Stat(filepath.Join(out, "deep", "b.md.answer.txt")); err != nil {
		t.Error(err)
	}
}

func TestValidateAndTryTellThePriceBeforehand(t *testing.T) {
	file := write(t, "q.jsonl", rows(500, "try")+"nonsense\n")
	stdout, _, code := call(t, "validate", file, "--model", model, "--max-tokens", "100")
	for _, want := range []string{"500 can be asked, 1 would be set aside", "line 501: not_json", "1 batch jobs, 0 rows on demand", "cost      $"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	stdout, stderr, code := call(t, "try", file, "--model", model)
	if code != 0 || strings.Count(stdout, `"status":"answered"`) != 10 || !strings.Contains(stderr, "on demand") || !strings.Contains(stderr, "the whole file, were its answers like these: 500 rows") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

func TestManualPagesAndCompletionsAreWritten(t *testing.T) {
	dir := t.TempDir()
	stdout, stderr, code := call(t, "man", dir)
	if body, err := os.ReadFile(filepath.Join(dir, "bedrock-batch-jobs-list.1")); code != 0 || err != nil || !bytes.HasPrefix(body, []byte(".TH ")) || !bytes.Contains(body, []byte("since")) {
		t.Errorf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if stdout, _, code := call(t, "completion", shell); code != 0 || !strings.Contains(stdout, "bedrock-batch") {
			t.Errorf("%s: exit code %d", shell, code)
		}
	}
}

func TestAnExcelWorkbookIsConverted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cities.xlsx")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(out)
	for name, text := range map[string]string{
		"xl/workbook.xml":            `<workbook xmlns="m" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Cities" r:id="rId7"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="rId7" Target="worksheets/sheet1.xml"/></Relationships>`,
		"xl/sharedStrings.xml":       `<sst><si><t>city</t></si><si><r><t>Pa</t></r><r><t>ris</t></r></si></sst>`,
		"xl/worksheets/sheet1.xml": `<worksheet><sheetData><row><c r="A1" t="inlineStr"><is><t>n</t></is></c><c r="B1" t="s"><v>0</v></c></row>` +
			`<row><c r="A2"><v>7.5</v></c><c r="B2" t="s"><v>1</v></c></row><row/><row><c r="B4" t="str"><v>Rome, "Italy"</v></c></row></sheetData></worksheet>`,
	} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, text)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	out.Close()
	args := []string{"--model", model, "--prompt-template", "Where is {city}, {n}?"}
	stdout, stderr, code := call(t, append([]string{"validate", file}, args...)...)
	if code != 0 || !strings.Contains(stdout, "2 can be asked, 0 would be set aside") || !strings.Contains(stderr, `sheet "Cities"`) {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if stdout, stderr, code = call(t, append([]string{"run", file}, args...)...); code != 0 || strings.Count(stdout, "answered") != 2 {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if _, stderr, code = call(t, append([]string{"run", write(t, "no.xlsx", "nonsense")}, args...)...); code != 3 || !strings.Contains(stderr, "no Excel workbook") {
		t.Errorf("no workbook: exit code %d\n%s", code, stderr)
	}
}

func TestJobsAreListedReadAwaitedAndCancelled(t *testing.T) {
	file := write(t, "q.jsonl", rows(100, "jobs"))
	if _, stderr, code := call(t, "run", file, "--model", model, "--name", "for-jobs"); code != 0 {
		t.Fatal(stderr)
	}
	stdout, _, _ := call(t, "--json", "runs", "status", "for-jobs")
	part := objects(t, stdout)["run"][0]["parts"].([]any)[0].(map[string]any)
	arn := part["jobArn"].(string)
	stdout, _, code := call(t, "--json", "jobs", "list", "--since", "1h")
	found := false
	for _, j := range objects(t, stdout)["job"] {
		found = found || j["jobArn"] == arn && j["status"] == "Completed"
	}
	if code != 0 || !found {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	if stdout, _, code = call(t, "jobs", "wait", arn); code != 0 || !strings.Contains(stdout, "100 of 100 records") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	if _, stderr, code := call(t, "jobs", "cancel", arn); code != 3 {
		t.Errorf("a job that has ended: exit code %d\n%s", code, stderr)
	}
	if stdout, _, code = call(t, "runs", "list"); code != 0 || !strings.Contains(stdout, "for-jobs\tCompleted\t100 of 100 rows") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}

func TestAnInterruptLeavesJobsRunningAndSaysHowToComeBack(t *testing.T) {
	// Three jobs, one at a time and looked at once an hour: it cannot end
	// before it is interrupted.
	settings := write(t, "workload.yaml", settingsFile+"quotas: {max_records: 200}\n")
	file := write(t, "q.jsonl", rows(500, settings))
	args := []string{"run", file, "--settings", settings, "--max-concurrent-jobs", "1"}
	cmd := command(append(args, "--poll", "1h")...)
	var out, talk bytes.Buffer
	cmd.Stdout = &out
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	sent := false
	for buf := make([]byte, 4096); ; {
		n, err := stderr.Read(buf)
		talk.Write(buf[:n])
		if !sent && strings.Contains(talk.String(), "is started") {
			sent = true
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil {
			break
		}
	}
	_ = cmd.Wait()
	if cmd.ProcessState.ExitCode() != 130 || !strings.Contains(talk.String(), "come back with: bedrock-batch --poll 100ms run "+file) {
		t.Fatalf("exit code %d\n%s", cmd.ProcessState.ExitCode(), talk.String())
	}
	if _, said, code := call(t, args...); code != 0 || !strings.Contains(said, "500 answered") {
		t.Errorf("exit code %d\n%s", code, said)
	}
}

// Killed at random moments and started again, every input is answered once and
// the account has one job for each part.
func TestRunKilledAtRandomMomentsAnswersEveryInputOnce(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for round := range 4 {
		name := fmt.Sprintf("killed-%d-%d", seed, round)
		settings := write(t, "workload.yaml", "model: "+model+"\nquotas: {max_records: 200}\n")
		file := write(t, "q.jsonl", rows(500, name))
		args := []string{"--json", "run", file, "--name", name, "--settings", settings}
		for range 4 {
			cmd := command(args...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(time.Duration(random.IntN(1500))*time.Millisecond, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
			_ = cmd.Wait()
		}
		stdout, stderr, code := call(t, args...)
		all := objects(t, stdout)
		if code != 0 || len(all["answer"]) != 500 {
			t.Fatalf("%s: exit code %d, %d answers\n%s", name, code, len(all["answer"]), stderr)
		}
		stdout, _, _ = call(t, "--json", "runs", "status", name)
		parts := objects(t, stdout)["run"][0]["parts"].([]any)
		names := map[string]int{}
		stdout, _, _ = call(t, "--json", "jobs", "list", "--limit", "0")
		own := map[string]bool{}
		for _, p := range parts {
			own[p.(map[string]any)["jobArn"].(string)] = true
		}
		prefix := ""
		for _, j := range objects(t, stdout)["job"] {
			if own[j["jobArn"].(string)] {
				prefix = j["name"].(string)[:34] // deployment and submission
			}
		}
		for _, j := range objects(t, stdout)["job"] {
			if n := j["name"].(string); strings.HasPrefix(n, prefix) {
				names[n]++
			}
		}
		if len(names) != len(parts) || len(parts) != 3 {
			t.Errorf("%s: %d parts, jobs %v", name, len(parts), names)
		}
		for n, times := range names {
			if times != 1 {
				t.Errorf("%s: %d jobs are called %s", name, times, n)
			}
		}
	}
}
