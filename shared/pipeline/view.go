package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// View is the account of submissions as those see it who only look: command
// line and library.
type View struct {
	// Output is the output bucket.
	Output batch.Bucket
}

func (v View) run() *run { return &run{core: &core{output: v.Output}} }

// Submission reads a submission. batch.ErrNotFound if there is none.
func (v View) Submission(ctx context.Context, id string) (*Submission, error) {
	s, _, err := v.run().load(ctx, id)
	return s, err
}

// Workload reads the settings that a submission was accepted with.
// batch.ErrNotFound until they are known.
func (v View) Workload(ctx context.Context, id string) (workload.Workload, error) {
	return v.run().settingsOf(ctx, id)
}

// Paused reports whether the deployment is paused.
func (v View) Paused(ctx context.Context) (bool, error) { return v.run().paused(ctx) }

// Place is a submission's place in the line for slots: how many wait before
// it, and whether it waits at all.
func (v View) Place(ctx context.Context, s *Submission) (before int, waits bool, err error) {
	own := waitingKey(s)
	for object, err := range v.Output.List(ctx, waitingPrefix(s.QuotaKey), "") {
		if err != nil {
			return 0, false, err
		}
		if object.Key == own {
			return before, true, nil
		}
		before++
	}
	return 0, false, nil
}

// Open lists the ids of the submissions that have not ended.
func (v View) Open(ctx context.Context) ([]string, error) {
	var ids []string
	for object, err := range v.Output.List(ctx, config.Open, "") {
		if err != nil {
			return nil, err
		}
		ids = append(ids, object.Key[len(config.Open):])
	}
	return ids, nil
}

// ResultsKey is the key of a file that comes back: results.jsonl, errors.jsonl,
// set-aside.jsonl, summary.json, progress.json.
func ResultsKey(s *Submission, name string) string { return resultsKey(s, name) }

// Place is below which folder of the results a submission's are: the key of its
// upload or folder, or requests/ and the name of its request.
func Place(s *Submission) string { return s.place() }

// LatestKey is the key that points to the newest finished submission of an
// upload, a folder or a Place.
func LatestKey(upload string) string { return resultsPrefix(upload) + "latest.json" }

// StagedPrefix is the folder of what is removed when a submission ends.
func StagedPrefix(id string) string { return stagedPrefix(id) }

// PauseKey stands in the output bucket while the deployment is paused.
const PauseKey = pauseKey

// Ignored says why an object of the input bucket is not an upload; empty if it
// is one.
func Ignored(key string) string { return ignored(key) }

// EstimateOf is what running a prepared submission may cost at the most.
func EstimateOf(set config.Settings, w workload.Workload, s *Submission) (Estimate, error) {
	r := &run{core: &core{settings: set}}
	return r.estimate(w, s)
}

// PriceOf is what so many tokens of a model cost; known is false where no
// table tells.
func PriceOf(set config.Settings, modelID string, onDemand bool, in, out int64) (usd float64, known bool) {
	r := &run{core: &core{settings: set}}
	return r.price(modelID, onDemand, in, out)
}

// Locate finds the submission that an upload became: its own, or that of the
// round of a folder which took it. batch.ErrNotFound while it is neither.
func (v View) Locate(ctx context.Context, u Upload) (string, error) {
	own := SubmissionID(u)
	if _, err := v.Submission(ctx, own); err == nil || !errors.Is(err, batch.ErrNotFound) {
		return own, err
	}
	mark, _, err := v.Output.Get(ctx, takenKey(own))
	if err != nil {
		return "", err
	}
	var n int
	if _, err := fmt.Sscanf(string(mark[strings.LastIndexByte(string(mark), '/')+1:]), "%d.jsonl", &n); err != nil {
		return "", fmt.Errorf("read mark of %s: %w", u.Key, err)
	}
	for folder := u.Key; folder != ""; {
		folder = folder[:max(0, strings.LastIndexByte(folder, '/'))]
		if roundKey(folder, n) == string(mark) {
			return SubmissionID(roundUpload(u.Bucket, folder, n)), nil
		}
	}
	return "", fmt.Errorf("the round %s took %s, which lies in none of its folders: %w", mark, u.Key, batch.ErrInvalid)
}
