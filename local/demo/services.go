package demo

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
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// services is the local services' process.
type services struct {
	cmd  *exec.Cmd
	logs string            // folder of the functions' logs
	env  map[string]string // what a user's shell would have
	said *tail
	done chan error
}

// startServices starts the program with its data in dir and returns when it is
// ready.
func startServices(ctx context.Context, program, dir string, args []string) (*services, error) {
	s := &services{logs: filepath.Join(dir, "log"), said: &tail{}, done: make(chan error, 1)}
	args = append([]string{"--port", "0", "--data", filepath.Join(dir, "data"), "--log", s.logs, "--env", filepath.Join(dir, "env")}, args...)
	s.cmd = exec.Command(program, args...)
	s.cmd.Stderr = s.said
	// Ctrl-C goes to this program, which stops the services in its own order.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the local services: %w", err)
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the local services: %w", err)
	}
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if _, path, ok := strings.Cut(lines.Text(), " env="); ok && strings.HasPrefix(lines.Text(), "ready ") {
				ready <- path
			}
		}
		_, _ = io.Copy(io.Discard, out) // a line too long for the scanner must not block the services
		s.done <- s.cmd.Wait()
	}()
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()
	select {
	case path := <-ready:
		if s.env, err = readEnvironment(path); err == nil {
			return s, nil
		}
	case err = <-s.done:
		s.done <- err
		err = fmt.Errorf("the local services ended before they were ready: %w", errors.Join(err, errors.New(s.said.String())))
	case <-timer.C:
		err = fmt.Errorf("the local services were not ready after a minute; they said:\n%s", s.said)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, s.stop())
}

// stop ends the process, at first politely.
func (s *services) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop the local services: %w", err)
	}
	select {
	case <-s.done:
		return nil
	case <-time.After(15 * time.Second):
	}
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the local services: %w", err)
	}
	<-s.done
	return errors.New("the local services did not end within 15 seconds and were killed")
}

var assignment = regexp.MustCompile(`^export ([A-Z0-9_]+)=(?:'(.*)'|(.*))$`)

// readEnvironment reads the file of shell variables.
func readEnvironment(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the services' environment: %w", err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if m := assignment.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			env[m[1]] = strings.ReplaceAll(m[2]+m[3], `'\''`, `'`)
		}
	}
	var missing []string
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
		"BB_INPUT_BUCKET", "BB_OUTPUT_BUCKET", "BB_TOPIC_ARN"} {
		if env[name] == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("the services' environment %s lacks %s", path, strings.Join(missing, ", "))
	}
	return env, nil
}

// lastWords are the last lines of the functions' logs and of the services, for
// whoever has to find out why nothing comes.
func (s *services) lastWords() string {
	var b strings.Builder
	logs, err := filepath.Glob(filepath.Join(s.logs, "*", "*.log"))
	if err != nil || len(logs) == 0 {
		fmt.Fprintf(&b, "there are no function logs in %s\n", s.logs)
	}
	for _, path := range logs {
		data, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintf(&b, "%v\n", err)
			continue
		}
		name, _ := filepath.Rel(s.logs, path)
		fmt.Fprintf(&b, "--- last lines of %s\n%s\n", name, lastLines(data, 12))
	}
	fmt.Fprintf(&b, "--- last lines of the local services\n%s\n", lastLines([]byte(s.said.String()), 12))
	return b.String()
}

func lastLines(data []byte, n int) string {
	lines := bytes.Split(bytes.TrimRight(data, "\n"), []byte{'\n'})
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return string(bytes.Join(lines, []byte{'\n'}))
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	data []byte
}

const tailSize = 64 << 10

// Write keeps the last bytes.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	if over := len(t.data) - tailSize; over > 0 {
		t.data = append([]byte(nil), t.data[over:]...)
	}
	return len(p), nil
}

// String is what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.data)
}
