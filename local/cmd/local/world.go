package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/bedrock"
	"github.com/bedrock-batch/bedrock-batch/local/bedrock/model"
	"github.com/bedrock-batch/bedrock-batch/local/clock"
	"github.com/bedrock-batch/bedrock-batch/local/cloudwatch"
	"github.com/bedrock-batch/bedrock-batch/local/events"
	"github.com/bedrock-batch/bedrock-batch/local/lambda"
	"github.com/bedrock-batch/bedrock-batch/local/logs"
	"github.com/bedrock-batch/bedrock-batch/local/s3"
	"github.com/bedrock-batch/bedrock-batch/local/sns"
	"github.com/bedrock-batch/bedrock-batch/local/sqs"
	"github.com/bedrock-batch/bedrock-batch/local/template"
)

// world holds the services and what they have in common.
type world struct {
	o         *options
	watch     *watch
	log       *slog.Logger
	clock     *clock.Clock
	authority *access.Authority
	endpoint  string
	stack     *template.Stack

	s3         *s3.Service
	sqs        *sqs.Service
	sns        *sns.Service
	events     *events.Service
	lambda     *lambda.Service
	bedrock    *bedrock.Service
	cloudwatch *cloudwatch.Service
	logs       *logs.Service
	weighed    time.Time // the buckets, for their metrics
}

// open makes the services and what the template declares of them; nothing
// moves yet. It returns the services' handlers by the names they sign with.
func (w *world) open(ctx context.Context) (map[string]http.Handler, error) {
	for _, step := range []func() error{w.roles, w.queues, w.topics, w.metrics, w.functions, w.rules, func() error { return w.buckets(ctx) }, w.models} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	handlers := map[string]http.Handler{"sqs": w.sqs, "sns": w.sns, "events": w.events, "lambda": w.lambda, "bedrock": w.bedrock,
		"monitoring": w.cloudwatch, "logs": w.logs}
	maps.Copy(handlers, w.account())
	return handlers, nil
}

func (w *world) dir(name string) string { return filepath.Join(w.o.data, name) }

func (w *world) roles() error {
	for _, r := range w.stack.Roles {
		if _, err := w.authority.AddRole(access.Role{Name: r.Name, ARN: r.ARN, Trust: r.Trust, Policies: r.Policies}); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) queues() (err error) {
	w.sqs, err = sqs.New(sqs.Config{
		Endpoint: w.endpoint, Dir: w.dir("sqs"), Authority: w.authority, Clock: w.clock, Log: w.log,
		Weather: sqs.Weather{Repeat: w.o.repeatEvents, Delay: w.o.delayEvents, Reorder: w.o.reorder, Seed: w.o.seed},
	})
	if err != nil {
		return err
	}
	// In two rounds: a redrive policy may name a queue that comes later.
	for _, q := range w.stack.Queues {
		if err := w.sqs.Declare(q.Name, nil, nil); err != nil {
			return err
		}
	}
	for _, q := range w.stack.Queues {
		if err := w.sqs.Declare(q.Name, q.Attributes, nil); err != nil {
			return err
		}
		if q.Policy != nil {
			if err := w.sqs.SetPolicy(q.Name, q.Policy); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) topics() (err error) {
	w.sns, err = sns.New(sns.Config{
		Endpoint: w.endpoint, MailDir: w.o.mail, Dir: w.dir("sns"), Authority: w.authority, Queues: w.sqs, Clock: w.clock, Log: w.log,
		Published: w.watch.published,
	})
	if err != nil {
		return err
	}
	for _, t := range w.stack.Topics {
		if err := w.sns.Declare(t.Name, map[string]string{"DisplayName": t.DisplayName}); err != nil {
			return err
		}
		if t.Policy != nil {
			if err := w.sns.SetPolicy(t.ARN, t.Policy); err != nil {
				return err
			}
		}
	}
	for _, s := range w.stack.Subscriptions {
		if _, err := w.sns.DeclareSubscription(s.TopicARN, s.Protocol, s.Endpoint, s.Attributes); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) functions() (err error) {
	w.lambda, err = lambda.New(lambda.Config{
		Endpoint: w.endpoint, LogDir: w.o.logs, WorkDir: w.o.work, Authority: w.authority, Queues: w.sqs, Clock: w.clock, Log: w.log,
		Kill: w.o.killFunctions, Seed: w.o.seed, Logged: w.cloudwatch.Logged, Measured: w.invoked,
	})
	if err != nil {
		return err
	}
	for _, f := range w.stack.Functions {
		if err := w.function(f); err != nil {
			return fmt.Errorf("function %s: %w", f.Name, err)
		}
	}
	for _, m := range w.stack.Mappings {
		if err := w.lambda.Map(lambda.Mapping{
			FunctionName: m.FunctionName, QueueARN: m.QueueARN, BatchSize: m.BatchSize, Window: m.Window,
			MaximumConcurrency: m.MaximumConcurrency, ReportBatchItemFailures: m.ReportBatchItemFailures, Disabled: m.Disabled,
		}); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) function(f template.Function) error {
	binary := filepath.Join(w.o.functions, f.Code, "bootstrap")
	if info, err := os.Stat(binary); err != nil {
		return fmt.Errorf("%w (build it with make build, or name the folder with --functions)", err)
	} else if info.Mode()&0o111 == 0 {
		return fmt.Errorf("%s is not executable", binary)
	}
	// Lambda itself assumes the role, and denies the deployment otherwise.
	role, err := w.authority.Assume(context.Background(), "lambda.amazonaws.com", f.ARN, f.RoleARN)
	if err != nil {
		return err
	}
	w.mayLog(f, role)
	environment := map[string]string{}
	for name, value := range f.Environment {
		environment[name] = value
	}
	if len(w.o.settings) > 0 {
		if environment["BB_SETTINGS"], err = w.o.settings.over(environment["BB_SETTINGS"]); err != nil {
			return err
		}
	}
	var policy *access.Policy
	if f.Policy != nil {
		if policy, err = access.ParsePolicy(f.Policy, access.ResourcePolicy); err != nil {
			return err
		}
	}
	return w.lambda.Declare(lambda.Function{
		Name: f.Name, Binary: binary, Handler: f.Handler, Role: role, Environment: environment, MemoryMB: f.MemoryMB,
		Timeout: f.Timeout, LogGroup: f.LogGroup, Retries: f.Retries, MaxEventAge: f.MaxEventAge, OnFailureARN: f.OnFailureARN,
		Concurrency: f.Concurrency, Policy: policy,
	})
}

// mayLog asks for the rights with which Lambda writes a function's log. Without
// them the function runs all the same and its log is lost: here it is kept,
// and the denial is logged.
func (w *world) mayLog(f template.Function, role *access.Principal) {
	group := f.LogGroup
	if group == "" {
		group = "/aws/lambda/" + f.Name
	}
	for _, action := range []string{"logs:CreateLogStream", "logs:PutLogEvents"} {
		call := access.Call{
			Principal: role, Action: action,
			Resource: "arn:aws:logs:" + access.Region + ":" + access.Account + ":log-group:" + group + ":log-stream:local",
		}
		if err := w.authority.Check(context.Background(), call); err != nil {
			w.log.Warn("in the cloud this function would leave no log", "function", f.Name, "error", err)
		}
	}
}

func (w *world) rules() (err error) {
	w.events, err = events.New(events.Config{
		Authority: w.authority, Queues: w.sqs, Functions: w.lambda, Clock: w.clock, Log: w.log, Lose: w.o.loseEvents, Seed: w.o.seed,
	})
	if err != nil {
		return err
	}
	for _, r := range w.stack.Rules {
		rule := events.Rule{Name: r.Name, Description: r.Description, Pattern: r.Pattern, Schedule: r.Schedule, Disabled: r.Disabled}
		if r.Schedule != "" && w.o.noSchedules {
			rule.Disabled = true
		}
		for _, t := range r.Targets {
			target := events.Target{ID: t.ID, ARN: t.ARN, Input: t.Input, InputPath: t.InputPath, Attempts: t.Attempts, MaxAge: t.MaxAge, DeadLetterARN: t.DeadLetterARN}
			if t.Template != "" {
				target.Transformer = &events.Transformer{Paths: t.Paths, Template: t.Template}
			}
			rule.Targets = append(rule.Targets, target)
		}
		if err := w.events.Declare(rule); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) buckets(ctx context.Context) (err error) {
	w.s3, err = s3.New(s3.Config{
		Dir: w.dir("s3"), Authority: w.authority, Slow: w.o.slowS3, Clock: w.clock, Log: w.log,
		Send: func(ctx context.Context, as *access.Principal, queueARN string, body []byte) error {
			w.watch.uploaded(body)
			_, err := w.sqs.SendAs(ctx, as, queueARN, sqs.Outgoing{Body: string(body)})
			return err
		},
	})
	if err != nil {
		return err
	}
	for _, b := range w.stack.Buckets {
		bucket := s3.Bucket{Name: b.Name, Versioned: b.Versioned, Policy: b.Policy}
		for _, n := range b.Notifications {
			bucket.Notifications = append(bucket.Notifications, s3.Notification{
				ID: n.ID, Events: []string{n.Event}, QueueARN: n.QueueARN, Prefix: n.Prefix, Suffix: n.Suffix,
			})
		}
		if err := w.s3.AddBucket(ctx, bucket); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) models() (err error) {
	answers := model.BuiltIn(model.Rates{Truncate: w.o.truncate, Refuse: w.o.refuse, Reason: w.o.reason})
	if w.o.modelURL != "" {
		answers = model.Answering(model.Server{URL: w.o.modelURL, Model: w.o.modelName})
	}
	if w.o.answers != "" {
		lines, err := given(w.o.answers)
		if err != nil {
			return err
		}
		answers = model.Scripted(lines, answers)
	}
	w.bedrock, err = bedrock.New(bedrock.Config{
		Dir: w.dir("bedrock"), Authority: w.authority, Objects: w.objects(), Clock: w.clock, Log: w.log, Answers: answers,
		Events: w.watch.jobs(w.events), Progress: w.watch.progressed,
		Seed: w.o.seed, JobTime: w.o.jobTime, AnswerTime: w.o.answerTime, Slots: w.o.slots, Throttle: w.o.throttle, FailRecords: w.o.failRecords,
		Partial: w.o.partial, Expire: w.o.expire, Stop: w.o.stop,
	})
	return err
}

// given reads the file of answers that are given as they are.
func given(path string) ([]model.Line, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--answers: %w", err)
	}
	defer f.Close()
	lines, err := model.ReadLines(f)
	if err != nil {
		return nil, fmt.Errorf("--answers %s: %w", path, err)
	}
	return lines, nil
}

// objects is S3 over the wire, except for the question of rights, which S3 is
// asked within the process: over the wire a write that must fail could be told
// from a denial only with a right to read.
func (w *world) objects() func(*access.Principal) bedrock.ObjectStore {
	wire := bedrock.S3(w.endpoint)
	return func(p *access.Principal) bedrock.ObjectStore {
		return objectStore{ObjectStore: wire(p), who: p, s3: w.s3}
	}
}

type objectStore struct {
	bedrock.ObjectStore
	who *access.Principal
	s3  *s3.Service
}

func (o objectStore) MayPut(ctx context.Context, bucket, key string) error {
	err := o.s3.Check(ctx, o.who, "s3:PutObject", bucket, key)
	var denial *access.Denial
	switch {
	case errors.As(err, &denial):
		return fmt.Errorf("put s3://%s/%s: %w: %w", bucket, key, bedrock.ErrDenied, err)
	case errors.Is(err, s3.ErrNoBucket):
		return fmt.Errorf("put s3://%s/%s: %w: %w", bucket, key, bedrock.ErrAbsent, err)
	}
	return err
}

// start sets schedules and mappings going.
func (w *world) start(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx) // they end by stop, in order
	w.cloudwatch.Start()
	return errors.Join(w.events.Start(ctx), w.lambda.Start(ctx))
}

// stop ends what calls other services: functions first, then alarms,
// schedules and jobs.
func (w *world) stop() error {
	err := w.lambda.Close()
	w.lambda = nil
	err = errors.Join(err, w.cloudwatch.Close())
	err = errors.Join(err, w.events.Close())
	w.events = nil
	w.bedrock.Close()
	w.bedrock = nil
	return err
}

// close ends all that is still open, in an order that is right also when open
// failed half way.
func (w *world) close() error {
	var problems []error
	if w.lambda != nil {
		problems = append(problems, w.lambda.Close())
	}
	if w.cloudwatch != nil {
		problems = append(problems, w.cloudwatch.Close())
	}
	if w.events != nil {
		problems = append(problems, w.events.Close())
	}
	if w.bedrock != nil {
		w.bedrock.Close()
	}
	if w.sns != nil {
		problems = append(problems, w.sns.Close())
	}
	if w.s3 != nil {
		problems = append(problems, w.s3.Close())
	}
	if w.sqs != nil {
		problems = append(problems, w.sqs.Close())
	}
	return errors.Join(problems...)
}
