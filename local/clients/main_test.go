package clients_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is also the function that the services run.
func TestMain(m *testing.M) {
	if os.Getenv("CLIENTS_FUNCTION") != "" {
		echo()
		return
	}
	os.Exit(m.Run())
}

// echo asks the Runtime API for work until the services are gone.
func echo() {
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		res, err := http.Get(base + "next")
		if err != nil {
			return
		}
		event, err := io.ReadAll(res.Body)
		if err != nil {
			return
		}
		path, answer := "/response", fmt.Appendf(nil, `{"echo":%s}`, event)
		if bytes.Contains(event, []byte(`"fail":true`)) {
			path, answer = "/error", []byte(`{"errorType":"errorString","errorMessage":"as told"}`)
		}
		fmt.Println("echoing", len(event), "bytes")
		if bytes.Contains(event, []byte(`"count":true`)) {
			fmt.Printf(`{"_aws":{"Timestamp":%d,"CloudWatchMetrics":[{"Namespace":"Clients","Dimensions":[["Kind"]],"Metrics":[{"Name":"Echoes","Unit":"Count"}]}]},"Kind":"counted","Echoes":3}`+"\n", time.Now().UnixMilli())
		}
		post, err := http.Post(base+res.Header.Get("Lambda-Runtime-Aws-Request-Id")+path, "application/json", bytes.NewReader(answer))
		if err != nil {
			return
		}
		post.Body.Close()
	}
}

// serve builds the services, runs them from the template in testdata and
// returns what their env file says, as an environment for a client's process.
func serve(t *testing.T) (environment []string) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "local")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/local").CombinedOutput(); err != nil {
		t.Fatalf("build the services: %v\n%s", err, out)
	}
	function := filepath.Join(dir, "functions", "echo")
	if err := errors.Join(os.MkdirAll(function, 0o755), copyFile(filepath.Join(function, "bootstrap"), os.Args[0], 0o755)); err != nil {
		t.Fatal(err)
	}
	services := exec.Command(program, "--port", "0", "--data", filepath.Join(dir, "state", "data"), "--template", "testdata/template.json",
		"--functions", filepath.Dir(function), "--job-time", "1s", "--stack", "clients-stack")
	var said bytes.Buffer
	services.Stderr = &said
	out, err := services.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := services.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := services.Process.Signal(syscall.SIGTERM)
		if err = errors.Join(err, services.Wait()); err != nil {
			t.Errorf("end of the services: %v", err)
		}
		if bytes.Contains(said.Bytes(), []byte("Unsolicited response")) {
			t.Error("an answer of the services belongs to no request")
		}
		if t.Failed() {
			t.Logf("the services said:\n%s", &said)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	_, env, ok := strings.Cut(strings.TrimSpace(line), "env=")
	if err != nil || !ok {
		t.Fatalf("the services are not ready: %q %v", line, err)
	}
	data, err := os.ReadFile(env)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		environment = append(environment, name+"="+strings.Trim(value, "'"))
	}
	return environment
}

func copyFile(to, from string, mode os.FileMode) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, mode)
}

// outcome is how one test of another language ended.
type outcome struct {
	Name, File, Error string
	Passed, Skipped   bool
}

// ask runs a client's suite, which prints an outcome per line, and makes a
// subtest of each.
func ask(t *testing.T, suite *exec.Cmd, atLeast int) {
	t.Helper()
	var said bytes.Buffer
	suite.Stderr = &said
	suite.WaitDelay = 10 * time.Second
	out, err := suite.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s: %v", suite.Path, err)
	}
	count := 0
	for line := range bytes.Lines(out) {
		var o outcome
		if json.Unmarshal(line, &o) != nil || o.Name == "" {
			t.Logf("%s", bytes.TrimSpace(line))
			continue
		}
		count++
		name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(o.File), filepath.Ext(o.File)), ".test")
		t.Run(name+"/"+o.Name, func(t *testing.T) {
			if !o.Passed || o.Skipped {
				t.Errorf("passed %t, skipped %t: %s", o.Passed, o.Skipped, o.Error)
			}
		})
	}
	if count < atLeast {
		t.Errorf("the suite ran %d tests, and there are %d or more (%v)", count, atLeast, err)
	}
	if err != nil || t.Failed() {
		t.Errorf("the suite: %v\n%s", err, &said)
	}
}
