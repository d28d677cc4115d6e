package sim

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
)

// jobsPort is the control plane as an invocation sees it: new jobs are not
// found at once, and models come back as ARNs.
type jobsPort struct {
	*memory.Jobs
	s *sim
	c *container
}

func (p *jobsPort) lags(job batch.Job) bool {
	return p.s.w.lag > 0 && p.s.clock.Now().Sub(job.Submitted) < p.s.w.lag && p.s.rnd.IntN(4) > 0
}

func (p *jobsPort) List(ctx context.Context, filter batch.JobFilter) iter.Seq2[batch.Job, error] {
	return func(yield func(batch.Job, error) bool) {
		for job, err := range p.Jobs.List(ctx, filter) {
			if err == nil && p.lags(job) {
				p.s.fault("%s does not find job %s yet", p.c.cur.name, job.Name)
				continue
			}
			job.ModelID = modelARN(job.ModelID)
			if !yield(job, err) {
				return
			}
		}
	}
}

func (p *jobsPort) Get(ctx context.Context, arn string) (batch.Job, error) {
	job, err := p.Jobs.Get(ctx, arn)
	if err == nil && p.lags(job) {
		p.s.fault("%s cannot read job %s yet", p.c.cur.name, job.Name)
		return batch.Job{}, fmt.Errorf("get job %s: %w", arn, batch.ErrNotFound)
	}
	job.ModelID = modelARN(job.ModelID)
	return job, err
}

func modelARN(id string) string {
	if strings.HasPrefix(id, "us.") {
		return "arn:aws:bedrock:us-east-1:123456789012:inference-profile/" + id
	}
	return "arn:aws:bedrock:us-east-1::foundation-model/" + id
}

// modelPort is a model on demand, which throttles and refuses.
type modelPort struct {
	*memory.Model
	s *sim
	c *container
}

func (p *modelPort) Answer(ctx context.Context, modelID string, how batch.Invocation, modelInput []byte) ([]byte, error) {
	if p.c.cur.dead == "" && p.s.chance(p.s.w.throttle) {
		p.s.fault("%s is throttled", p.c.cur.name)
		return nil, &batch.ServiceError{Class: batch.ErrThrottled, Code: "ThrottlingException", Message: "slow down", Status: 429}
	}
	if p.c.cur.dead != "" {
		return p.Model.Answer(ctx, modelID, how, modelInput)
	}
	p.s.asking++
	if p.s.asking > p.s.seats {
		p.s.violation("%d requests on demand are under way at once, %d may be", p.s.asking, p.s.seats)
	}
	out, err := p.Model.Answer(ctx, modelID, how, modelInput)
	if p.s.w.ponder > 0 && err == nil {
		p.c.cur.wait(p.s.between(0, p.s.w.ponder))
	}
	p.s.asking--
	if err == nil && poisoned(modelInput) {
		return nil, &batch.ServiceError{Class: batch.ErrInvalid, Code: "ValidationException", Message: "the model does not like it", Status: 400}
	}
	return out, err
}

// poisoned rows are refused by the model on demand.
func poisoned(input []byte) bool {
	serial, n, _ := untag(input)
	return (serial*31+n)%11 == 0
}

// reply is the model's answer: it quotes the tag.
func (s *sim) reply(_ string, how batch.Invocation, modelInput []byte) []byte {
	serial, n, _ := untag(modelInput)
	if !s.ledger.ending {
		s.ledger.asked(serial, n)
	}
	text := "said " + tag(serial, n)
	if how == batch.Converse {
		return fmt.Appendf(nil, `{"output":{"message":{"role":"assistant","content":[{"text":"%s"}]}},"stopReason":"end_turn","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5}}`, text)
	}
	return fmt.Appendf(nil, `{"id":"m","type":"message","role":"assistant","content":[{"type":"text","text":"%s"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}`, text)
}

// somebodyElsesJob takes a slot.
func (s *sim) somebodyElsesJob() {
	if !s.stormy {
		return
	}
	name := fmt.Sprintf("nightly-%d", s.serial)
	if all := s.bedrock.All(); len(all) > 0 && s.rnd.IntN(2) == 0 {
		name = "x" + all[s.rnd.IntN(len(all))].Name // holds one of our names
		if len(name) > 63 || strings.HasPrefix(name, "xx") {
			return
		}
	}
	_, _ = s.bedrock.Jobs(nil).Create(bg, batch.JobSpec{ // a full quota is as good
		Name: name, ModelID: pick(s.rnd, nova, claude), RoleARN: jobRole, Invocation: batch.Converse,
		Input: "s3://out/elsewhere.jsonl", Output: "s3://out/elsewhere/",
	})
}

// siege has somebody else's job take the only slot of a model for days.
func (s *sim) siege(model string) {
	s.besieging = true
	arn, err := s.bedrock.Jobs(nil).Create(bg, batch.JobSpec{
		Name: "siege-" + strings.ReplaceAll(strings.ReplaceAll(model, ":", "-"), ".", "-"), ModelID: model, RoleARN: jobRole, Invocation: batch.Converse,
		Input: "s3://out/elsewhere.jsonl", Output: "s3://out/elsewhere/",
	})
	s.besieging = false
	if err != nil {
		panic(err)
	}
	s.fault("job %s holds the slot of %s", arn, model)
}

func ours(job batch.Job) bool { return strings.HasPrefix(job.Name, deployment) }

// jobChanged is told of every change of a job's status: it plans the next and
// sends the event.
func (s *sim) jobChanged(job batch.Job) {
	s.tell("job %s is %s %s", job.Name, job.Status, job.Message)
	arn := job.ARN
	if job.Status == batch.Submitted && ours(job) {
		s.ledger.created(job)
	}
	switch {
	case s.besieging:
	case !ours(job) && job.Status == batch.Submitted:
		s.in(s.between(time.Minute, 2*time.Hour), func() { s.bedrock.End(arn, memory.Outcome{NoOutput: true}) })
	case !ours(job):
	case job.Status == batch.Submitted, job.Status == batch.Validating:
		s.in(s.between(0, 3*time.Minute), func() { s.advance(arn, job.Status) })
	case job.Status == batch.Scheduled && s.stormy && s.chance(s.w.odd/4):
		s.in(s.between(0, time.Hour), func() { s.end(arn, batch.Expired) })
	case job.Status == batch.Scheduled:
		s.in(s.between(0, 20*time.Minute), func() { s.advance(arn, job.Status) })
	case job.Status == batch.InProgress && s.rnd.IntN(15) == 0:
		s.in(s.between(time.Hour, 12*time.Hour), func() { s.end(arn, batch.Completed) })
	case job.Status == batch.InProgress:
		s.in(s.between(time.Minute, pick(s.rnd, 5*time.Minute, 40*time.Minute, 2*time.Hour)), func() { s.end(arn, batch.Completed) })
	case job.Status == batch.Stopping:
		s.in(s.between(0, 10*time.Minute), func() { s.end(arn, batch.Stopped) })
	}
	if job.Status.Terminal() {
		if ours(job) {
			s.ledger.ended(job)
		}
		s.event(job)
	}
}

// advance moves a job on if it still stands where it stood.
func (s *sim) advance(arn string, from batch.Status) {
	for _, job := range s.bedrock.All() {
		if job.ARN == arn && job.Status == from {
			s.bedrock.Advance(arn)
			return
		}
	}
}

// event sends the news of a job's end to both queues, or not.
func (s *sim) event(job batch.Job) {
	body := fmt.Appendf(nil, `{"version":"0","id":"b326b97e","detail-type":"Batch Inference Job State Change","source":"aws.bedrock","account":"123456789012","time":"%s","region":"us-east-1","resources":["%s"],"detail":{"version":"0.0","accountId":"123456789012","batchJobName":"%s","batchJobArn":"%s","batchModelId":"%s","status":"%s","failureMessage":"","creationTime":"Nov 23, 2026, 10:16:02 AM"}}`,
		pick(s.rnd, "Mon Nov 23 12:34:56 UTC 2026", "2026-11-23T11:02:00Z", ""), job.ARN, job.Name, job.ARN, modelARN(job.ModelID), job.Status)
	for _, q := range []*memory.Queue{s.jobs, s.uploads} {
		if q == s.jobs && !ours(job) {
			continue
		}
		if s.chance(s.w.lose) {
			s.fault("an event of job %s is lost", job.Name)
			continue
		}
		q.Put(body, s.delay("an event"))
		if s.chance(s.w.repeat) {
			s.fault("an event of job %s is repeated", job.Name)
			q.Put(body, s.delay("an event"))
		}
	}
}

// codes are what a record can fail with; true is worth a retry.
var codes = map[int]bool{400: false, 403: false, 408: true, 424: false, 429: true, 500: true, 503: true}

var codeList = []int{400, 403, 408, 424, 429, 500, 503}

// end ends a job in one of the ways in which jobs end.
func (s *sim) end(arn string, status batch.Status) {
	var job batch.Job
	for _, j := range s.bedrock.All() {
		if j.ARN == arn {
			job = j
		}
	}
	if job.Status.Terminal() {
		return
	}
	if job.Status == batch.Stopping {
		status = batch.Stopped
	}
	s.ledger.outlived(job)
	r := s.rnd
	o := memory.Outcome{Status: status}
	f := &fate{status: status, certain: true, lines: map[string]memory.Line{}}
	share := 1.0 // of the records come back at all
	if status != batch.Completed {
		share = pick(r, 0, 0, 0.5, 1)
	}
	if s.stormy {
		if status == batch.Completed && s.chance(s.w.odd) {
			o.Status = pick(r, batch.Completed, batch.PartiallyCompleted, batch.Failed, batch.Stopped, batch.Expired, batch.Failed)
			share = pick(r, 0, 0.5, 1)
			if o.Status == batch.Failed {
				o.Message = "Something went wrong inside the service"
			}
			s.fault("job %s ends as %s", job.Name, o.Status)
		}
		o.Files = 1 + r.IntN(3)
		if r.IntN(2) == 0 {
			o.Order = r.Perm
		}
		if s.chance(s.w.odd / 3) {
			o.Manifest = pick(r, memory.ManifestAbsent, memory.ManifestWrong)
			s.fault("manifest of job %s: %d", job.Name, o.Manifest)
		}
		if s.chance(s.w.odd / 4) {
			o.Extra = []string{pick(r, `{"recordId":"r0000009999","modelOutput":{}}`, `{"recordId":"GEN0000001","modelInput":{},"modelOutput":{}}`, `{{{`, ``, `null`, `{"modelOutput":{}}`)}
			s.fault("job %s writes a further line %s", job.Name, o.Extra[0])
		}
		if s.chance(s.w.odd / 4) {
			o.NoCounts = true
		}
		if s.chance(s.w.odd / 6) {
			o.NoOutput = true
			s.fault("job %s writes nothing", job.Name)
		}
	}
	f.status = o.Status
	o.Line = func(_ int, recordID string) memory.Line {
		l := memory.Line{}
		switch {
		case !s.chance(share):
			l.Shape = memory.Missing
		case s.chance(s.w.bad):
			l.Shape = pick(r, memory.Beside, memory.Inside, memory.Beside, memory.Inside, memory.Neither, memory.Broken, memory.Twice, memory.Missing)
			l.Code, l.Text, l.Message = codeList[r.IntN(len(codeList))], r.IntN(2) == 0, "no luck"
			s.report.Faults++
		}
		f.lines[recordID] = l
		return l
	}
	s.ledger.fates[job.Name] = f
	late := s.stormy && s.chance(s.w.odd/3)
	if late && r.IntN(2) == 0 {
		o.Held = true
	}
	s.ledger.ending = true
	before := s.output.Keys("staged/")
	s.bedrock.End(arn, o)
	s.ledger.ending = false
	if o.NoOutput {
		f.lines = map[string]memory.Line{}
	}
	if late {
		s.holdUp(job, f, o, before)
	}
}

// holdUp has a job's output, or one file of it, come later than its end.
func (s *sim) holdUp(job batch.Job, f *fate, o memory.Outcome, before []string) {
	// Where the job's own counts tell that lines are missing, or where a
	// completed job's manifest is, it is waited for.
	wait := 15*time.Minute - time.Minute
	d := s.between(0, wait)
	if s.rnd.IntN(6) == 0 {
		d = s.between(wait, 2*time.Hour)
		f.certain = false
	}
	if o.NoCounts || o.Extra != nil {
		f.certain = false
	}
	s.fault("output of job %s is %v late (all of it: %v)", job.Name, d, o.Held)
	if o.Held {
		s.in(d, func() {
			before := len(s.output.Keys("staged/"))
			s.bedrock.Release(job.ARN)
			s.tell("output of job %s is there: %d more objects", job.Name, len(s.output.Keys("staged/"))-before)
			for _, key := range s.output.Keys(strings.TrimPrefix(job.Output, "s3://"+outputBucket+"/")) {
				s.ledger.late[key] = true
			}
		})
		return
	}
	old := map[string]bool{}
	for _, key := range before {
		old[key] = true
	}
	var fresh []string
	for _, key := range s.output.Keys("staged/") {
		if !old[key] {
			fresh = append(fresh, key)
		}
	}
	if len(fresh) == 0 {
		return
	}
	key := fresh[s.rnd.IntN(len(fresh))]
	body := s.output.Bytes(key)
	s.output.Delete(bg, key)
	s.ledger.late[key] = true
	s.in(d, func() { s.output.Set(key, body); s.tell("%s is there", key) })
}

// settleWorld ends what others hold when the weather clears.
func (s *sim) settleWorld() {
	for _, job := range s.bedrock.All() {
		if !ours(job) && !job.Status.Terminal() {
			s.bedrock.End(job.ARN, memory.Outcome{NoOutput: true})
		}
	}
}
