package e2e

import (
	"fmt"
	"testing"
)

func TestSmallUploadsAtOnceShareOneLimitOfRequests(t *testing.T) {
	t.Parallel()
	const limit, uploads, rows = 4, 8, 30
	u := begin(t, setup{flags: []string{"--answer-time", "100ms", "--set", fmt.Sprintf("on_demand_concurrency=%d", limit)}})
	u.settings("", nova)
	for n := range uploads {
		u.drop(fmt.Sprintf("small/%d.jsonl", n), promptsFrom(1+n*rows, rows))
	}
	for n := range uploads {
		if got := u.notice(fmt.Sprintf("small/%d.jsonl", n)); got.Status != "Completed" || got.Rows.Answered != rows {
			t.Errorf("notice: %s", got.Raw)
		}
	}
	top := 0
	for _, p := range u.purchases() {
		top = max(top, p.Together)
	}
	t.Logf("%d requests were under way at the most", top)
	if top > limit || top < 2 {
		t.Errorf("%d requests were under way at once, want at most %d, and more than one", top, limit)
	}
	if asked, again := u.bought(); asked != uploads*rows || again > 0 {
		t.Errorf("%d answers were bought, %d of them again; want %d once", asked, again, uploads*rows)
	}
	u.ended()
}
