package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// The same rows come again, under other names and between new ones: by a job,
// on demand and with nothing left to ask.
func TestRowsThatWereAnsweredAreNotPaidAgain(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{flags: []string{"--set", quotas}})
	u.settings("", nova+"only_new: true\n")
	before := map[string]string{} // answers by what was asked
	for i, c := range []struct {
		first, rows           int
		known, jobs, onDemand int64
	}{
		{first: 1, rows: 120, known: 0, jobs: 1},
		{first: 61, rows: 180, known: 60, jobs: 1},     // 120 new ones
		{first: 1, rows: 245, known: 240, onDemand: 5}, // too few for a job
		{first: 1, rows: 245, known: 245},
	} {
		jobs, asked := len(u.jobs()), 0
		asked, _ = u.bought()
		key := fmt.Sprintf("again/%d.jsonl", i)
		u.drop(key, promptsFrom(c.first, c.rows))
		n := u.notice(key)
		if n.Status != "Completed" || n.Rows.Answered != int64(c.rows) || n.Rows.Known != c.known {
			t.Fatalf("upload %d: %s", i, n.Raw)
		}
		if got := len(u.jobs()) - jobs; got != int(c.jobs) {
			t.Errorf("upload %d: %d jobs, want %d", i, got, c.jobs)
		}
		if got, again := u.bought(); got-asked != int(c.onDemand) || again > 0 {
			t.Errorf("upload %d: %d answers bought on demand, %d of them again; want %d", i, got-asked, again, c.onDemand)
		}
		if i == 3 && (n.Tokens.Input != 0 || n.EstimatedCostUSD == nil || *n.EstimatedCostUSD != 0) {
			t.Errorf("what is known costs: %s", n.Raw)
		}
		known := int64(0)
		for at, r := range lines[result](u, n.Results.Results) {
			what := subject(c.first + at)
			if r.Row != int64(at+1) || !strings.Contains(r.Output, what) {
				t.Fatalf("upload %d: row %d is answered by %+v", i, at+1, r)
			}
			if r.Known != "" {
				known++
				if r.Output != before[what] {
					t.Errorf("upload %d: row %d is not as it was known: %+v", i, at+1, r)
				}
			}
			before[what] = r.Output
		}
		if known != c.known {
			t.Errorf("upload %d: %d results are known, want %d", i, known, c.known)
		}
	}
	u.ended()
}
