package deployed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/bedrock"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/bedrockruntime"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/s3"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/sqs"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/sts"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch/doctor"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

// Finding is what one check found.
type Finding = doctor.Finding

// Identity checks credentials and region, before anything else is reached.
func Identity(ctx context.Context) Finding {
	f := Finding{Check: "credentials"}
	cfg, err := load(ctx)
	if err == nil {
		var arn string
		if _, arn, err = sts.Identity(ctx, cfg); err == nil {
			f.State, f.Detail = doctor.Fine, fmt.Sprintf("%s in %s", arn, cfg.Region)
			return f
		}
	}
	f.State, f.Detail = doctor.Broken, err.Error()
	f.Fix = "sign in (aws sso login), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; set AWS_REGION"
	return f
}

// probe is the key of what the doctor writes into the input bucket; the
// pipeline ignores names that begin with a dot.
const probe = ".bedrock-batch-doctor"

// Doctor checks what a deployed pipeline and its caller need. model, if not
// empty, is asked for one token; without, access and quotas are looked at for
// the models that open submissions wait for.
func (p *Pipeline) Doctor(ctx context.Context, model string) []Finding {
	checks := []func(context.Context) Finding{
		p.inputBucket, p.outputBucket,
		func(ctx context.Context) Finding { return p.queue(ctx, "uploads queue", p.out.UploadsQueueURL) },
		func(ctx context.Context) Finding { return p.queue(ctx, "jobs queue", p.out.JobsQueueURL) },
		p.batchJobs, p.pause, p.open,
	}
	var found []Finding
	for _, check := range checks {
		found = append(found, check(ctx))
	}
	models, err := p.models(ctx, model)
	if err != nil {
		found = append(found, judged("open submissions", "", err, "s3:GetObject on arn:aws:s3:::"+p.out.OutputBucket+"/*"))
	}
	if p.out.JobRoleARN == "" {
		found = append(found, Finding{Check: "job role", State: doctor.Unknown, Detail: "no role is named", Fix: "set " + config.EnvJobRoleARN + ", or name the stack with --stack"})
	} else {
		found = append(found, doctor.New(p.cfg).Check(ctx, bedrockbatch.Setup{
			Bucket: p.out.OutputBucket, Prefix: config.Staged, Role: p.out.JobRoleARN, Region: p.cfg.Region, Models: models,
		})...)
	}
	if model != "" {
		found = append(found, Ask(ctx, p.cfg, model))
	}
	return found
}

// models are the one that is named, or those of open submissions.
func (p *Pipeline) models(ctx context.Context, named string) ([]string, error) {
	if named != "" {
		return []string{named}, nil
	}
	var all []string
	for s, err := range p.Submissions(ctx, false) {
		if err != nil {
			return all, err
		}
		if s.ModelID != "" && !slices.Contains(all, s.ModelID) {
			all = append(all, s.ModelID)
		}
	}
	return all, nil
}

// Direct checks what runs need that have no deployed pipeline: bucket, role
// and model. model, if not empty, is asked for one token.
func Direct(ctx context.Context, bucket, prefix, role, model string) []Finding {
	cfg, err := load(ctx)
	if err != nil {
		return []Finding{judged("configuration", "", err, "")}
	}
	found := []Finding{written(ctx, "bucket", s3.New(cfg, bucket, s3.Settings{}), bucket, prefix)}
	setup := bedrockbatch.Setup{Bucket: bucket, Prefix: prefix, Role: role, Region: cfg.Region}
	if model != "" {
		setup.Models = []string{model}
	}
	found = append(found, liveJobs(ctx, cfg))
	found = append(found, doctor.New(cfg).Check(ctx, setup)...)
	if model != "" {
		found = append(found, Ask(ctx, cfg, model))
	}
	return found
}

// judged is doctor.Judged.
func judged(check, detail string, err error, right string) Finding {
	return doctor.Judged(check, detail, err, right)
}

// written checks that who is calling may write, read and delete below a
// prefix.
func written(ctx context.Context, check string, b batch.Bucket, name, prefix string) Finding {
	key := prefix + probe
	_, err := b.Put(ctx, key, []byte("{}"), batch.Condition{})
	if err == nil {
		_, _, err = b.Get(ctx, key)
	}
	if err == nil {
		err = b.Delete(ctx, key)
	}
	return judged(check, name+": written, read, deleted", err, "s3:PutObject, s3:GetObject and s3:DeleteObject on arn:aws:s3:::"+name+"/"+prefix+"*")
}

func (p *Pipeline) inputBucket(ctx context.Context) Finding {
	return written(ctx, "input bucket", p.input, p.out.InputBucket, "")
}

func (p *Pipeline) batchJobs(ctx context.Context) Finding { return liveJobs(ctx, p.cfg) }

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
		f.State, f.Detail, f.Fix = doctor.Warning, fmt.Sprintf("about %d dead letters", n), "read the functions' logs, mend the cause, then bedrock-batch redrive"
	}
	return f
}

func liveJobs(ctx context.Context, cfg aws.Config) Finding {
	live := 0
	var err error
	jobs := bedrock.New(cfg)
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
		f.State, f.Detail, f.Fix = doctor.Warning, "the deployment is paused: nothing that costs is started", "bedrock-batch resume"
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
		f.State, f.Detail = doctor.Warning, fmt.Sprintf("%d, of which %d have not been touched for %s", all, still, standing)
		f.Fix = "see that the schedule is on and the functions run: their logs say why"
	}
	return f
}

// Ask asks a model for one token: the one check that costs something.
func Ask(ctx context.Context, cfg aws.Config, id string) Finding {
	_, err := bedrockruntime.New(cfg).Answer(ctx, id, batch.Converse, []byte(`{"messages":[{"role":"user","content":[{"text":"Say yes."}]}],"inferenceConfig":{"maxTokens":1}}`))
	f := judged("model "+id, "it answers", err, "bedrock:InvokeModel on it")
	if errors.Is(err, batch.ErrAccess) {
		f.Fix += ", and ask for access to the model in the Bedrock console of this region"
	}
	if errors.Is(err, batch.ErrInvalid) {
		f.Fix = "check the id; models without on-demand throughput need their inference profile, as us.amazon.nova-lite-v1:0"
	}
	return f
}
