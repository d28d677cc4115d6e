package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

// starts is how often each function is started.
const starts = 15

// coldstart measures from exec to the first request for an invocation, and the
// sizes of the binaries. Creating a sandbox and fetching the code, which
// depends on the size, are AWS's and not in it.
func coldstart(ctx context.Context, s *session, p plan, say func(string, ...any)) error {
	asked := make(chan time.Time)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked <- time.Now()
			<-r.Context().Done()
		}))
	}()
	// What Lambda sets, and nothing of this machine's: an AWS_CA_BUNDLE alone
	// would have the SDK's loader parse a file of certificates.
	env := []string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=en_US.UTF-8", "TZ=:UTC", "HOME=" + os.TempDir(),
		"AWS_LAMBDA_RUNTIME_API=" + l.Addr().String(), "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret",
		"AWS_LAMBDA_FUNCTION_NAME=f", "AWS_LAMBDA_FUNCTION_VERSION=1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=2048", "AWS_EC2_METADATA_DISABLED=true",
	}
	for _, name := range slices.Concat(config.SubmitEnv, config.CollectEnv) {
		value := map[string]string{
			config.EnvDeployment: deployment, config.EnvSettings: "{}", config.EnvLogLevel: "info",
			config.EnvTopicARN:        "arn:aws:sns:us-east-1:123456789012:notices",
			config.EnvJobRoleARN:      "arn:aws:iam::123456789012:role/batch",
			config.EnvUploadsQueueURL: "https://sqs.us-east-1.amazonaws.com/123456789012/uploads",
			config.EnvJobsQueueURL:    "https://sqs.us-east-1.amazonaws.com/123456789012/jobs",
		}[name]
		if value == "" {
			value = "bench"
		}
		env = append(env, name+"="+value)
	}
	used := map[string][]float64{}
	start := func(args ...string) (float64, error) {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env, cmd.Stderr = env, os.Stderr
		began := time.Now()
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		select {
		case at := <-asked:
			cpu, err := processorTime(cmd.Process.Pid)
			if err != nil {
				return 0, err
			}
			used[args[0]] = append(used[args[0]], cpu)
			return at.Sub(began).Seconds() * 1000, nil
		case <-time.After(time.Minute):
			return 0, fmt.Errorf("%s does not ask for an invocation", args[0])
		}
	}
	binary := func(name string) string { return filepath.Join(p.dist, name, "bootstrap") }
	var submit, collect, python, ratio []float64
	for range starts {
		a, err := start(binary("submit"))
		if err != nil {
			return err
		}
		b, err := start(binary("collect"))
		if err != nil {
			return err
		}
		c, err := start(p.boto3, "-B", filepath.Join("bench", "peer", "coldstart.py"))
		if err != nil {
			return err
		}
		submit, collect, python = append(submit, a), append(collect, b), append(python, c)
		ratio = append(ratio, c/max(a, b)) // the slower of the two
	}
	mid, low, high := spread(ratio)
	say("bench: coldstart/python ratio=%.0f spread=%.0f-%.0f", mid, low, high)
	var lighter []float64
	for i, python := range used[p.boto3] {
		lighter = append(lighter, python/max(used[binary("submit")][i], used[binary("collect")][i]))
	}
	mid, _, _ = spread(lighter)
	say("bench: coldstart-cpu/python value=%.0f unit=ratio", mid)
	for _, f := range []struct {
		name string
		ms   []float64
	}{{"submit", submit}, {"collect", collect}, {"python", python}} {
		mid, _, _ := spread(f.ms)
		say("bench: coldstart-%s value=%.1f unit=ms", f.name, mid)
	}
	for _, name := range []string{"submit", "collect"} {
		info, err := os.Stat(binary(name))
		if err != nil {
			return err
		}
		say("bench: binary-%s value=%.1f unit=MB", name, float64(info.Size())/1e6)
	}
	out, err := exec.CommandContext(ctx, p.boto3, "-c", "import boto3, sys; print('boto3', boto3.__version__, 'Python', sys.version.split()[0])").Output()
	if err != nil {
		return fmt.Errorf("ask %s for its boto3: %w", p.boto3, err)
	}
	fmt.Printf("cold start against %s", out)
	return nil
}

// processorTime is what the threads of a process have run, in milliseconds.
func processorTime(pid int) (float64, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("no threads of process %d: %w", pid, err)
	}
	var total float64
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has just ended
		}
		if err != nil {
			return 0, err
		}
		var ns float64
		if _, err := fmt.Sscan(string(text), &ns); err != nil {
			return 0, err
		}
		total += ns / 1e6
	}
	return total, nil
}
