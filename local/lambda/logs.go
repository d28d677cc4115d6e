package lambda

import (
	"bytes"
	"io"
	"time"
)

// logEvery is how often a log is looked at for new lines, beside at the end of
// each invocation.
const logEvery = 200 * time.Millisecond

// Measure is what an invocation shows.
type Measure struct {
	// At is when it ended.
	At time.Time
	// Throttled: it never began, for all the function's concurrency was taken.
	Throttled bool
	// Failed: the function ended with an error, by its time limit or otherwise
	// outside its control.
	Failed bool
	// Duration is how long it took, in proportion to the function's own time
	// limit where the clock has cut that short.
	Duration time.Duration
}

func (f *function) measured(m Measure) {
	if f.service.cfg.Measured != nil {
		f.service.cfg.Measured(f.Name, m)
	}
}

// proportion is a duration as it would be if the time limit were not cut short
// by a faster clock.
func (f *function) proportion(d time.Duration) time.Duration {
	return time.Duration(float64(d) * float64(f.Timeout) / float64(f.limit()))
}

// follow passes the log on until the service stops.
func (f *function) follow() {
	tick := time.NewTicker(logEvery)
	defer tick.Stop()
	for {
		select {
		case <-f.service.running.Done():
			return // Close reads the rest
		case <-tick.C:
			f.readLog()
		}
	}
}

// readLog passes on what has been logged since the last time, in whole lines:
// programs write each with one call.
func (f *function) readLog() {
	if f.service.cfg.Logged == nil {
		return
	}
	f.logMu.Lock()
	defer f.logMu.Unlock()
	rest, err := io.ReadAll(io.NewSectionReader(f.logFile, f.logRead, f.logEnd()-f.logRead))
	if err != nil {
		f.service.log.Error("lambda: read a log", "function", f.Name, "error", err)
		return
	}
	for line := range bytes.Lines(rest) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			return // still being written
		}
		f.logRead += int64(len(line))
		f.service.cfg.Logged(f.Name, bytes.TrimRight(line, "\r\n"))
	}
}
