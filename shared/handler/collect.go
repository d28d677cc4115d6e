package handler

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// Collect handles the jobs queue.
type Collect struct{ queue }

// NewCollect handles messages with c; what has to wait is sent to jobs again.
func NewCollect(c *pipeline.Collect, jobs pipeline.Queue, log *slog.Logger, now func() time.Time) *Collect {
	h := &Collect{queue{log: log, resend: jobs, now: now}}
	h.route = func(ctx context.Context, in pipeline.Invocation, m message) error {
		if m.kind == kindStateChange {
			return c.JobEnded(ctx, in, m.event.Detail.JobARN, m.event.Detail.JobName)
		}
		switch {
		case m.kind == kindOwn && m.own.Do == pipeline.DoCollect:
			return c.Collect(ctx, in, m.own.Submission)
		case m.kind == kindOwn && m.own.Do == pipeline.DoTick:
			return c.Tick(ctx, in)
		}
		return fmt.Errorf("%s message, do %q, is not known here: %w", m.kind, m.own.Do, errJunk)
	}
	return h
}
