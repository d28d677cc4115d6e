package lambda

import (
	"context"
	"fmt"
	"math"
	"os"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/sqs"
)

// function is a declared function and its processes.
type function struct {
	Function
	service        *Service
	logFile, usage *os.File
	dir            string // of both

	logMu   sync.Mutex
	logRead int64 // how far the log has been passed on

	mu        sync.Mutex
	processes map[*process]bool
	idle      []*process
	active    int
	closed    bool
}

// Result is what came of an invocation.
type Result struct {
	// RequestID names the invocation in logs.
	RequestID string
	// Payload is the answer, or the error document.
	Payload []byte
	// FunctionError is empty or Unhandled.
	FunctionError string
	// LogTail is the end of what the function logged meanwhile, up to 4 KB.
	LogTail []byte
}

// Usage is one line of usage.jsonl: what an invocation took.
type Usage struct {
	Time      time.Time `json:"time"`
	RequestID string    `json:"requestId"`
	PID       int       `json:"pid"`
	// Outcome is ok, error, timeout, crash or init.
	Outcome    string  `json:"outcome"`
	DurationMS float64 `json:"durationMs"`
	InitMS     float64 `json:"initMs,omitzero"`
	MemoryMB   int     `json:"memoryMb"`
	// MaxRSSBytes is the process's high-water mark of resident memory so far;
	// 0 where it could not be read.
	MaxRSSBytes int64 `json:"maxRssBytes"`
}

// InvokeAs invokes the function as the principal and waits for its answer.
// That the function failed is in the result, not in the error.
func (s *Service) InvokeAs(ctx context.Context, p *access.Principal, functionARN string, payload []byte) (Result, error) {
	f, err := s.authorised(ctx, p, "InvokeFunction", functionARN)
	if err != nil {
		return Result{}, err
	}
	if len(payload) > maxPayload {
		return Result{}, &access.APIError{Code: "RequestTooLargeException", Status: 413, Message: fmt.Sprintf("Request must be smaller than 6291456 bytes for the InvokeFunction operation; this one has %d", len(payload))}
	}
	return f.invoke(newID(), payload)
}

// acquire takes an idle process, the one used last first, or starts one.
func (f *function) acquire() (p *process, fresh bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, false, &access.APIError{Code: "ServiceException", Status: 500, Message: "the local services are stopping"}
	}
	if f.Concurrency > 0 && f.active >= f.Concurrency {
		f.measured(Measure{At: f.service.clock.Now(), Throttled: true})
		return nil, false, &access.APIError{Code: "TooManyRequestsException", Status: 429, Message: "Rate Exceeded."}
	}
	if n := len(f.idle); n > 0 {
		p, f.idle = f.idle[n-1], f.idle[:n-1]
	} else {
		if p, err = f.start(); err != nil {
			return nil, false, err
		}
		f.processes[p] = true
		fresh = true
	}
	f.active++
	return p, fresh, nil
}

// limit is how long an invocation may take. It passes on the clock, so that it
// keeps its proportion to visibility timeouts and to what functions derive from
// their deadline; but work does not become faster with the clock, so it is
// never cut below slowest.
func (f *function) limit() time.Duration {
	const slowest = 30 * time.Second
	return max(f.service.clock.Short(f.Timeout), min(f.Timeout, slowest))
}

// release makes a process that asks for work available.
func (f *function) release(p *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.processes[p] {
		f.idle = append(f.idle, p)
	}
}

// forget removes a process that has ended.
func (f *function) forget(p *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.processes, p)
	for i, q := range f.idle {
		if q == p {
			f.idle = append(f.idle[:i], f.idle[i+1:]...)
			break
		}
	}
}

func (f *function) killAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for p := range f.processes {
		p.kill()
	}
}

// failure is an error document as Lambda writes it.
func failure(kind, format string, args ...any) []byte {
	b, err := json.Marshal(map[string]string{"errorType": kind, "errorMessage": fmt.Sprintf(format, args...)})
	if err != nil {
		return []byte(`{"errorType":"` + kind + `"}`) // the text was not UTF-8
	}
	return b
}

// invoke runs one invocation in a process of its own.
func (f *function) invoke(id string, payload []byte) (Result, error) {
	var u Usage
	p, fresh, err := f.acquire()
	if err != nil {
		return Result{}, err
	}
	if fresh {
		began := time.Now()
		res, ok := f.await(p, id)
		u.InitMS = ms(time.Since(began))
		if !ok {
			f.end(p, &u, id, "init", time.Now())
			return res, nil
		}
	}
	inv := &invocation{id: id, payload: payload, answer: make(chan answer, 1)}
	p.mu.Lock()
	p.current = inv
	p.mu.Unlock()
	offset := f.logEnd()
	fmt.Fprintf(f.logFile, "START RequestId: %s Version: $LATEST\n", id)
	began := time.Now()
	allowed := f.limit()
	inv.deadline = began.Add(allowed)
	limit := time.NewTimer(allowed)
	defer limit.Stop()
	if hit, when := f.service.throw(f.service.cfg.Kill); hit {
		// Any order of magnitude is as likely, from a millisecond up.
		span := math.Log(allowed.Seconds() / 0.001)
		t := time.AfterFunc(time.Duration(math.Exp(when*span)*float64(time.Millisecond)), p.kill)
		defer t.Stop()
	}
	res := Result{RequestID: id, FunctionError: "Unhandled"}
	outcome := "crash"
	select {
	case p.work <- inv:
	case <-p.gone:
		f.end(p, &u, id, "crash", began)
		if !fresh {
			return f.invoke(id, payload) // it ended while it was idle: nobody has seen the payload
		}
		res.Payload = failure("Runtime.ExitError", "RequestId: %s Error: %s", id, p.fault)
		return res, nil
	}
	select {
	case a := <-inv.answer:
		outcome = "ok"
		res.Payload = a.payload
		if a.failed {
			outcome = "error"
		} else {
			res.FunctionError = ""
		}
		// It is over when the program asks for more.
		select {
		case <-p.asked:
		case <-p.gone:
		case <-limit.C:
			p.kill()
			<-p.gone
		}
	case <-limit.C:
		outcome = "timeout"
		p.kill()
		<-p.gone
		res.Payload = failure("Sandbox.Timedout", "RequestId: %s Error: Task timed out after %.2f seconds", id, f.Timeout.Seconds())
		fmt.Fprintf(f.logFile, "%s %s Task timed out after %.2f seconds\n", time.Now().UTC().Format(time.RFC3339Nano), id, f.Timeout.Seconds())
	case <-p.gone:
		select {
		case a := <-inv.answer: // it answered and ended, as after a panic
			res.Payload, outcome = a.payload, "crash"
			if !a.failed {
				res.FunctionError, outcome = "", "ok"
			}
		default:
			res.Payload = failure("Runtime.ExitError", "RequestId: %s Error: %s", id, p.fault)
		}
	}
	f.end(p, &u, id, outcome, began)
	res.LogTail = f.logSince(offset)
	return res, nil
}

// await waits until a fresh program asks for work for the first time.
func (f *function) await(p *process, id string) (Result, bool) {
	limit := time.NewTimer(initLimit)
	defer limit.Stop()
	select {
	case <-p.asked:
		return Result{}, true
	case <-p.gone:
	case <-limit.C:
		p.kill()
		<-p.gone
		return Result{RequestID: id, FunctionError: "Unhandled", Payload: failure("Sandbox.Timedout", "RequestId: %s Error: the program did not ask for work within %v of its start", id, initLimit)}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	res := Result{RequestID: id, FunctionError: "Unhandled", Payload: p.initErr}
	if res.Payload == nil {
		res.Payload = failure("Runtime.ExitError", "RequestId: %s Error: %s", id, p.fault)
	}
	return res, false
}

// end records an invocation and gives the process back, if it lives.
func (f *function) end(p *process, u *Usage, id, outcome string, began time.Time) {
	u.Time, u.RequestID, u.PID, u.Outcome, u.MemoryMB = time.Now().UTC(), id, p.cmd.Process.Pid, outcome, f.MemoryMB
	u.DurationMS = ms(time.Since(began))
	u.MaxRSSBytes = p.readPeak()
	p.mu.Lock()
	p.current = nil
	p.mu.Unlock()
	fmt.Fprintf(f.logFile, "END RequestId: %s\nREPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %.0f ms\tMemory Size: %d MB\tMax Memory Used: %d MB\tStatus: %s\n",
		id, id, u.DurationMS, math.Ceil(u.DurationMS), f.MemoryMB, u.MaxRSSBytes>>20, outcome)
	line, err := json.Marshal(u)
	if err == nil {
		_, err = f.usage.Write(append(line, '\n'))
	}
	if err != nil {
		f.service.log.Error("lambda: record usage", "function", f.Name, "error", err)
	}
	f.measured(Measure{At: u.Time, Failed: outcome != "ok", Duration: f.proportion(time.Since(began))})
	f.readLog()
	f.mu.Lock()
	f.active--
	f.mu.Unlock()
	select {
	case <-p.gone:
	default:
		f.release(p)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (f *function) logEnd() int64 {
	info, err := f.logFile.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// logSince is the end of the log after offset, up to 4 KB. Invocations running
// at the same time log into the same file.
func (f *function) logSince(offset int64) []byte {
	end := f.logEnd()
	offset = max(offset, end-4096)
	b := make([]byte, max(0, end-offset))
	n, err := f.logFile.ReadAt(b, offset)
	if err != nil {
		return b[:n] // the tail is a convenience
	}
	return b
}

// InvokeAsyncAs queues an invocation as the principal. A function that fails is
// retried after one minute and after two more, as many times as it allows;
// then the event goes to the function's destination for failures, if it has
// one. Queued invocations do not survive a restart.
func (s *Service) InvokeAsyncAs(ctx context.Context, p *access.Principal, functionARN string, payload []byte) error {
	_, err := s.invokeAsync(ctx, p, functionARN, payload)
	return err
}

func (s *Service) invokeAsync(ctx context.Context, p *access.Principal, functionARN string, payload []byte) (id string, err error) {
	f, err := s.authorised(ctx, p, "InvokeFunction", functionARN)
	if err != nil {
		return "", err
	}
	if len(payload) > 1<<20 {
		return "", &access.APIError{Code: "RequestTooLargeException", Status: 413, Message: fmt.Sprintf("%d byte payload is too large for the Event invocation type (limit 1048576 bytes)", len(payload))}
	}
	id = newID()
	s.background.Go(func() { f.async(id, payload) })
	return id, nil
}

func (f *function) async(id string, payload []byte) {
	s := f.service
	retries := 2
	if f.Retries != nil {
		retries = *f.Retries
	}
	began := s.clock.Now()
	condition := "RetriesExhausted"
	var res Result
	attempt := 1
	for ; ; attempt++ {
		var err error
		res, err = f.invoke(id, payload)
		if err == nil && res.FunctionError == "" {
			return
		}
		wait := time.Duration(attempt) * time.Minute
		if err != nil { // throttled, or the program could not be started: not an attempt
			s.log.Warn("lambda: asynchronous invocation", "function", f.Name, "request", id, "error", err)
			attempt--
			wait = time.Second * 10
		} else if attempt > retries {
			break
		}
		if s.clock.Now().Sub(began)+s.clock.Short(wait) > s.clock.Short(f.MaxEventAge) {
			condition = "EventAgeExceeded"
			break
		}
		if s.clock.Sleep(s.running, wait) != nil {
			return // the services are stopping
		}
	}
	s.log.Warn("lambda: asynchronous invocation failed for good", "function", f.Name, "request", id, "attempts", attempt, "condition", condition)
	if f.OnFailureARN == "" {
		return
	}
	asJSON := func(b []byte) jsontext.Value {
		if v := jsontext.Value(b); v.IsValid() {
			return v
		}
		text, err := json.Marshal(string(b))
		if err != nil {
			return jsontext.Value("null")
		}
		return text
	}
	record, err := json.Marshal(map[string]any{
		"version": "1.0", "timestamp": s.clock.Now().Format("2006-01-02T15:04:05.000Z"),
		"requestContext":  map[string]any{"requestId": id, "functionArn": ARN(f.Name) + ":$LATEST", "condition": condition, "approximateInvokeCount": attempt},
		"requestPayload":  asJSON(payload),
		"responseContext": map[string]any{"statusCode": 200, "executedVersion": "$LATEST", "functionError": res.FunctionError},
		"responsePayload": asJSON(res.Payload),
	})
	if err == nil {
		_, err = s.cfg.Queues.SendAs(s.running, f.Role, f.OnFailureARN, sqs.Outgoing{Body: string(record)})
	}
	if err != nil {
		s.log.Error("lambda: send to the destination for failures", "function", f.Name, "queue", f.OnFailureARN, "error", err)
	}
}
