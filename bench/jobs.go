package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bedrock-batch/bedrock-batch/bench/data"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// Report is what a job's process says of itself when it ends; a peer in
// another language prints the same object.
type Report struct {
	// Seconds of the work alone: the start of the process is not counted.
	Seconds float64 `json:"seconds"`
	// FirstSeconds is until the first job was created, or the notice sent.
	FirstSeconds float64 `json:"first_seconds,omitempty"`
	CPUSeconds   float64 `json:"cpu_seconds"`
	// PeakBytes is the kernel's high-water mark of resident memory.
	PeakBytes int64 `json:"peak_bytes"`
	// Bytes is how much was read, Rows of how many rows.
	Bytes int64 `json:"bytes"`
	Rows  int64 `json:"rows,omitempty"`
	// Jobs, Messages and JobCalls count what went to Bedrock and the queues.
	Jobs     int64  `json:"jobs,omitempty"`
	Messages int64  `json:"messages,omitempty"`
	JobCalls int64  `json:"job_calls,omitempty"`
	Notices  int64  `json:"notices,omitempty"`
	Notice   string `json:"notice,omitempty"`
}

// finish completes a report and prints it.
func (r Report) finish(start time.Time) error {
	r.Seconds = time.Since(start).Seconds()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	r.CPUSeconds = float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
	var err error
	if r.PeakBytes, err = highWater(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// highWater is the most memory that this process has held.
func highWater() (int64, error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no high-water mark in /proc/self/status")
}

// prepare runs the submitting half on an upload until its jobs are created.
func prepare(ctx context.Context, endpoint, key string) error {
	w := newWorld(endpoint)
	handle := w.submit()
	object, err := w.input.Stat(ctx, key, "")
	if err != nil {
		return err
	}
	start := time.Now()
	w.uploads.bodies = append(w.uploads.bodies, notification(key, object.Size))
	if err := drive(ctx, w.uploads, handle); err != nil {
		return err
	}
	if len(w.bedrock.created) == 0 {
		return fmt.Errorf("no job was created of %s", key)
	}
	return Report{
		FirstSeconds: w.bedrock.first.Sub(start).Seconds(), Bytes: object.Size, Jobs: int64(len(w.bedrock.created)),
		Messages: w.uploads.sent + w.jobs.sent, JobCalls: w.bedrock.calls,
	}.finish(start)
}

// endedJobs are the jobs of a prepared submission as the benchmark ended them,
// in the order of its parts.
func endedJobs(ctx context.Context, w *world, id string, shape data.Shape) ([]batch.Job, error) {
	s, err := pipeline.View{Output: w.output}.Submission(ctx, id)
	if err != nil {
		return nil, err
	}
	var out []batch.Job
	for _, p := range s.Parts {
		var failed int64
		for row := p.FirstRow; row <= p.LastRow; row++ {
			if shape.Good(row) && data.Failed(row) {
				failed++
			}
		}
		n := int64(p.Records)
		out = append(out, batch.Job{
			ARN: p.JobARN, Name: p.JobName, ModelID: s.ModelID, Status: batch.Completed, Ended: time.Now(),
			Counts: &batch.Counts{Total: n, Processed: n, Success: n - failed, Error: failed},
		})
	}
	return out, nil
}

// collect runs the collecting half on a submission whose jobs have all ended,
// until its notice is sent.
func collect(ctx context.Context, endpoint, id string, shape data.Shape) error {
	w := newWorld(endpoint)
	handle := w.collect()
	ended, err := endedJobs(ctx, w, id, shape)
	if err != nil {
		return err
	}
	w.bedrock.ended = map[string]batch.Job{}
	for _, j := range ended {
		w.bedrock.ended[j.ARN] = j
		w.jobs.bodies = append(w.jobs.bodies, stateChange(j))
	}
	start := time.Now()
	if err := drive(ctx, w.jobs, handle); err != nil {
		return err
	}
	if w.topic.notices.Load() != 1 {
		return fmt.Errorf("%d notices", w.topic.notices.Load())
	}
	return Report{
		FirstSeconds: w.topic.at.Sub(start).Seconds(), Jobs: int64(len(ended)), Notices: w.topic.notices.Load(), Notice: w.topic.last,
		Messages: w.uploads.sent + w.jobs.sent, JobCalls: w.bedrock.calls,
	}.finish(start)
}
