// Package functions is what the main functions of submit and collect share:
// the clients of a deployment, opened.
package functions

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/bedrock"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/s3"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/sandbox"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/sqs"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// Clients are the ports of a deployment, opened.
type Clients struct {
	AWS     aws.Config
	Uploads *sqs.Queue
	Jobs    *sqs.Queue
	options pipeline.Options
	env     config.Environment
}

// gcPercent is how much garbage may pile up beside what is in use, in percent
// of it. What the functions hold is nearly all buffers without pointers, which
// cost a collection nothing; so collections are cheap, and the usual 100 would
// double the memory for no gain. docs/performance.md has the figures.
const gcPercent = 20

// Frugal keeps a function's process small from its first invocation on. Before
// that there is nothing to collect but what the start of the program left, and
// collecting it would be a tenth of a cold start. GOGC in the environment goes
// before it.
func Frugal[In, Out any](handle func(context.Context, In) (Out, error)) func(context.Context, In) (Out, error) {
	var first sync.Once
	return func(ctx context.Context, in In) (Out, error) {
		first.Do(func() {
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(gcPercent)
			}
		})
		return handle(ctx, in)
	}
}

// wall is the machine's clock.
type wall struct{}

func (wall) Now() time.Time { return time.Now() }

// Open opens the clients of a deployment from its environment.
func Open(env config.Environment, observer pipeline.Observer) (*Clients, error) {
	cfg, err := sandbox.Load()
	if err != nil {
		return nil, fmt.Errorf("load AWS configuration: %w", err)
	}
	var base workload.Workload
	if len(env.Settings.Workload) > 0 {
		if err := json.Unmarshal(env.Settings.Workload, &base); err != nil {
			return nil, fmt.Errorf("%s: the default workload: %w", config.EnvSettings, err)
		}
	}
	c := &Clients{AWS: cfg, Uploads: sqs.New(cfg, env.UploadsQueueURL), Jobs: sqs.New(cfg, env.JobsQueueURL), env: env}
	c.options = pipeline.Options{
		Deployment: env.Deployment, Settings: env.Settings, OutputBucket: env.OutputBucket, JobRole: env.JobRoleARN,
		Workload: base, TempDir: os.TempDir(),
		Input: s3.New(cfg, env.InputBucket, s3.Settings{}), Output: s3.New(cfg, env.OutputBucket, s3.Settings{}),
		Uploads: c.Uploads, Jobs: c.Jobs, Clock: wall{}, Observer: observer,
	}
	return c, nil
}

// Submit is the submitting half over these clients. What only one function
// needs it opens itself, so that the other is without that part of the SDK.
func (c *Clients) Submit(model batch.Model) *pipeline.Submit {
	o := c.options
	o.Models = bedrock.NewModels(c.AWS)
	return pipeline.NewSubmit(o, bedrock.New(c.AWS), model)
}

// Collect is the collecting half over these clients.
func (c *Clients) Collect(notices pipeline.Topic) *pipeline.Collect {
	return pipeline.NewCollect(c.options, bedrock.New(c.AWS), notices)
}
