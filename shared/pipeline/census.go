package pipeline

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// waits is who waits for a slot.
type waits struct {
	n      int
	oldest time.Time // creation of the oldest
}

// add counts a waiting marker: its name tells when its submission was made.
func (w *waits) add(key string) {
	w.n++
	millis, _, _ := strings.Cut(key[strings.LastIndexByte(key, '/')+1:], "-")
	made, err := strconv.ParseInt(millis, 16, 64)
	if err != nil {
		return // nobody's of ours
	}
	if at := time.UnixMilli(made); w.oldest.IsZero() || at.Before(w.oldest) {
		w.oldest = at
	}
}

// markersRead is how many open markers a tick reads at most to find the oldest
// submission: a request each.
const markersRead = 1000

// count tells how many submissions are open and how many wait, and how old the
// oldest of each is. open is nil where not all were seen. Nothing depends on
// it, so that what goes wrong is told and no more.
func (r *run) count(ctx context.Context, open []string, w waits) {
	if open == nil {
		return
	}
	oldest, err := r.oldest(ctx, open)
	if err != nil {
		r.note(ctx, "open submissions not counted", "", "error", err)
		return
	}
	age := func(since time.Time) int64 {
		if since.IsZero() {
			return 0
		}
		return max(0, int64(r.clock.Now().Sub(since).Seconds()))
	}
	r.note(ctx, "open submissions counted", "", "open", len(open), "oldestOpenSeconds", age(oldest),
		"waiting", w.n, "oldestWaitingSeconds", age(w.oldest))
}

// oldest is when the oldest of the submissions was made, by their markers. Of
// very many it looks at a part, each tick at another.
func (r *run) oldest(ctx context.Context, ids []string) (time.Time, error) {
	if groups := (len(ids) + markersRead - 1) / markersRead; groups > 1 {
		h := fnv.New32a()
		h.Write([]byte(r.in.ID))
		from := int(h.Sum32()%uint32(groups)) * markersRead
		ids = ids[from:min(from+markersRead, len(ids))]
	}
	var mu sync.Mutex
	var oldest time.Time
	err := each(ctx, len(ids), r.settings.Parallel, func(ctx context.Context, i int) error {
		m, err := r.marked(ctx, ids[i])
		if errors.Is(err, batch.ErrNotFound) {
			return nil // it has ended meanwhile
		}
		if err != nil {
			return fmt.Errorf("look for the oldest open submission: %w", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if !m.CreatedAt.IsZero() && (oldest.IsZero() || m.CreatedAt.Before(oldest)) {
			oldest = m.CreatedAt
		}
		return nil
	})
	return oldest, err
}

// answeredOnDemand is how many of an ended submission's answers were asked for
// one by one.
func answeredOnDemand(s *Submission) int64 {
	var n int64
	for i := range s.Parts {
		if p := &s.Parts[i]; p.How == OnDemand && p.Counts != nil {
			n += p.Counts.Answered
		}
	}
	return min(n, s.Rows.Answered)
}
