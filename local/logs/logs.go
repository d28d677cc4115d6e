// Package logs reads CloudWatch Logs: what functions logged, from the files that
// the local Lambda keeps. Each group has one stream, for the processes of a
// function share a file.
package logs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// Stream is the name of each group's only stream.
const Stream = "[$LATEST]local"

// Authority decides who may do what; *access.Authority is one.
type Authority interface {
	// Check allows the call (nil) or denies it.
	Check(ctx context.Context, call access.Call) error
}

// Group is a log group.
type Group struct {
	// Name is the group's name, such as /aws/lambda/submit.
	Name string
	// File is what its stream says, a line an event; empty for no stream. It
	// need not exist yet.
	File string
	// Days are how long events are told to be kept; 0 is for ever. Nothing is
	// removed here.
	Days int
}

// Config is what a Service needs.
type Config struct {
	// Authority decides on every call.
	Authority Authority
	// Groups are all there are.
	Groups []Group
	// Created is when the groups were made.
	Created time.Time
}

// Service reads logs. It is safe for concurrent use.
type Service struct {
	cfg    Config
	groups []Group // by name
}

// New makes the service.
func New(cfg Config) *Service {
	s := &Service{cfg: cfg, groups: slices.Clone(cfg.Groups)}
	slices.SortFunc(s.groups, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// ARN is the ARN of the group with this name, without the :* at its end.
func ARN(group string) string {
	return "arn:aws:logs:" + access.Region + ":" + access.Account + ":log-group:" + group
}

// event is a line of a log.
type event struct {
	at         int64 // milliseconds since 1970
	message    string
	start, end int64 // in the file
}

// longest is the longest event that CloudWatch Logs takes; longer lines are cut.
const longest = 1 << 20

// events calls f for each whole line of the group until f says no. A line that
// does not tell its time has that of the one before it, the first ones that of
// the first that tells it.
func (g Group) events(f func(event) bool) error {
	if g.File == "" {
		return nil
	}
	file, err := os.Open(g.File)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read log group %s: %w", g.Name, err)
	}
	defer file.Close()
	at, err := firstTime(file)
	if err != nil {
		return fmt.Errorf("read log group %s: %w", g.Name, err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read log group %s: %w", g.Name, err)
	}
	return g.scan(file, func(e event) bool {
		if t := timeOf([]byte(e.message)); t > 0 {
			at = t
		}
		e.at = at
		return f(e)
	})
}

func (g Group) scan(r io.Reader, f func(event) bool) error {
	lines, offset := bufio.NewReaderSize(r, 64<<10), int64(0)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil // what has no end yet is no event
		}
		if err != nil {
			return fmt.Errorf("read log group %s: %w", g.Name, err)
		}
		e := event{start: offset, end: offset + int64(len(line))}
		offset = e.end
		line = bytes.TrimRight(line, "\r\n")
		e.message = strings.ToValidUTF8(string(line[:min(len(line), longest)]), "\ufffd")
		if e.message != "" && !f(e) {
			return nil
		}
	}
}

// firstTime is the first time that a line tells; now if none does.
func firstTime(r io.Reader) (int64, error) {
	at := int64(0)
	err := Group{}.scan(r, func(e event) bool {
		at = timeOf([]byte(e.message))
		return at == 0
	})
	if at == 0 {
		at = time.Now().UnixMilli()
	}
	return at, err
}

// timeOf is a JSON line's time or that of its metrics; 0 if it tells none.
func timeOf(line []byte) int64 {
	if len(line) == 0 || line[0] != '{' {
		return 0
	}
	var told struct {
		Time    time.Time `json:"time"`
		Metrics struct {
			Timestamp int64
		} `json:"_aws"`
	}
	if json.Unmarshal(line, &told) != nil {
		return 0
	}
	if told.Metrics.Timestamp > 0 {
		return told.Metrics.Timestamp
	}
	if told.Time.IsZero() {
		return 0
	}
	return told.Time.UnixMilli()
}
