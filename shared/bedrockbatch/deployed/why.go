package deployed

import (
	"context"
	"fmt"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
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
	var says []string
	add := func(format string, args ...any) { says = append(says, fmt.Sprintf(format, args...)) }
	switch {
	case s.State.Terminal():
		text := fmt.Sprintf("%s: %d of %d rows answered", s.State, s.Rows.Answered, s.Rows.Total)
		if s.Ending != nil && s.Ending.Reason != "" {
			text += "; " + s.Ending.Reason
		}
		return text, nil
	case s.Ending != nil:
		return fmt.Sprintf("ending as %s: %s", s.Ending.State, s.Ending.Reason), nil
	case s.Stop:
		add("stopping: %d jobs are still running", running)
	case s.State == pipeline.Preparing && s.ModelID == "" && s.Looks > 0:
		add("preparing: no settings name a model yet; they are looked for %d more times", max(0, 3-s.Looks))
	case s.State == pipeline.Preparing:
		add("preparing: %d rows in %d parts so far", s.Rows.Total, len(s.Parts))
	case s.State == pipeline.Collecting:
		add("collecting the answers of %d parts", ended)
	default:
		add("%s", s.State)
	}
	if running > 0 && !s.Stop {
		add("%d jobs running", running)
	}
	if onDemand > 0 && s.State != pipeline.Preparing {
		add("%d rows asked on demand", onDemand)
	}
	if waiting > 0 && s.Prepared {
		before, waits, err := p.view().Place(ctx, s)
		if err != nil {
			return "", bedrockbatch.Explain(err, "look at the line")
		}
		if waits {
			add("%d parts wait for slots of %s, %s in line", waiting, s.QuotaKey, ordinal(before+1))
		} else {
			add("%d parts about to start", waiting)
		}
	}
	if paused {
		add("the deployment is paused: bedrock-batch resume lets it go on")
	}
	return strings.Join(says, ", "), nil
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
