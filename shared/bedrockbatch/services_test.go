package bedrockbatch_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/awstest"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
)

// The examples run against the local services, as they would against AWS:
// TestMain starts them and sets the environment variables that the SDK and the
// examples read.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bedrock-batch-examples-")
	if err != nil {
		log.Fatal(err)
	}
	services, end, err := awstest.Run(dir, "--job-time", "1s")
	if err != nil {
		log.Fatal(err)
	}
	for name, value := range services.Env {
		os.Setenv(name, value)
	}
	os.Setenv("XDG_CACHE_HOME", dir)
	code := m.Run()
	if said, err := end(); err != nil {
		fmt.Fprintln(os.Stderr, err, said)
		code = 1
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// open is the client of the examples. A bucket and a role are all it needs;
// the jobs here take a second, so they are looked at often.
func open(ctx context.Context) *bedrockbatch.Client {
	backoff := bedrockbatch.DefaultBackoff()
	backoff.Poll = bedrockbatch.Delay{First: 100 * time.Millisecond, Longest: time.Second}
	client, err := bedrockbatch.New(ctx, bedrockbatch.Options{
		Bucket: os.Getenv("BB_OUTPUT_BUCKET"), Role: os.Getenv("BB_JOB_ROLE_ARN"), Backoff: &backoff,
	})
	if err != nil {
		log.Fatal(err)
	}
	return client
}
