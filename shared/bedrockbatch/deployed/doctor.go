package deployed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/bedrock"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/bedrockruntime"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/sqs"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/sts"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

// The states of a Finding.
const (
	Fine    = "ok"
	Warning = "warning"
	Broken  = "broken"
)

// Finding is what one check found.
type Finding struct {
	Check  string `json:"check"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	// Fix says what to do, where something is to be done.
	Fix string `json:"fix,omitempty"`
}

// Identity checks credentials and region, before anything else is reached.
func Identity(ctx context.Context) Finding {
	f := Finding{Check: "credentials"}
	cfg, err := load(ctx)
	if err == nil {
		var arn string
		if _, arn, err = sts.Identity(ctx, cfg); err == nil {
			f.State, f.Detail = Fine, fmt.Sprintf("%s in %s", arn, cfg.Region)
			return f
		}
	}
	f.State, f.Detail = Broken, err.Error()
	f.Fix = "sign in (aws sso login), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; set AWS_REGION"
	return f
}

// probe is the key of what the doctor writes into the input bucket; the
// pipeline ignores names that begin with a dot.
const probe = ".bedrock-batch-doctor"

// Doctor checks what a deployed pipeline and its caller need. model, if not
// empty, is asked for one token.
func (p *Pipeline) Doctor(ctx context.Context, model string) []Finding {
	checks := []func(context.Context) Finding{
		p.inputBucket, p.outputBucket,
		func(ctx context.Context) Finding { return p.queue(ctx, "uploads queue", p.out.UploadsQueueURL) },
		func(ctx context.Context) Finding { return p.queue(ctx, "jobs queue", p.out.JobsQueueURL) },
		p.batchJobs, p.pause, p.open,
	}
	if model != "" {
		checks = append(checks, func(ctx context.Context) Finding { return p.model(ctx, model) })
	}
	var found []Finding
	for _, check := range checks {
		found = append(found, check(ctx))
	}
	return found
}

// judged is a finding about a call: fine, or broken with a fix by class.
func judged(check, detail string, err error, right string) Finding {
	f := Finding{Check: check, State: Fine, Detail: detail}
	if err == nil {
		return f
	}
	f.State, f.Detail = Broken, err.Error()
	switch {
	case errors.Is(err, batch.ErrAccess):
		f.Fix = "allow " + right + " to who you are, and the use of the key if the bucket is encrypted with one of yours"
	case errors.Is(err, batch.ErrNotFound):
		f.Fix = "it is not there: check region and stack, or deploy again"
	case batch.Passing(err):
		f.Fix = "try again in a while"
	}
	return f
}

func (p *Pipeline) inputBucket(ctx context.Context) Finding {
	_, err := p.input.Put(ctx, probe, []byte("{}"), batch.Condition{})
	if err == nil {
		_, _, err = p.input.Get(ctx, probe)
	}
	if err == nil {
		err = p.input.Delete(ctx, probe)
	}
	return judged("input bucket", p.out.InputBucket+": written, read, deleted", err, "s3:PutObject, s3:GetObject and s3:DeleteObject on arn:aws:s3:::"+p.out.InputBucket+"/*")
}

func (p *Pipeline) outputBucket(ctx context.Context) Finding {
	var err error
	for _, e := range p.output.List(ctx, config.Results, "") {
		err = e
		break
	}
	return judged("output bucket", p.out.OutputBucket+": listed", err, "s3:ListBucket on arn:aws:s3:::"+p.out.OutputBucket+" and s3:GetObject on what is in it")
}

func (p *Pipeline) queue(ctx context.Context, name, url string) Finding {
	n, err := sqs.NewDeadLetters(p.cfg, url).Count(ctx)
	f := judged(name, "no dead letters", err, "sqs:GetQueueAttributes and sqs:GetQueueUrl")
	if err == nil && n > 0 {
		f.State, f.Detail, f.Fix = Warning, fmt.Sprintf("about %d dead letters", n), "read the functions' logs, mend the cause, then bedrock-batch redrive"
	}
	return f
}

func (p *Pipeline) batchJobs(ctx context.Context) Finding {
	live := 0
	var err error
	jobs := bedrock.New(p.cfg)
	for _, status := range []batch.Status{batch.Submitted, batch.Validating, batch.Scheduled, batch.InProgress, batch.Stopping} {
		for _, e := range jobs.List(ctx, batch.JobFilter{Status: status}) {
			if err = e; err != nil {
				break
			}
			live++
		}
	}
	return judged("batch jobs", fmt.Sprintf("%d live in the account", live), err, "bedrock:ListModelInvocationJobs")
}

func (p *Pipeline) pause(ctx context.Context) Finding {
	paused, err := p.view().Paused(ctx)
	f := judged("pause", "not paused", err, "s3:GetObject on arn:aws:s3:::"+p.out.OutputBucket+"/*")
	if paused {
		f.State, f.Detail, f.Fix = Warning, "the deployment is paused: nothing that costs is started", "bedrock-batch resume"
	}
	return f
}

// standing is how long an open submission may go untouched before it is
// remarkable: the schedule touches it every half hour.
const standing = 2 * time.Hour

func (p *Pipeline) open(ctx context.Context) Finding {
	all, still := 0, 0
	var err error
	for o, e := range p.output.List(ctx, config.Open, "") {
		if err = e; err != nil {
			break
		}
		all++
		if time.Since(o.Modified) > standing {
			still++
		}
	}
	f := judged("open submissions", fmt.Sprintf("%d", all), err, "s3:ListBucket on arn:aws:s3:::"+p.out.OutputBucket)
	if still > 0 {
		f.State, f.Detail = Warning, fmt.Sprintf("%d, of which %d have not been touched for %s", all, still, standing)
		f.Fix = "see that the schedule is on and the functions run: their logs say why"
	}
	return f
}

func (p *Pipeline) model(ctx context.Context, id string) Finding {
	_, err := bedrockruntime.New(p.cfg).Answer(ctx, id, batch.Converse, []byte(`{"messages":[{"role":"user","content":[{"text":"Say yes."}]}],"inferenceConfig":{"maxTokens":1}}`))
	f := judged("model "+id, "it answers", err, "bedrock:InvokeModel on it")
	if errors.Is(err, batch.ErrAccess) {
		f.Fix += ", and ask for access to the model in the Bedrock console of this region"
	}
	if errors.Is(err, batch.ErrInvalid) {
		f.Fix = "check the id; models without on-demand throughput need their inference profile, as us.amazon.nova-lite-v1:0"
	}
	return f
}
