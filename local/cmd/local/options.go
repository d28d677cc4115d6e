package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"
)

// options are the command line's settings; all paths are absolute.
type options struct {
	port                      int
	data, env, logs, work     string
	mail                      string
	record                    string
	template, functions       string
	stackName                 string
	servicesOnly, noSchedules bool
	supported, watch          bool
	settings                  settings
	logLevel                  slog.Level

	modelURL, modelName string
	answers             string
	jobTime             time.Duration
	speed               float64
	seed                uint64
	slots               int

	throttle, failRecords, partial, expire, stop float64
	truncate, refuse, reason                     float64
	loseEvents, repeatEvents                     float64
	delayEvents, slowS3, answerTime              time.Duration
	reorder                                      bool
	killFunctions                                float64
}

func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := &options{settings: settings{}}
	f := flag.NewFlagSet("local", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.port, "port", 4566, "port of 127.0.0.1; 0 takes a free one")
	f.StringVar(&o.data, "data", ".local/data", "folder of all state; deleting it starts afresh")
	f.StringVar(&o.env, "env", "", "file of shell variables written when ready (default: env beside the data folder)")
	f.StringVar(&o.logs, "log", "", "folder of the functions' logs (default: log beside the data folder)")
	f.StringVar(&o.work, "work", "", "folder of the functions' temporary files, emptied at the start (default: work beside the data folder)")
	f.StringVar(&o.mail, "mail", "", "folder of e-mails as files (default: mail beside the data folder)")
	f.StringVar(&o.record, "access-record", "", "file of rights granted and used (default: access.jsonl beside the data folder)")
	f.StringVar(&o.template, "template", "infra/template/bedrock-batch.template.json", "CloudFormation template that says what to run")
	f.StringVar(&o.stackName, "stack", "bedrock-batch-dev", "name of the stack that CloudFormation is asked for")
	f.StringVar(&o.functions, "functions", "dist/local", "folder with <function>/bootstrap, built for this machine")
	f.BoolVar(&o.servicesOnly, "services-only", false, "run no template: S3 buckets contract and contract-versioned, queue and topic contract, role contract-job, and Bedrock")
	f.BoolVar(&o.noSchedules, "no-schedules", false, "let scheduled rules of the template sleep")
	f.BoolVar(&o.watch, "watch", false, "print a line for each upload, state of a job and notice")
	f.BoolVar(&o.supported, "supported", false, "print what the services understand and end")
	f.Var(o.settings, "set", "KEY=JSON laid over a member of the functions' BB_SETTINGS, dots lead deeper; may be repeated")
	f.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")

	f.StringVar(&o.modelURL, "model-url", "", "base URL of an OpenAI-compatible server that answers instead of the built-in model")
	f.StringVar(&o.modelName, "model-name", "", "the model's name at --model-url (default: the Bedrock model id)")
	f.StringVar(&o.answers, "answers", "", `file of answers that are given as they are: lines {"contains": text in the request, "modelOutput": ...}`)
	f.DurationVar(&o.jobTime, "job-time", 3*time.Second, "how long a batch job takes")
	f.DurationVar(&o.answerTime, "answer-time", 0, "how long an answer on demand takes, whatever the speed")
	f.Float64Var(&o.speed, "speed", 1, "divides delays, visibility timeouts, schedules and job times")
	f.Uint64Var(&o.seed, "seed", 1, "decides everything that is left to chance")
	f.IntVar(&o.slots, "slots", 20, "jobs that an account may have at a time for a model")

	f.Float64Var(&o.throttle, "throttle", 0, "share of Bedrock calls that are throttled")
	f.Float64Var(&o.failRecords, "fail-records", 0, "share of records that fail for a passing reason")
	f.Float64Var(&o.truncate, "truncate", 0, "share of the built-in model's answers that are cut off as at max_tokens")
	f.Float64Var(&o.refuse, "refuse", 0, "share of the built-in model's answers that are refusals")
	f.Float64Var(&o.reason, "reason", 0, "share of the built-in model's answers with reasoning, in families that have it")
	f.Float64Var(&o.partial, "partial", 0, "share of jobs that run out of time while running")
	f.Float64Var(&o.expire, "expire", 0, "share of jobs that run out of time while waiting")
	f.Float64Var(&o.stop, "stop", 0, "share of jobs that are stopped by hand")
	f.Float64Var(&o.loseEvents, "lose-events", 0, "share of Bedrock's events that are lost")
	f.Float64Var(&o.repeatEvents, "repeat-events", 0, "share of service messages that arrive twice")
	f.DurationVar(&o.delayEvents, "delay-events", 0, "longest extra delay of service messages")
	f.BoolVar(&o.reorder, "reorder", false, "hand out queue messages in random order")
	f.DurationVar(&o.slowS3, "slow-s3", 0, "added to every S3 call")
	f.Float64Var(&o.killFunctions, "kill-functions", 0, "share of invocations whose process is killed at some moment")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, fmt.Errorf("%w (see --help)", err)
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q (see --help)", f.Arg(0))
	}
	return o, o.check()
}

func (o *options) check() error {
	var problems []error
	for name, p := range map[string]float64{
		"throttle": o.throttle, "fail-records": o.failRecords, "truncate": o.truncate, "refuse": o.refuse, "reason": o.reason,
		"partial": o.partial, "expire": o.expire, "stop": o.stop,
		"lose-events": o.loseEvents, "repeat-events": o.repeatEvents, "kill-functions": o.killFunctions,
	} {
		if !(p >= 0 && p <= 1) {
			problems = append(problems, fmt.Errorf("--%s %v: want a share from 0 to 1", name, p))
		}
	}
	if o.modelURL != "" && o.truncate+o.refuse+o.reason > 0 {
		problems = append(problems, errors.New("--truncate, --refuse and --reason are about the built-in model: leave out --model-url"))
	}
	if o.port < 0 || o.port > 65535 {
		problems = append(problems, fmt.Errorf("--port %d: want 0 to 65535", o.port))
	}
	if !(o.speed > 0) {
		problems = append(problems, fmt.Errorf("--speed %v: want a number above 0", o.speed))
	}
	if o.slots < 1 {
		problems = append(problems, fmt.Errorf("--slots %d: want 1 or more", o.slots))
	}
	for name, d := range map[string]time.Duration{"job-time": o.jobTime, "delay-events": o.delayEvents, "slow-s3": o.slowS3, "answer-time": o.answerTime} {
		if d < 0 {
			problems = append(problems, fmt.Errorf("--%s %s: want 0s or more", name, d))
		}
	}
	beside := filepath.Dir(filepath.Clean(o.data))
	for path, name := range map[*string]string{&o.env: "env", &o.logs: "log", &o.work: "work", &o.mail: "mail", &o.record: "access.jsonl"} {
		if *path == "" {
			*path = filepath.Join(beside, name)
		}
	}
	// The embedded S3 server changes the working directory, so no path may
	// depend on it.
	paths := []*string{&o.data, &o.env, &o.logs, &o.work, &o.mail, &o.record, &o.template, &o.functions}
	if o.answers != "" {
		paths = append(paths, &o.answers)
	}
	for _, path := range paths {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			problems = append(problems, err)
		}
		*path = absolute
	}
	return errors.Join(problems...)
}

// settings are values laid over the functions' BB_SETTINGS, by path.
type settings map[string]any

func (s settings) String() string { return "" }

func (s settings) Set(text string) error {
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" {
		return errors.New("want KEY=JSON")
	}
	var v any
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		return fmt.Errorf("value of %s: %w", key, err)
	}
	s[key] = v
	return nil
}

// over lays the settings over a BB_SETTINGS text.
func (s settings) over(text string) (string, error) {
	if len(s) == 0 {
		return text, nil
	}
	root := map[string]any{}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &root); err != nil {
			return "", fmt.Errorf("BB_SETTINGS: %w", err)
		}
	}
	for path, value := range s {
		at, parts := root, strings.Split(path, ".")
		for _, part := range parts[:len(parts)-1] {
			next, ok := at[part].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[part] = next
			}
			at = next
		}
		at[parts[len(parts)-1]] = value
	}
	data, err := json.Marshal(root)
	return string(data), err
}
