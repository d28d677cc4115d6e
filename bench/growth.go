package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/bedrock-batch/bedrock-batch/bench/data"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// point is what a number of rows, or of waiting submissions, costs.
type point struct {
	n        int64
	seconds  float64
	peak     int64
	requests int64
}

// curve is a line of the picture.
type curve struct {
	name   string
	points []point
}

func sum(requests map[string]int64) (n int64) {
	for _, k := range requests {
		n += k
	}
	return n
}

// costly are the requests that S3 prices as writes.
func costly(requests map[string]int64) (writes, reads int64) {
	for operation, n := range requests {
		switch operation {
		case "GetObject", "HeadObject":
			reads += n
		case "DeleteObjects", "AbortMultipartUpload": // free
		default:
			writes += n
		}
	}
	return writes, reads
}

// growth prepares and collects uploads of short rows, ten times more each
// time, and dispatches in front of ever more waiting submissions.
func growth(ctx context.Context, s *session, p plan, say func(string, ...any)) error {
	prepared, collected, dispatched := curve{name: "prepare"}, curve{name: "collect"}, curve{name: "dispatch"}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "rows\tparts\tupload to job s\tjob to notice s\tprepare cpu s\tcollect cpu s\tprepare MB\tcollect MB\tprepare requests\tcollect requests\tmessages")
	for rows := int64(100); rows <= p.rows; rows *= 10 {
		counts := []int64{rows}
		if rows == 10_000 {
			counts = append(counts, 50_000) // one full job
		}
		for _, rows := range counts {
			u, err := s.drop(ctx, data.Short, 0, rows, "")
			if err != nil {
				return err
			}
			in, err := s.own(ctx, u.fresh(), true, "prepare", u.shape.Key())
			if err != nil {
				return err
			}
			if err := s.answer(ctx, u); err != nil {
				return err
			}
			out, err := s.own(ctx, u.ended(), true, "collect", u.id, string(u.shape))
			if err != nil {
				return err
			}
			fmt.Fprintf(table, "%d\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%d\t%d\t%d\t%d\t%d\n", rows, len(u.parts), in.FirstSeconds, out.FirstSeconds, in.CPUSeconds, out.CPUSeconds,
				mb(in.PeakBytes), mb(out.PeakBytes), sum(in.Requests), sum(out.Requests), in.Messages+out.Messages)
			prepared.points = append(prepared.points, point{rows, in.FirstSeconds, mb(in.PeakBytes), sum(in.Requests)})
			collected.points = append(collected.points, point{rows, out.FirstSeconds, mb(out.PeakBytes), sum(out.Requests)})
			if rows == 100 || rows == 50_000 || rows == 1_000_000 {
				say("bench: upload-to-job-%d value=%.2f unit=s", rows, in.FirstSeconds)
				say("bench: job-to-notice-%d value=%.2f unit=s", rows, out.FirstSeconds)
				say("bench: requests-%d value=%d unit=requests", rows, sum(in.Requests)+sum(out.Requests))
			}
			if rows == 100 {
				detail("upload of 100 rows, prepared", in.Requests)
				detail("upload of 100 rows, collected", out.Requests)
			}
			u.discard()
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for n := 1; n <= 10_000; n *= 10 {
		r, err := s.waiting(ctx, n)
		if err != nil {
			return err
		}
		fmt.Printf("%d waiting: one free slot is given away in %.2f s, %d requests, %d MB\n", n, r.Seconds, sum(r.Requests), mb(r.PeakBytes))
		dispatched.points = append(dispatched.points, point{int64(n), r.Seconds, mb(r.PeakBytes), sum(r.Requests)})
		if n == 10_000 {
			say("bench: dispatch-10000-waiting value=%d unit=requests", sum(r.Requests))
		}
	}
	if p.out != "" {
		return draw(p.out, []curve{prepared, collected}, dispatched)
	}
	return nil
}

func detail(what string, requests map[string]int64) {
	var parts []string
	for operation, n := range requests {
		parts = append(parts, fmt.Sprintf("%s %d", operation, n))
	}
	slices.Sort(parts)
	fmt.Printf("%s: %d requests: %s\n", what, sum(requests), strings.Join(parts, ", "))
}

// waiting makes n submissions that wait for slots, all alike but for their
// names, and lets one slot become free.
func (s *session) waiting(ctx context.Context, n int) (run, error) {
	u, err := s.drop(ctx, data.Short, 0, 100, "")
	if err != nil {
		return run{}, err
	}
	if _, err := s.own(ctx, u.fresh(), true, "full", u.shape.Key()); err != nil {
		return run{}, err
	}
	state, _, err := s.output.Get(ctx, "submissions/"+u.id+"/submission.json")
	if err != nil {
		return run{}, err
	}
	settings, _, err := s.output.Get(ctx, "submissions/"+u.id+"/workload.json")
	if err != nil {
		return run{}, err
	}
	var marker batch.Object
	for o, err := range s.output.List(ctx, "waiting/", "") {
		if err != nil {
			return run{}, err
		}
		marker = o
	}
	var group sync.WaitGroup
	failed := make(chan error, 16)
	for worker := range 16 {
		group.Go(func() {
			for i := worker + 1; i < n; i += 16 {
				id := fmt.Sprintf("%026x", i)
				for key, body := range map[string][]byte{
					"submissions/" + id + "/submission.json": []byte(strings.ReplaceAll(string(state), u.id, id)),
					"submissions/" + id + "/workload.json":   settings,
					strings.ReplaceAll(marker.Key, u.id, id): nil,
				} {
					if _, err := s.output.Put(ctx, key, body, batch.Condition{}); err != nil {
						failed <- err
						return
					}
				}
			}
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		return run{}, err
	default:
	}
	name := "waiting " + strconv.Itoa(n)
	if _, err := s.ask("save", "name", name); err != nil {
		return run{}, err
	}
	return s.own(ctx, name, true, "slot")
}

// full prepares an upload while no slot is free.
func full(ctx context.Context, endpoint, key string) error {
	w := newWorld(endpoint)
	w.bedrock.slots = -1
	handle := w.submit()
	object, err := w.input.Stat(ctx, key, "")
	if err != nil {
		return err
	}
	start := w.start
	w.uploads.bodies = append(w.uploads.bodies, notification(key, object.Size))
	w.uploads.once = true
	if err := drive(ctx, w.uploads, handle); err != nil {
		return err
	}
	return Report{Bytes: object.Size}.finish(start)
}

// slot gives one slot to those that wait.
func slot(ctx context.Context, endpoint string) error {
	w := newWorld(endpoint)
	w.bedrock.slots = 1
	w.uploads.once = true
	handle := w.submit()
	body, err := json.Marshal(map[string]any{"detail-type": "Batch Inference Job State Change", "source": "aws.bedrock", "detail": map[string]any{
		"batchJobName": "somebody", "batchJobArn": jobARN("somebody"), "batchModelId": "amazon.nova-lite-v1:0", "status": "Completed"}})
	if err != nil {
		return err
	}
	w.uploads.bodies = append(w.uploads.bodies, body)
	start := w.start
	if err := drive(ctx, w.uploads, handle); err != nil {
		return err
	}
	if len(w.bedrock.created) != 1 {
		return fmt.Errorf("%d jobs for one slot", len(w.bedrock.created))
	}
	return Report{Jobs: 1, Messages: w.uploads.sent + w.jobs.sent, JobCalls: w.bedrock.calls}.finish(start)
}
