// Package awstest runs the project's local services, so that the adapters are
// held to the contracts of their ports over the wire.
package awstest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Services are the local services without a template: buckets contract and
// contract-versioned, queue and topic contract, role contract-job, Bedrock.
type Services struct {
	// Env holds the variables that a user's shell would.
	Env map[string]string
	// Dir holds data, logs and mail.
	Dir string
}

// Start builds the local services, runs them on a free port until the test
// ends, and returns when they are ready. More flags go to the command.
func Start(t *testing.T, flags ...string) *Services {
	t.Helper()
	s, end, err := Run(t.TempDir(), flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		said, err := end()
		if err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the local services said:\n%s", said)
		}
	})
	return s
}

// Run is Start for those who have no test at hand, as examples: end ends the
// services and gives what they said. Everything is kept in dir.
func Run(dir string, flags ...string) (s *Services, end func() (said string, err error), err error) {
	return run(dir, append([]string{"--services-only"}, flags...))
}

// FromTemplate is Run with what a CloudFormation template declares in place of
// the buckets and queues of Services.
func FromTemplate(dir, template string, flags ...string) (s *Services, end func() (said string, err error), err error) {
	return run(dir, append([]string{"--template", template}, flags...))
}

// Deploy is Run with the whole pipeline: the functions are built and everything
// is wired by the golden template.
func Deploy(dir string, flags ...string) (s *Services, end func() (said string, err error), err error) {
	root, err := root()
	if err != nil {
		return nil, nil, err
	}
	functions := filepath.Join(dir, "functions")
	for _, name := range []string{"submit", "collect"} {
		cmd := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", filepath.Join(functions, name, "bootstrap"), "./functions/"+name)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, nil, fmt.Errorf("build function %s: %w\n%s", name, err, out)
		}
	}
	template := filepath.Join(root, "infra", "template", "bedrock-batch.template.json")
	return run(dir, append([]string{"--template", template, "--functions", functions}, flags...))
}

func run(dir string, flags []string) (s *Services, end func() (said string, err error), err error) {
	binary, err := build()
	if err != nil {
		return nil, nil, err
	}
	said := new(output)
	cmd := exec.Command(binary, append([]string{"--port", "0", "--data", filepath.Join(dir, "data")}, flags...)...)
	cmd.Dir = dir
	cmd.Stderr = said
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start the local services: %w", err)
	}
	defer func() {
		if err != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}()
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil, nil, fmt.Errorf("the local services ended before they were ready: %w\n%s", err, said.String())
		}
		file, ok := readyFile(line)
		if !ok {
			continue // what embedded servers have to say
		}
		env, err := readEnv(file)
		if err != nil {
			return nil, nil, err
		}
		go func() { _, _ = io.Copy(io.Discard, lines) }() // until the process ends
		return &Services{Env: env, Dir: dir}, func() (string, error) { return said.String(), stop(cmd) }, nil
	}
}

// Config is the SDK's configuration for the services' user, as the product
// itself would read it from the environment.
func (s *Services) Config(t *testing.T) aws.Config {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(t.Context(),
		config.WithRegion(s.Env["AWS_REGION"]),
		config.WithBaseEndpoint(s.Env["AWS_ENDPOINT_URL"]),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(s.Env["AWS_ACCESS_KEY_ID"], s.Env["AWS_SECRET_ACCESS_KEY"], "")),
	)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// root is the repository's folder.
func root() (string, error) {
	_, source, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("the source of package awstest is not known")
	}
	return filepath.Join(filepath.Dir(source), "..", "..", ".."), nil
}

// build makes the command once for all tests of a process. It is built anew by
// each process, which costs little where nothing has changed.
var build = sync.OnceValues(func() (string, error) {
	root, err := root()
	if err != nil {
		return "", err
	}
	module := filepath.Join(root, "local")
	if _, err := os.Stat(filepath.Join(module, "go.mod")); err != nil {
		return "", fmt.Errorf("find the local services: %w (is the test run with -trimpath?)", err)
	}
	binary := filepath.Join(os.TempDir(), fmt.Sprintf("bedrock-batch-local-%d-%d", os.Getuid(), os.Getpid()))
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/local")
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the local services: %w\n%s", err, out)
	}
	return binary, nil
})

// Main runs a package's tests and removes what Start built: call it from
// TestMain.
func Main(m *testing.M) {
	code := m.Run()
	_ = os.Remove(filepath.Join(os.TempDir(), fmt.Sprintf("bedrock-batch-local-%d-%d", os.Getuid(), os.Getpid())))
	os.Exit(code)
}

// stop ends the services, and kills them if they do not.
func stop(cmd *exec.Cmd) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-done:
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		<-done
		return errors.New("the local services did not end within 20 seconds")
	}
	return nil
}

// readyFile finds the file of variables in the line
// "ready http://127.0.0.1:PORT env=FILE".
func readyFile(line string) (string, bool) {
	fields := strings.Fields(line)
	if len(fields) < 3 || fields[0] != "ready" {
		return "", false
	}
	for _, field := range fields[1:] {
		if file, ok := strings.CutPrefix(field, "env="); ok {
			return file, true
		}
	}
	return "", false
}

// readEnv reads lines of "export NAME='value'".
func readEnv(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	env := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if ok {
			env[name] = strings.Trim(value, `'"`)
		}
	}
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		if env[name] == "" {
			return nil, fmt.Errorf("%s does not set %s", file, name)
		}
	}
	return env, nil
}

// output keeps what a process says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
