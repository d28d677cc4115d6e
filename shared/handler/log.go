package handler

import (
	"context"
	"log/slog"
	"os"

	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// NewLog logs JSON lines to standard output, as Lambda takes them. level is
// debug, info, warn or error; anything else is info.
func NewLog(level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: l}))
}

// Observer logs and counts what the pipeline tells.
type Observer struct {
	Log *slog.Logger
	// Metrics counts; nil counts nothing.
	Metrics *Metrics
}

// warnings are the events that an operator may have to act on: a right is
// missing, a service refuses, an output cannot be read.
var warnings = map[string]bool{
	"part cannot run": true, "job refused, will be tried again": true, "put off": true, "dispatch put off": true, "manifest cannot be read": true, "progress not told": true, "open submissions not counted": true, "seats not given back": true,
}

// Observe logs and counts one event.
func (o Observer) Observe(ctx context.Context, e pipeline.Event) {
	if err := o.Metrics.count(e); err != nil {
		o.Log.ErrorContext(ctx, "metrics not written", "event", e.Name, "error", err)
	}
	attrs := e.Fields
	if e.Submission != "" {
		attrs = append([]any{"submission", e.Submission}, attrs...)
	}
	level := slog.LevelInfo
	if warnings[e.Name] {
		level = slog.LevelWarn
	}
	o.Log.Log(ctx, level, e.Name, attrs...)
}
