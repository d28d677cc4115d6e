package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/clock"
	"github.com/bedrock-batch/bedrock-batch/local/front"
	"github.com/bedrock-batch/bedrock-batch/local/template"
)

// grace is how long calls in flight may take to end once the services are told
// to stop.
const grace = 5 * time.Second

// serve starts everything, says so, and stops it when ctx ends.
func serve(ctx context.Context, o *options, log *slog.Logger, stdout io.Writer) (err error) {
	for _, dir := range []string{o.data, o.logs, o.mail, filepath.Dir(o.env), filepath.Dir(o.record)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	release, err := lock(o.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()

	listener, err := listen(o.port)
	if err != nil {
		return err
	}
	defer listener.Close() // closed already after a clean end
	endpoint := "http://" + listener.Addr().String()

	stack, err := o.stack(endpoint)
	if err != nil {
		return err
	}
	record, err := os.OpenFile(o.record, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("access record: %w", err)
	}
	defer func() { err = errors.Join(err, record.Close()) }()

	clock, err := clock.New(o.speed)
	if err != nil {
		return err
	}
	authority := access.NewAuthority(access.Config{Log: log, Record: record, Clock: clock})
	user, err := authority.AddUser("developer", map[string][]byte{"everything": []byte(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)})
	if err != nil {
		return err
	}

	var events *watch
	if o.watch {
		events = &watch{out: stdout, now: clock.Now}
	}
	w := &world{watch: events, o: o, log: log, clock: clock, authority: authority, endpoint: endpoint, stack: stack}
	defer func() { err = errors.Join(err, w.close()) }()
	handlers, err := w.open(ctx)
	if err != nil {
		return err
	}

	// The front stops last, after what calls through it: functions and jobs.
	serving, stopFront := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFront()
	stopped := make(chan error, 1)
	go func() {
		stopped <- front.New(front.Config{
			Authority: authority, S3: w.s3, Services: handlers, Log: log,
			Links: map[string]http.Handler{"ConfirmSubscription": w.sns, "Unsubscribe": w.sns},
		}).Serve(serving, listener, grace)
	}()

	if err := w.start(ctx); err != nil {
		return err
	}
	if err := writeWhole(o.env, environment(endpoint, user, stack.Outputs)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stdout, "ready %s env=%s\n", endpoint, o.env); err != nil {
		return err
	}
	events.ready(o.env)
	select {
	case err = <-stopped:
		stopped <- nil
	case <-ctx.Done():
		log.Info("stopping")
	}
	// Whoever waits for the file shall not find it once nothing answers.
	err = errors.Join(err, os.Remove(o.env), w.stop())
	stopFront()
	return errors.Join(err, <-stopped)
}

// stack is what is to run: the template's, or the fixed one of --services-only.
func (o *options) stack(endpoint string) (*template.Stack, error) {
	if o.servicesOnly {
		return contractStack(endpoint), nil
	}
	data, err := os.ReadFile(o.template)
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	stack, err := template.Read(data, endpoint)
	if err != nil {
		return nil, fmt.Errorf("%s:\n%w", o.template, err)
	}
	return stack, nil
}

func listen(port int) (net.Listener, error) {
	l, err := front.Listen(port)
	if errors.Is(err, syscall.EADDRINUSE) {
		by := "another program (another make local?)"
		if who := owner(port); who != "" {
			by = who
		}
		return nil, fmt.Errorf("port %d is taken by %s: stop it, or choose a port with --port (0 takes a free one; with make: LOCAL_FLAGS='--port 0')", port, by)
	}
	return l, err
}
