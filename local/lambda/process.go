package lambda

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

const (
	// initLimit is how long a program may take until it asks for work.
	initLimit = 10 * time.Second
	// maxPayload is AWS's limit of requests and responses.
	maxPayload = 6 << 20
)

// process is one running program with a Runtime API of its own. It handles one
// invocation at a time.
type process struct {
	f       *function
	cmd     *exec.Cmd
	dir     string
	server  *http.Server
	started time.Time

	work  chan *invocation // handed to the program that asks for it
	asked chan struct{}    // one for each time it asks
	gone  chan struct{}    // closed when it has ended
	fault string           // why it ended, set before gone is closed

	mu      sync.Mutex
	current *invocation
	initErr []byte
	peak    int64 // resident bytes, the last reading
}

// invocation is one call of a function in a process.
type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	answer   chan answer // of size 1
}

// answer is what the program said.
type answer struct {
	payload []byte
	failed  bool
}

// start runs the program.
func (f *function) start() (*process, error) {
	root, err := os.MkdirTemp(f.service.cfg.WorkDir, "function-"+f.Name+"-")
	if err != nil {
		return nil, fmt.Errorf("start function %s: %w", f.Name, err)
	}
	p := &process{
		f: f, dir: root, started: time.Now(),
		work: make(chan *invocation), asked: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	wipe := func(err error) (*process, error) {
		return nil, errors.Join(fmt.Errorf("start function %s: %w", f.Name, err), os.RemoveAll(root))
	}
	for _, d := range []string{"task", "tmp"} {
		if err := os.Mkdir(filepath.Join(root, d), 0o700); err != nil {
			return wipe(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return wipe(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.server = &http.Server{Handler: p, BaseContext: func(net.Listener) context.Context { return ctx }}
	p.cmd = exec.Command(f.Binary)
	p.cmd.Dir = filepath.Join(root, "task")
	p.cmd.Env = f.environment(l.Addr().String(), root)
	p.cmd.Stdout, p.cmd.Stderr = f.logFile, f.logFile
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		cancel()
		l.Close()
		return wipe(err)
	}
	f.service.background.Go(func() {
		if err := p.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			f.service.log.Error("lambda: runtime API", "function", f.Name, "error", err)
		}
	})
	f.service.background.Go(func() {
		err := p.cmd.Wait()
		p.fault = "Runtime exited without providing a reason"
		if err != nil {
			p.fault = "Runtime exited with error: " + err.Error()
		}
		cancel()
		if err := errors.Join(p.server.Close(), os.RemoveAll(root)); err != nil {
			f.service.log.Error("lambda: clean up after a process", "function", f.Name, "error", err)
		}
		f.forget(p)
		close(p.gone)
	})
	return p, nil
}

// environment is all that the program sees; nothing of ours leaks into it.
func (f *function) environment(runtimeAPI, root string) []string {
	env := map[string]string{
		"AWS_LAMBDA_RUNTIME_API":          runtimeAPI,
		"AWS_LAMBDA_FUNCTION_NAME":        f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_LOG_GROUP_NAME":       f.LogGroup,
		"AWS_LAMBDA_LOG_STREAM_NAME":      time.Now().UTC().Format("2006/01/02") + "/[$LATEST]" + strings.ReplaceAll(newID(), "-", ""),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_EXECUTION_ENV":               "AWS_Lambda_provided.al2023",
		"AWS_REGION":                      access.Region,
		"AWS_DEFAULT_REGION":              access.Region,
		"AWS_ACCESS_KEY_ID":               f.Role.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY":           f.Role.Secret,
		"AWS_ENDPOINT_URL":                f.service.cfg.Endpoint,
		"AWS_EC2_METADATA_DISABLED":       "true",
		"_HANDLER":                        f.Handler,
		"LAMBDA_TASK_ROOT":                filepath.Dir(f.Binary),
		"LAMBDA_RUNTIME_DIR":              filepath.Dir(f.Binary),
		"PATH":                            "/usr/local/bin:/usr/bin:/bin",
		"LANG":                            "en_US.UTF-8",
		"TZ":                              ":UTC",
		"TMPDIR":                          filepath.Join(root, "tmp"),
		"HOME":                            filepath.Join(root, "tmp"), // no settings of the user's
	}
	maps.Copy(env, f.Environment)
	var list []string
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	return list
}

// kill ends the program and what it started, at once.
func (p *process) kill() {
	p.readPeak()
	// The group's id is the program's. It may have ended by itself.
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		p.f.service.log.Error("lambda: kill", "function", p.f.Name, "pid", p.cmd.Process.Pid, "error", err)
	}
}

// readPeak reads the program's own high-water mark of resident memory. The
// figure that wait4 gives is no use: it includes ours, from before the exec.
func (p *process) readPeak() int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		return p.peak // gone, or a system without /proc
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			if kb, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64); err == nil {
				p.peak = max(p.peak, kb<<10)
			}
		}
	}
	return p.peak
}

// ServeHTTP is the Runtime API as the program uses it.
func (p *process) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const prefix = "/2018-06-01/runtime/"
	path, ok := strings.CutPrefix(r.URL.Path, prefix)
	parts := strings.Split(path, "/")
	switch {
	case ok && r.Method == http.MethodGet && path == "invocation/next":
		p.next(w, r)
	case ok && r.Method == http.MethodPost && path == "init/error":
		body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload))
		if err != nil {
			return
		}
		p.mu.Lock()
		p.initErr = body
		p.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	case ok && r.Method == http.MethodPost && len(parts) == 3 && parts[0] == "invocation" && (parts[2] == "response" || parts[2] == "error"):
		p.finish(w, r, parts[1], parts[2] == "error")
	default:
		runtimeError(w, http.StatusNotFound, "InvalidPath", r.Method+" "+r.URL.Path+" is not part of the Runtime API here")
	}
}

func runtimeError(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errorType":%q,"errorMessage":%q}`, kind, message)
}

func (p *process) next(w http.ResponseWriter, r *http.Request) {
	select {
	case p.asked <- struct{}{}:
	default: // it asks twice
	}
	select {
	case <-r.Context().Done():
	case inv := <-p.work:
		h := w.Header()
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", ARN(p.f.Name))
		h.Set("Lambda-Runtime-Trace-Id", fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", inv.deadline.Unix(), hexID(12), hexID(8)))
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(inv.payload)))
		w.Write(inv.payload) // a program that does not read it runs into its time limit
	}
}

func (p *process) finish(w http.ResponseWriter, r *http.Request, id string, failed bool) {
	p.mu.Lock()
	inv := p.current
	p.mu.Unlock()
	if inv == nil || inv.id != id {
		runtimeError(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err != nil {
		return // the program went away, which is noticed elsewhere
	}
	a := answer{body, failed}
	if len(body) > maxPayload {
		a = answer{[]byte(`{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`), true}
	}
	p.readPeak() // while it waits for our word it is surely alive
	select {
	case inv.answer <- a:
		if len(body) > maxPayload {
			runtimeError(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "Exceeded maximum allowed payload size (6291556 bytes).")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"status":"OK"}`)
	default:
		runtimeError(w, http.StatusForbidden, "InvalidStateTransition", "the invocation has been answered already")
	}
}

func hexID(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return fmt.Sprintf("%x", b)
}

func newID() string {
	s := hexID(16)
	return s[:8] + "-" + s[8:12] + "-4" + s[13:16] + "-a" + s[17:20] + "-" + s[20:]
}
