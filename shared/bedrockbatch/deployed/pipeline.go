package deployed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/s3"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/sqs"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// Pipeline is a deployed pipeline.
type Pipeline struct {
	out     Outputs
	cfg     aws.Config
	input   batch.Bucket
	output  batch.Bucket
	uploads pipeline.Queue
	poll    bedrockbatch.Delay
}

// Open opens a deployed pipeline. poll is the time between two looks.
func Open(ctx context.Context, out Outputs, poll bedrockbatch.Delay) (*Pipeline, error) {
	cfg, err := load(ctx)
	if err != nil {
		return nil, err
	}
	return &Pipeline{
		out: out, cfg: cfg, poll: poll,
		input: s3.New(cfg, out.InputBucket, s3.Settings{Writes: parallel}), output: s3.New(cfg, out.OutputBucket, s3.Settings{}),
		uploads: sqs.New(cfg, out.UploadsQueueURL),
	}, nil
}

// Outputs are those that the pipeline was opened with.
func (p *Pipeline) Outputs() Outputs { return p.out }

func (p *Pipeline) view() pipeline.View { return pipeline.View{Output: p.output} }

// parallel is how many files are uploaded at once.
const parallel = 16

// local is a file to upload.
type local struct{ file, key string }

// plan lists the files of paths and the keys below to that they get: settings
// apart, which go first.
func plan(to string, paths []string) (settings, data []local, err error) {
	add := func(file, key string) {
		name := path.Base(key)
		switch {
		case name == workload.FileName || strings.HasPrefix(name, "_"):
			settings = append(settings, local{file, key})
		case strings.HasPrefix(name, "."):
		default:
			data = append(data, local{file, key})
		}
	}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, nil, err
		}
		if !info.IsDir() {
			add(p, path.Join(to, filepath.Base(p)))
			continue
		}
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, nil, err
		}
		base := path.Join(to, filepath.Base(abs))
		err = filepath.WalkDir(abs, func(name string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() && name != abs && strings.HasPrefix(entry.Name(), ".") {
				return filepath.SkipDir
			}
			if !entry.Type().IsRegular() {
				return nil
			}
			below, err := filepath.Rel(abs, name)
			if err != nil {
				return err
			}
			add(name, path.Join(base, filepath.ToSlash(below)))
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return settings, data, nil
}

// Submit uploads files and folders below the folder to, settings first, the
// others in parallel, and returns what was uploaded as data. done, if not nil,
// is told of each file.
func (p *Pipeline) Submit(ctx context.Context, to string, paths []string, done func(pipeline.Upload)) ([]pipeline.Upload, error) {
	settings, data, err := plan(strings.Trim(to, "/"), paths)
	if err != nil {
		return nil, bedrockbatch.Explain(fmt.Errorf("%w: %w", err, batch.ErrInvalid), "submit")
	}
	if len(data) == 0 && len(settings) == 0 {
		return nil, fmt.Errorf("submit: there is no file in %s: %w", strings.Join(paths, ", "), batch.ErrInvalid)
	}
	if _, err := p.put(ctx, settings, nil); err != nil {
		return nil, err
	}
	return p.put(ctx, data, done)
}

func (p *Pipeline) put(ctx context.Context, files []local, done func(pipeline.Upload)) ([]pipeline.Upload, error) {
	uploads := make([]pipeline.Upload, len(files))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, parallel)
	for i, f := range files {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			u, err := p.putOne(ctx, f)
			if err != nil {
				cancel(bedrockbatch.Explain(err, "upload "+f.file))
				return
			}
			uploads[i] = u
			if done != nil {
				mu.Lock()
				defer mu.Unlock()
				done(u)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return uploads, nil
}

func (p *Pipeline) putOne(ctx context.Context, f local) (pipeline.Upload, error) {
	in, err := os.Open(f.file)
	if err != nil {
		return pipeline.Upload{}, err
	}
	defer in.Close()
	return p.create(ctx, f.key, in)
}

func (p *Pipeline) create(ctx context.Context, key string, in io.Reader) (pipeline.Upload, error) {
	w, err := p.input.Create(ctx, key)
	if err != nil {
		return pipeline.Upload{}, err
	}
	defer w.Abort()
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{in}, make([]byte, 256<<10)); err != nil {
		return pipeline.Upload{}, err
	}
	o, err := w.Commit()
	if err != nil {
		return pipeline.Upload{}, err
	}
	if o.Version == "" {
		if o, err = p.input.Stat(ctx, key, ""); err != nil {
			return pipeline.Upload{}, err
		}
	}
	return p.upload(o), nil
}

func (p *Pipeline) upload(o batch.Object) pipeline.Upload {
	return pipeline.Upload{Bucket: p.out.InputBucket, Key: o.Key, VersionID: o.Version, ETag: o.ETag, Size: o.Size}
}

// Locate finds the submission of an id, of a key of the input bucket, or of a
// folder whose documents were gathered (the newest finished one).
// batch.ErrNotFound if there is none.
func (p *Pipeline) Locate(ctx context.Context, what string) (*pipeline.Submission, error) {
	op := "find submission " + what
	if isID(what) {
		s, err := p.view().Submission(ctx, what)
		return s, bedrockbatch.Explain(err, op)
	}
	key := strings.TrimPrefix(what, "s3://"+p.out.InputBucket+"/")
	o, err := p.input.Stat(ctx, key, "")
	if err == nil {
		id, err := p.view().Locate(ctx, p.upload(o))
		if err != nil {
			return nil, bedrockbatch.Explain(err, op)
		}
		s, err := p.view().Submission(ctx, id)
		return s, bedrockbatch.Explain(err, op)
	}
	if !errors.Is(err, batch.ErrNotFound) {
		return nil, bedrockbatch.Explain(err, op)
	}
	body, _, err := p.output.Get(ctx, pipeline.LatestKey(strings.TrimSuffix(key, "/")))
	if err != nil {
		return nil, bedrockbatch.Explain(err, op)
	}
	var latest struct {
		Submission string `json:"submission"`
	}
	if err := json.Unmarshal(body, &latest); err != nil {
		return nil, bedrockbatch.Explain(err, op)
	}
	s, err := p.view().Submission(ctx, latest.Submission)
	return s, bedrockbatch.Explain(err, op)
}

func isID(s string) bool { return len(s) == 26 && strings.Trim(s, "0123456789abcdef") == "" }

// Of finds the submission that an upload became, nil while there is none.
func (p *Pipeline) Of(ctx context.Context, u pipeline.Upload) (*pipeline.Submission, error) {
	id, err := p.view().Locate(ctx, u)
	if errors.Is(err, batch.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, bedrockbatch.Explain(err, "find submission of "+u.Key)
	}
	s, err := p.view().Submission(ctx, id)
	if errors.Is(err, batch.ErrNotFound) {
		return nil, nil
	}
	return s, bedrockbatch.Explain(err, "find submission of "+u.Key)
}

// Submissions yields the open submissions, or all of them.
func (p *Pipeline) Submissions(ctx context.Context, all bool) iter.Seq2[*pipeline.Submission, error] {
	return func(yield func(*pipeline.Submission, error) bool) {
		prefix := config.Open
		if all {
			prefix = config.Submissions
		}
		for o, err := range p.output.List(ctx, prefix, "") {
			if err != nil {
				yield(nil, bedrockbatch.Explain(err, "list submissions"))
				return
			}
			id, file, _ := strings.Cut(strings.TrimPrefix(o.Key, prefix), "/")
			if all && file != "submission.json" {
				continue
			}
			s, err := p.view().Submission(ctx, id)
			if errors.Is(err, batch.ErrNotFound) {
				continue // its state is about to be made
			}
			if !yield(s, bedrockbatch.Explain(err, "read submission "+id)) {
				return
			}
		}
	}
}

// Wait looks until a submission has ended. tell is told of each change.
func (p *Pipeline) Wait(ctx context.Context, id string, tell func(*pipeline.Submission)) (*pipeline.Submission, error) {
	var last time.Time
	for {
		s, err := p.view().Submission(ctx, id)
		if err != nil && !batch.Passing(err) {
			return nil, bedrockbatch.Explain(err, "wait for submission "+id)
		}
		if err == nil && !s.UpdatedAt.Equal(last) {
			last = s.UpdatedAt
			if tell != nil {
				tell(s)
			}
			if s.State.Terminal() {
				return s, nil
			}
		}
		if err := p.sleep(ctx); err != nil {
			return nil, err
		}
	}
}

func (p *Pipeline) sleep(ctx context.Context) error {
	t := time.NewTimer(p.poll.First + rand.N(p.poll.First/4+1))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// WaitUploads waits for the submissions of uploads, each once: gathered
// documents share one.
func (p *Pipeline) WaitUploads(ctx context.Context, uploads []pipeline.Upload, tell func(*pipeline.Submission)) ([]*pipeline.Submission, error) {
	var done []*pipeline.Submission
	seen := map[string]bool{}
	for _, u := range uploads {
		var s *pipeline.Submission
		for s == nil {
			var err error
			if s, err = p.Of(ctx, u); err != nil && !batch.Passing(err) {
				return done, err
			}
			if s == nil {
				if err := p.sleep(ctx); err != nil {
					return done, err
				}
			}
		}
		if seen[s.ID] {
			continue
		}
		seen[s.ID] = true
		s, err := p.Wait(ctx, s.ID, tell)
		if err != nil {
			return done, err
		}
		done = append(done, s)
	}
	return done, nil
}

// Summary is the notice of an ended submission, read from its results.
func (p *Pipeline) Summary(ctx context.Context, s *pipeline.Submission) (pipeline.Notice, error) {
	var n pipeline.Notice
	body, _, err := p.output.Get(ctx, pipeline.ResultsKey(s, "summary.json"))
	if err == nil {
		err = json.Unmarshal(body, &n)
	}
	return n, bedrockbatch.Explain(err, "read summary of submission "+s.ID)
}

// Download copies what came back of a submission into a folder.
func (p *Pipeline) Download(ctx context.Context, s *pipeline.Submission, dir string) ([]string, error) {
	if !s.State.Terminal() {
		return nil, fmt.Errorf("submission %s is %s: results come at its end: %w", s.ID, s.State, batch.ErrConflict)
	}
	return bedrockbatch.Download(ctx, p.output, s, dir)
}

// Retry drops the rows of a submission that failed again, as a new upload
// beside the old one, whose settings hold for it too.
func (p *Pipeline) Retry(ctx context.Context, s *pipeline.Submission) (pipeline.Upload, error) {
	op := "retry submission " + s.ID
	if s.Kind == pipeline.KindRequest {
		// Its settings stand in no folder.
		return pipeline.Upload{}, bedrockbatch.Explain(fmt.Errorf("it is of a request; send the rows of its errors.jsonl as a request again: %w", batch.ErrInvalid), op)
	}
	if !s.State.Terminal() {
		return pipeline.Upload{}, bedrockbatch.Explain(fmt.Errorf("it is %s still: %w", s.State, batch.ErrConflict), op)
	}
	body, err := p.output.Open(ctx, pipeline.ResultsKey(s, "errors.jsonl"), "", 0, batch.Whole)
	if errors.Is(err, batch.ErrNotFound) {
		return pipeline.Upload{}, bedrockbatch.Explain(fmt.Errorf("none of its rows failed: %w", batch.ErrConflict), op)
	}
	if err != nil {
		return pipeline.Upload{}, bedrockbatch.Explain(err, op)
	}
	defer body.Close()
	u, err := p.create(ctx, retryKey(s), body)
	return u, bedrockbatch.Explain(err, op)
}

// retryKey stands in the folder whose settings held for the submission, under
// a name of its own.
func retryKey(s *pipeline.Submission) string {
	name := "retry-" + s.ID + ".jsonl"
	if s.Kind == "folder" {
		return path.Join(s.Folder, name)
	}
	return path.Join(path.Dir(s.Upload.Key), name)
}

// Cancel asks the pipeline to stop a submission: its jobs are stopped, what
// there is comes back.
func (p *Pipeline) Cancel(ctx context.Context, id string) error {
	return bedrockbatch.Explain(p.uploads.Send(ctx, pipeline.Message{Do: pipeline.DoStop, Submission: id}.Encode(), 0), "cancel submission "+id)
}

// Pause has the pipeline start nothing that costs, until Resume. Live jobs run
// on.
func (p *Pipeline) Pause(ctx context.Context) error {
	_, err := p.output.Put(ctx, pipeline.PauseKey, []byte("{}"), batch.Condition{})
	return bedrockbatch.Explain(err, "pause")
}

// Resume ends a pause and wakes what waits.
func (p *Pipeline) Resume(ctx context.Context) error {
	err := p.output.Delete(ctx, pipeline.PauseKey)
	if err == nil {
		err = p.uploads.Send(ctx, pipeline.Message{Do: pipeline.DoTick}.Encode(), 0)
	}
	return bedrockbatch.Explain(err, "resume")
}

// Redrive moves the dead letters of both queues back, and says about how many
// there were.
func (p *Pipeline) Redrive(ctx context.Context) (int, error) {
	sum := 0
	for _, url := range []string{p.out.UploadsQueueURL, p.out.JobsQueueURL} {
		dead := sqs.NewDeadLetters(p.cfg, url)
		n, err := dead.Count(ctx)
		if err != nil {
			return sum, bedrockbatch.Explain(err, "redrive")
		}
		if n == 0 {
			continue
		}
		if err := dead.Redrive(ctx); err != nil {
			return sum, bedrockbatch.Explain(err, "redrive")
		}
		sum += n
	}
	return sum, nil
}

// Backfill tells the pipeline of objects below prefix that it has not heard
// of: those that were there before it. done is told of each.
func (p *Pipeline) Backfill(ctx context.Context, prefix string, done func(pipeline.Upload)) (int, error) {
	n := 0
	for o, err := range p.input.List(ctx, prefix, "") {
		if err != nil {
			return n, bedrockbatch.Explain(err, "backfill")
		}
		if pipeline.Ignored(o.Key) != "" {
			continue
		}
		full, err := p.input.Stat(ctx, o.Key, "") // listings tell no version
		if errors.Is(err, batch.ErrNotFound) {
			continue
		}
		if err != nil {
			return n, bedrockbatch.Explain(err, "backfill")
		}
		u := p.upload(full)
		if s, err := p.Of(ctx, u); err != nil {
			return n, err
		} else if s != nil {
			continue
		}
		if err := p.uploads.Send(ctx, news(u), 0); err != nil {
			return n, bedrockbatch.Explain(err, "backfill")
		}
		n++
		if done != nil {
			done(u)
		}
	}
	return n, nil
}

// news is S3's message about an object.
func news(u pipeline.Upload) []byte {
	body, err := json.Marshal(map[string]any{"Records": []any{map[string]any{
		"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
		"s3": map[string]any{
			"bucket": map[string]any{"name": u.Bucket},
			"object": map[string]any{"key": url.QueryEscape(u.Key), "size": u.Size, "eTag": u.ETag, "versionId": u.VersionID},
		},
	}}})
	if err != nil {
		panic(err) // texts and numbers only
	}
	return body
}
