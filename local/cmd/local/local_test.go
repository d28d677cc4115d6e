package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/bedrock"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// begin runs the program and waits until it is ready; end stops it and tells
// its exit code and what it said.
func begin(t *testing.T, args ...string) (env map[string]string, end func() (int, string)) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	said, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, args, in, said)
		in.Close()
	}()
	end = func() (int, string) {
		stop()
		c := <-code
		code <- c
		text, err := os.ReadFile(said.Name())
		if err != nil {
			t.Fatal(err)
		}
		return c, string(text)
	}
	t.Cleanup(func() {
		end()
		leave(t)
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_, text := end()
		t.Fatalf("not ready: %v\n%s", err, text)
	}
	fields := strings.Fields(line)
	if len(fields) != 3 || fields[0] != "ready" || !strings.HasPrefix(fields[2], "env=") {
		t.Fatalf("ready line %q", line)
	}
	env = readEnv(t, strings.TrimPrefix(fields[2], "env="))
	if env["AWS_ENDPOINT_URL"] != fields[1] {
		t.Fatalf("endpoint %s in %s, %s in the ready line", env["AWS_ENDPOINT_URL"], fields[2], fields[1])
	}
	return env, end
}

// leave goes back to this package's folder, which the S3 server left.
func leave(t *testing.T) {
	t.Helper()
	if err := os.Chdir(source); err != nil {
		t.Error(err)
	}
}

// readEnv reads the file of shell variables.
func readEnv(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		env[name] = strings.Trim(value, "'")
	}
	return env
}

func config(env map[string]string) aws.Config {
	return aws.Config{
		Region: env["AWS_REGION"], BaseEndpoint: aws.String(env["AWS_ENDPOINT_URL"]), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], ""),
	}
}

func TestServicesOnlyServesTheContractResourcesAndKeepsThem(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	env, end := begin(t, "--services-only", "--port", "0", "--data", data)
	cfg, ctx := config(env), t.Context()
	for _, bucket := range []string{"contract", "contract-versioned"} {
		out, err := s3.NewFromConfig(cfg).PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("a/b"), Body: strings.NewReader("x")})
		if err != nil {
			t.Fatal(err)
		}
		if versioned := bucket != "contract"; (out.VersionId != nil) != versioned {
			t.Errorf("bucket %s: version id %v", bucket, out.VersionId)
		}
	}
	if _, err := sqs.NewFromConfig(cfg).SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(env["BB_UPLOADS_QUEUE_URL"]), MessageBody: aws.String("hello")}); err != nil {
		t.Error(err)
	}
	if _, err := sns.NewFromConfig(cfg).Publish(ctx, &sns.PublishInput{TopicArn: aws.String(env["BB_TOPIC_ARN"]), Message: aws.String("hello")}); err != nil {
		t.Error(err)
	}
	if _, err := bedrock.NewFromConfig(cfg).ListModelInvocationJobs(ctx, &bedrock.ListModelInvocationJobsInput{}); err != nil {
		t.Error(err)
	}
	if _, err := lock(data); err == nil || !strings.Contains(err.Error(), "is in use by process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("a second process on the data folder: %v", err)
	}
	if code, said := end(); code != 0 {
		t.Fatalf("exit code %d: %s", code, said)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(data), "env")); err == nil {
		t.Error("the env file is still there after the end")
	}

	env, _ = begin(t, "--services-only", "--port", "0", "--data", data)
	cfg = config(env)
	if _, err := s3.NewFromConfig(cfg).HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("contract"), Key: aws.String("a/b")}); err != nil {
		t.Error("after a restart:", err)
	}
	got, err := sqs.NewFromConfig(cfg).ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: aws.String(env["BB_UPLOADS_QUEUE_URL"])})
	if err != nil || len(got.Messages) != 1 || *got.Messages[0].Body != "hello" {
		t.Errorf("after a restart: %+v %v", got, err)
	}
}

func TestWrongStartsSayWhatToDo(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.json")
	if err := os.WriteFile(broken, []byte(`{"Resources":{"X":{"Type":"AWS::EC2::Instance"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "state", "data")
	cases := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"a taken port", []string{"--port", port, "--services-only"}, 1, "port " + port + " is taken by process " + strconv.Itoa(os.Getpid()) + ": "},
		{"an unknown flag", []string{"--color"}, 2, "-color"},
		{"a stray word", []string{"now"}, 2, `unexpected argument "now"`},
		{"a share above 1", []string{"--throttle", "2"}, 2, "--throttle 2: want a share from 0 to 1"},
		{"a share of another model's answers", []string{"--refuse", "0.5", "--model-url", "http://127.0.0.1:1"}, 2, "leave out --model-url"},
		{"no JSON in --set", []string{"--set", "caps=ten"}, 2, "value of caps"},
		{"no template", []string{"--port", "0", "--template", filepath.Join(dir, "none.json")}, 1, "read the template"},
		{"a resource that is not supported", []string{"--port", "0", "--template", broken}, 1, "resource X (AWS::EC2::Instance)"},
		{"functions that are not built", []string{"--port", "0", "--template", golden(t), "--functions", dir}, 1, "build it with make build"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var said strings.Builder
			if code := run(t.Context(), append(c.args, "--data", data), io.Discard, &said); code != c.code || !strings.Contains(said.String(), c.want) {
				t.Fatalf("exit code %d, want %d; it said %s, want %q", code, c.code, said.String(), c.want)
			}
		})
	}
}

// source is this package's folder; the services change the working directory.
var source, _ = os.Getwd()

func golden(t *testing.T) string {
	t.Helper()
	return filepath.Join(source, "../../../infra/template/bedrock-batch.template.json")
}

func TestSettingsAreLaidOverTheFunctionsOwn(t *testing.T) {
	s := settings{}
	for _, text := range []string{`caps.max_records=5`, `models=["m"]`, `new.deep.member=true`} {
		if err := s.Set(text); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.over(`{"caps":{"max_records":9,"max_bytes":7},"models":["a","b"]}`)
	if err != nil {
		t.Fatal(err)
	}
	var have, want any
	if err := json.Unmarshal([]byte(got), &have); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{"caps":{"max_records":5,"max_bytes":7},"models":["m"],"new":{"deep":{"member":true}}}`), &want); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(have)
	b, _ := json.Marshal(want)
	if string(a) != string(b) {
		t.Fatalf("got %s, want %s", a, b)
	}
}

var update = flag.Bool("update", false, "write golden files anew")

func TestTheListsOfWhatIsSupportedAreUpToDate(t *testing.T) {
	const begin, end = "<!-- operations: made by go test ./cmd/local -update -->\n", "<!-- end of operations -->\n"
	for name, make := range map[string]func(have string) string{
		"SUPPORTED.md": func(string) string { return supported() },
		"README.md": func(have string) string {
			before, rest, found := strings.Cut(have, begin)
			_, after, closed := strings.Cut(rest, end)
			if !found || !closed {
				t.Fatal("README.md has no place for the table of operations")
			}
			return before + begin + operations() + end + after
		},
	} {
		path := filepath.Join(source, "../..", name)
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := make(string(have))
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if string(have) != want {
			t.Errorf("%s is stale: run go test ./cmd/local -update", name)
		}
	}
}

func TestOutputsBecomeEnvironmentVariables(t *testing.T) {
	for output, want := range map[string]string{"InputBucket": "BB_INPUT_BUCKET", "UploadsQueueUrl": "BB_UPLOADS_QUEUE_URL", "TopicArn": "BB_TOPIC_ARN", "Deployment": "BB_DEPLOYMENT"} {
		if got := variable(output); got != want {
			t.Errorf("%s: got %s, want %s", output, got, want)
		}
	}
}
