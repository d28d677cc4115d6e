package deployed

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch/doctor"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// Why says in one sentence what a submission is waiting for, or how it ended.
func (p *Pipeline) Why(ctx context.Context, s *pipeline.Submission) (string, error) {
	paused, err := p.view().Paused(ctx)
	if err != nil {
		return "", bedrockbatch.Explain(err, "look for a pause")
	}
	waiting, running, onDemand, ended := 0, 0, 0, 0
	for i := range s.Parts {
		switch q := &s.Parts[i]; {
		case q.Status == pipeline.PartEnded || q.Status == pipeline.PartCollected:
			ended++
		case q.How == pipeline.OnDemand:
			onDemand += q.Records
		case q.Status == pipeline.PartRunning:
			running++
		default:
			waiting++
		}
	}
	var line string
	if waiting > 0 && s.Prepared && !s.State.Terminal() {
		if line, err = p.line(ctx, s); err != nil {
			return "", err
		}
	}
	says := []string{explain(s, running, waiting, onDemand, ended, line)}
	if paused && !s.State.Terminal() {
		says = append(says, "the deployment is paused: bedrock-batch resume lets it go on")
	}
	return strings.Join(says, ", "), nil
}

// explain puts into words where a submission stands. line is its place in the
// line for slots, if it has one.
func explain(s *pipeline.Submission, running, waiting, onDemand, ended int, line string) string {
	var says []string
	add := func(format string, args ...any) { says = append(says, fmt.Sprintf(format, args...)) }
	switch {
	case s.State.Terminal():
		text := fmt.Sprintf("%s: %d of %s answered", s.State, s.Rows.Answered, count(int(s.Rows.Total), "row"))
		if s.Ending != nil && s.Ending.Reason != "" {
			text += "; " + s.Ending.Reason
		}
		return text
	case s.Ending != nil:
		return fmt.Sprintf("ending as %s: %s", s.Ending.State, s.Ending.Reason)
	case s.Stop:
		add("stopping: %s still running", count(running, "job"))
	case s.State == pipeline.Preparing && s.ModelID == "" && s.Looks > 0:
		add("preparing: no settings name a model yet; they are looked for %d more times", max(0, 3-s.Looks))
	case s.State == pipeline.Preparing:
		add("preparing: %s in %s so far", count(int(s.Rows.Total), "row"), count(len(s.Parts), "part"))
	case s.State == pipeline.Collecting:
		add("collecting the answers of %s", count(ended, "part"))
	case s.State == pipeline.WaitingFor && line != "":
		add("%s: %s", s.State, line)
	default:
		add("%s", s.State)
	}
	if running > 0 && !s.Stop {
		add("%s running", count(running, "job"))
	}
	if onDemand > 0 && s.State != pipeline.Preparing {
		add("%s asked on demand", count(onDemand, "row"))
	}
	switch {
	case waiting == 0 || !s.Prepared:
	case line == "":
		add("%s about to start", count(waiting, "part"))
	case s.State == pipeline.WaitingFor:
		add("%s for %s", count(waiting, "part"), s.QuotaKey)
	default:
		add("%s for %s waiting: %s", count(waiting, "part"), s.QuotaKey, line)
	}
	return strings.Join(says, ", ")
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// line is the place of a submission in the line for slots: "20 of 20 slots
// taken, 7th in line". It is empty if the submission does not wait.
func (p *Pipeline) line(ctx context.Context, s *pipeline.Submission) (string, error) {
	before, waits, err := p.view().Place(ctx, s)
	if err != nil || !waits {
		return "", bedrockbatch.Explain(err, "look at the line")
	}
	return p.slots(ctx, s) + ordinal(before+1) + " in line", nil
}

// slots says how many are taken, as far as who asks may know.
func (p *Pipeline) slots(ctx context.Context, s *pipeline.Submission) string {
	d := doctor.New(p.cfg)
	id, err := model.Parse(cmp.Or(s.BaseModel, s.ModelID))
	if err != nil || id.QuotaKey() != s.QuotaKey {
		return "" // a model whose id does not tell what its jobs count by
	}
	taken, quota, err := d.Slots(ctx, id)
	switch {
	case quota.Slots != nil:
		return fmt.Sprintf("%d of %.0f slots taken, ", taken, quota.Slots.Value)
	case err == nil:
		return fmt.Sprintf("%d slots taken, ", taken)
	}
	return ""
}

func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}
