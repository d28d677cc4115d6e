package bedrockbatch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/bedrock"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/bedrockruntime"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/s3"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/settings"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// DefaultPrefix is where runs stand in their bucket. Below it everything of a
// run is reached by the roles and the bucket policy of a deployed pipeline's
// output bucket, and is covered by its expiry after 90 days.
const DefaultPrefix = config.Staged + "runs/"

// Options are a Client's. Bucket and Role must be set, everything else has a
// default.
type Options struct {
	// Bucket is the name of the bucket that inputs, state and results stand
	// in. It may be a deployed pipeline's output bucket.
	Bucket string
	// Prefix is the folder of all runs, ending in a slash. Default:
	// DefaultPrefix.
	Prefix string
	// Role is the ARN of the role that Bedrock runs the jobs as: it reads and
	// writes below Prefix and may invoke the model.
	Role string
	// Settings are quotas, caps and prices. Default: config.Default.
	Settings *config.Settings
	// Backoff is how often and after what time failed calls are repeated, by
	// class of error. Default: DefaultBackoff.
	Backoff *Backoff
	// TempDir takes inputs while they are read, and answers that do not fit
	// memory. Default: the system's.
	TempDir string
	// LockDir holds a lock for each run that a process of this machine works
	// on. Default: the user's cache folder.
	LockDir string
	// Observer is told what happens. It never sees prompts or answers.
	Observer pipeline.Observer
	// Ports replace AWS; those that are nil are opened with the SDK's own
	// settings (environment, profile, role).
	Ports Ports
}

// Ports are the ways to the outside world.
type Ports struct {
	// Bucket is the whole bucket named in Options.
	Bucket batch.Bucket
	Jobs   batch.Jobs
	Model  batch.Model
	// Models tells the models behind application profiles and custom models.
	// It is opened only where Jobs is.
	Models batch.Models
	Clock  Clock
}

// Clock tells the time and waits.
type Clock interface {
	Now() time.Time
	// Sleep waits for d, or until ctx ends and returns its error.
	Sleep(ctx context.Context, d time.Duration) error
}

// wall is the machine's clock.
type wall struct{}

func (wall) Now() time.Time { return time.Now() }

// Sleep implements Clock.
func (wall) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Client runs batch inference from this program: the pipeline's own code,
// driven in this process, over one bucket. It is safe for concurrent use.
type Client struct {
	opt     Options
	set     config.Settings
	backoff Backoff
	bucket  batch.Bucket
	jobs    batch.Jobs
	model   batch.Model
	models  batch.Models
	clock   Clock
}

// New makes a client. It calls no service.
func New(ctx context.Context, opt Options) (*Client, error) {
	var problems []string
	if opt.Bucket == "" {
		problems = append(problems, "Bucket is empty: name the bucket that inputs and results stand in")
	}
	opt.Prefix = cmp.Or(opt.Prefix, DefaultPrefix)
	if !strings.HasSuffix(opt.Prefix, "/") || strings.HasPrefix(opt.Prefix, "/") {
		problems = append(problems, fmt.Sprintf("Prefix %q must end in a slash and not begin with one", opt.Prefix))
	}
	c := &Client{opt: opt, set: config.Default(), backoff: DefaultBackoff()}
	if opt.Settings != nil {
		c.set = *opt.Settings
		if err := c.set.Validate(); err != nil {
			problems = append(problems, err.Error())
		}
	}
	if opt.Backoff != nil {
		c.backoff = *opt.Backoff
	}
	if len(problems) > 0 {
		return nil, invalid("open client", "%s", strings.Join(problems, "; "))
	}
	c.opt.TempDir = cmp.Or(opt.TempDir, os.TempDir())
	c.clock = opt.Ports.Clock
	if c.clock == nil {
		c.clock = wall{}
	}
	p := opt.Ports
	if p.Bucket == nil || p.Jobs == nil || p.Model == nil {
		cfg, err := settings.Load(ctx)
		if err != nil {
			return nil, err
		}
		if cfg.Region == "" && cfg.BaseEndpoint == nil {
			return nil, invalid("open client", "no AWS region is set: set AWS_REGION, or region in your profile")
		}
		if p.Bucket == nil {
			p.Bucket = s3.New(cfg, opt.Bucket, s3.Settings{})
		}
		if p.Jobs == nil {
			p.Jobs = bedrock.New(cfg)
			if p.Models == nil {
				p.Models = bedrock.NewModels(cfg)
			}
		}
		if p.Model == nil {
			p.Model = bedrockruntime.New(cfg)
		}
	}
	c.bucket = p.Bucket
	c.jobs = &explainedJobs{p.Jobs, opt.Role}
	c.model, c.models = p.Model, p.Models
	return c, nil
}

// folder is where everything of a run stands.
func (c *Client) folder(name string) string { return c.opt.Prefix + name + "/" }

// at is the bucket as a run sees it.
func (c *Client) at(name string) *below {
	return &below{bucket: c.bucket, name: c.opt.Bucket, prefix: c.folder(name)}
}

// deployment is what the names of a run's jobs begin with.
func (c *Client) deployment(name string) string {
	sum := sha256.Sum256([]byte(c.opt.Bucket + "\x00" + c.folder(name)))
	return hex.EncodeToString(sum[:4])
}

type silent struct{}

func (silent) Observe(context.Context, pipeline.Event) {}
