package deployed

import (
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

func TestWhyIsOnePlainSentence(t *testing.T) {
	const line = "20 of 20 slots taken, 7th in line"
	rows := pipeline.Rows{Total: 300, Answered: 299}
	for _, c := range []struct {
		want                              string
		s                                 pipeline.Submission
		running, waiting, onDemand, ended int
		line                              string
	}{
		{"waiting: 20 of 20 slots taken, 7th in line, 3 parts for nova", pipeline.Submission{State: pipeline.WaitingFor, Prepared: true, QuotaKey: "nova"}, 0, 3, 0, 0, line},
		{"running, 1 job running, 2 parts for nova waiting: 20 of 20 slots taken, 7th in line", pipeline.Submission{State: pipeline.Running, Prepared: true, QuotaKey: "nova"}, 1, 2, 0, 0, line},
		{"waiting, 1 part about to start", pipeline.Submission{State: pipeline.WaitingFor, Prepared: true}, 0, 1, 0, 0, ""},
		{"running, 7 rows asked on demand", pipeline.Submission{State: pipeline.Running, Prepared: true}, 0, 0, 7, 0, ""},
		{"preparing: 300 rows in 0 parts so far", pipeline.Submission{State: pipeline.Preparing, ModelID: "m", Rows: rows}, 0, 0, 0, 0, ""},
		{"preparing: no settings name a model yet; they are looked for 2 more times", pipeline.Submission{State: pipeline.Preparing, Looks: 1}, 0, 0, 0, 0, ""},
		{"stopping: 2 jobs still running", pipeline.Submission{State: pipeline.Running, Stop: true, Prepared: true}, 2, 0, 0, 0, ""},
		{"collecting the answers of 4 parts", pipeline.Submission{State: pipeline.Collecting, Prepared: true}, 0, 0, 0, 4, ""},
		{"done: 299 of 300 rows answered", pipeline.Submission{State: pipeline.Done, Rows: rows}, 0, 0, 0, 1, ""},
		{"ending as stopped: asked to", pipeline.Submission{State: pipeline.Running, Ending: &pipeline.Ending{State: pipeline.StoppedEnd, Reason: "asked to"}}, 0, 0, 0, 0, ""},
	} {
		if got := explain(&c.s, c.running, c.waiting, c.onDemand, c.ended, c.line); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestPlacesInLineHaveTheirEndings(t *testing.T) {
	for n, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 112: "112th", 122: "122nd"} {
		if got := ordinal(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
