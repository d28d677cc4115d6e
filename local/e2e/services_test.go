package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// setup is how a test wants its services.
type setup struct {
	// flags are the program's, after those that all tests have: schedules
	// sleep, time passes 20 times faster, a job takes half a second.
	flags []string
	// scheduled lets the template's schedules run.
	scheduled bool
	// functions is a folder of other functions than the product's.
	functions string
	// edit changes the template's copy.
	edit func(t *testing.T, c *cloud)
}

// quotas are small enough for tests with few rows.
const quotas = `quotas={"min_records":100,"max_records":240,"max_file_bytes":1000000000}`

// services is a running process of the local services.
type services struct {
	dir  string // data, log, mail, env, access.jsonl
	said string // file of its standard error
	env  map[string]string
}

// serve starts services of the test's own and stops them at its end.
func serve(t *testing.T, s setup) *services {
	t.Helper()
	dir, err := os.MkdirTemp(programs.dir, "world-")
	if err != nil {
		t.Fatal(err)
	}
	w := &services{dir: dir, said: filepath.Join(dir, "services.log")}
	template := programs.template
	if s.edit != nil {
		template = filepath.Join(dir, "template.json")
		editTemplate(t, template, s.edit)
	}
	functions := programs.functions
	if s.functions != "" {
		functions = s.functions
	}
	args := []string{"--port", "0", "--data", filepath.Join(dir, "data"), "--template", template,
		"--functions", functions, "--speed", "20", "--job-time", "10s"}
	if !s.scheduled {
		args = append(args, "--no-schedules")
	}
	cmd := exec.Command(programs.services, append(args, s.flags...)...)
	said, err := os.Create(w.said)
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd.Stderr = said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ready := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n') // an empty line says the same
		ready <- line
		_, err := io.Copy(io.Discard, out)
		if waited := cmd.Wait(); waited != nil {
			err = waited
		}
		ended <- err
	}()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.lastWords())
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error("stop the services:", err)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the services ended with %v:\n%s", err, lastLines(w.said, 10))
			}
		case <-time.After(30 * time.Second):
			t.Errorf("the services did not end: %v", cmd.Process.Kill())
			<-ended
		}
		rights.read(t, filepath.Join(dir, "access.jsonl"))
		if *keep {
			t.Log("kept:", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	fields := strings.Fields(<-ready)
	if len(fields) != 3 || fields[0] != "ready" {
		t.Fatalf("the services did not get ready:\n%s", lastLines(w.said, 10))
	}
	w.env = environment(t, strings.TrimPrefix(fields[2], "env="))
	return w
}

func environment(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		env[name] = strings.Trim(value, "'")
	}
	return env
}

// functionLog is what all processes of a function logged.
func (s *services) functionLog(t *testing.T, function string) string {
	t.Helper()
	data, err := os.ReadFile(s.logPath(function, "function.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (s *services) logPath(function, name string) string {
	return filepath.Join(s.dir, "log", stackName+"-"+function, name)
}

const stackName = "bedrock-batch-dev"

// usage is one line of a function's usage record.
type usage struct {
	Time        time.Time
	PID         int
	Outcome     string
	DurationMS  float64
	MaxRSSBytes int64
}

// invocations are a function's, ended ones only.
func (s *services) invocations(t *testing.T, function string) []usage {
	t.Helper()
	data, err := os.ReadFile(s.logPath(function, "usage.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var all []usage
	for line := range bytes.Lines(data) {
		if line[len(line)-1] != '\n' {
			break // being written
		}
		var u usage
		if err := json.Unmarshal(line, &u); err != nil {
			t.Fatal(err)
		}
		all = append(all, u)
	}
	return all
}

// processes are the ids of a function's running processes.
func (s *services) processes(t *testing.T, function string) []int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, path := range paths {
		env, err := os.ReadFile(path)
		if err != nil {
			continue // gone, or somebody else's
		}
		if bytes.Contains(env, []byte("AWS_ENDPOINT_URL="+s.env["AWS_ENDPOINT_URL"]+"\x00")) &&
			bytes.Contains(env, []byte("AWS_LAMBDA_FUNCTION_NAME="+stackName+"-"+function+"\x00")) {
			var pid int
			if _, err := fmt.Sscanf(path, "/proc/%d/environ", &pid); err != nil {
				t.Fatal(err)
			}
			all = append(all, pid)
		}
	}
	return all
}

// lastWords is what helps to find out why a test failed.
func (s *services) lastWords() string {
	var b strings.Builder
	for _, function := range []string{"submit", "collect"} {
		fmt.Fprintf(&b, "--- %s\n%s\n", function, lastLines(s.logPath(function, "function.log"), 25))
	}
	fmt.Fprintf(&b, "--- services\n%s", lastLines(s.said, 15))
	return b.String()
}

var runtimeLines = regexp.MustCompile(`(?m)^(START|END|REPORT) RequestId.*\n`)

func lastLines(path string, n int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	data = runtimeLines.ReplaceAll(data, nil)
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	for i, line := range lines {
		if len(line) > 600 {
			lines[i] = line[:600] + "…"
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
