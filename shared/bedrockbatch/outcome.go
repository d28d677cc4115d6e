package bedrockbatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// Tokens are what the model counted.
type Tokens struct {
	Input  int64 `json:"input"`
	Output int64 `json:"output"`
	Total  int64 `json:"total"`
}

// Outcome is how a run ended.
type Outcome struct {
	Name string
	// Status is Completed, CompletedWithErrors, Failed (no row answered),
	// Stopped or Rejected (nothing was run), as in the notices of a deployed
	// pipeline.
	Status string
	// Reason says in one sentence why the run did not go its whole way.
	Reason string
	// OnDemand says that all answers were asked for one by one.
	OnDemand bool
	Rows     pipeline.Rows
	Tokens   Tokens
	// CostUSD is an estimate by list prices, nil where none is known.
	CostUSD *float64
	Jobs    []pipeline.NoticeJob
	// Errors are the most common ones.
	Errors     []pipeline.NoticeError
	StartedAt  time.Time
	FinishedAt time.Time
	// Places are the s3:// URIs of the files that came back.
	Places pipeline.Places
}

// Err is nil if every row was answered, else an Error that says what is
// missing.
func (o *Outcome) Err() error {
	if o.Status == pipeline.StatusCompleted {
		return nil
	}
	text := o.Reason
	if text == "" {
		text = fmt.Sprintf("%d of %d rows have no answer", o.Rows.Total-o.Rows.Answered, o.Rows.Total)
		if len(o.Errors) > 0 {
			text += "; most often: " + o.Errors[0].Code + ": " + o.Errors[0].Message
		}
	}
	advice := "Answers tells which rows"
	if o.Status == pipeline.StatusFailed || o.Status == pipeline.StatusStopped {
		advice = "it has ended for good: to ask the same again, take another Name"
	}
	return &Error{Op: "run " + o.Name, Err: fmt.Errorf("%s: %s: %w", o.Status, text, ErrIncomplete), Advice: advice}
}

// ErrIncomplete: a run has ended and some of its rows have no answer.
var ErrIncomplete = errors.New("not every row was answered")

// ErrRunning: a run has not ended yet.
var ErrRunning = errors.New("still running")

func (r *Run) ended(ctx context.Context, op string) (*pipeline.Submission, error) {
	s, err := r.submission(ctx)
	if err != nil {
		return nil, explain(err, "%s of run %s", op, r.rec.Name)
	}
	if s == nil || !s.State.Terminal() {
		return nil, &Error{Op: op + " of run " + r.rec.Name, Err: ErrRunning, Advice: "Wait carries it to its end"}
	}
	return s, nil
}

// Outcome reads how the run ended. ErrRunning if it has not.
func (r *Run) Outcome(ctx context.Context) (*Outcome, error) {
	s, err := r.ended(ctx, "outcome")
	if err != nil {
		return nil, err
	}
	var body []byte
	err = r.client.retried(ctx, func() (err error) {
		body, _, err = r.bucket.Get(ctx, pipeline.ResultsKey(s, "summary.json"))
		return err
	})
	if err != nil {
		return nil, explain(err, "outcome of run %s", r.rec.Name)
	}
	var n pipeline.Notice
	if err := json.Unmarshal(body, &n); err != nil {
		return nil, explain(err, "read summary of run %s", r.rec.Name)
	}
	o := &Outcome{
		Name: r.rec.Name, Status: n.Status, Reason: n.Reason, Rows: n.Rows, CostUSD: n.EstimatedCostUSD, OnDemand: len(s.Parts) > 0 && (n.Rows.Known == 0 || n.Rows.Known < n.Rows.Answered),
		Tokens: Tokens{n.Tokens.Input, n.Tokens.Output, n.Tokens.Input + n.Tokens.Output},
		Jobs:   n.Jobs, Errors: n.Errors, StartedAt: n.StartedAt, FinishedAt: n.FinishedAt, Places: n.Results,
	}
	for i := range s.Parts {
		o.OnDemand = o.OnDemand && s.Parts[i].How == pipeline.OnDemand
	}
	return o, nil
}

// AnswerStatus says what became of an input.
type AnswerStatus string

// The three ends of an input.
const (
	Answered AnswerStatus = "answered"
	// Unanswered: the model or the job failed on it, see RowError.
	Unanswered AnswerStatus = "failed"
	// SetAside: it could not be asked, see RowError.
	SetAside AnswerStatus = "set-aside"
)

// Answer is what became of one input.
type Answer struct {
	// Row is the input's number, from 1; 0 where it is not known: rows of a
	// File that failed.
	Row int64
	// ID is the input's own.
	ID     string
	Status AnswerStatus
	// Text is what the model said, Reasoning what it thought aloud.
	Text, Reasoning string
	// Embedding or JSON stand in place of Text for models and settings that
	// make them.
	Embedding, JSON json.RawMessage
	StopReason      string
	Usage           Tokens
	// Err says why there is no answer; nil if there is one.
	Err *RowError
	// Input is the row itself, of those that failed.
	Input json.RawMessage
}

// RowError says why an input has no answer.
type RowError struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"`
	Attempts  int    `json:"attempts"`
	// Line is where a row that was set aside stands.
	Line int64 `json:"-"`
}

func (e *RowError) Error() string {
	if e.Message == "" {
		return e.Code
	}
	return e.Code + ": " + e.Message
}

// Answers yields what became of every input of an ended run, in input order;
// for a File the answers in order, then the rows that failed, then those that
// were set aside. It may be walked again. ErrRunning if the run has not ended.
func (r *Run) Answers(ctx context.Context) iter.Seq2[Answer, error] {
	return func(yield func(Answer, error) bool) {
		s, err := r.ended(ctx, "answers")
		if err != nil {
			yield(Answer{}, err)
			return
		}
		if err := r.answers(ctx, s, func(a Answer) bool { return yield(a, nil) }); err != nil {
			yield(Answer{}, explain(err, "read answers of run %s", r.rec.Name))
		}
	}
}

func (r *Run) answers(ctx context.Context, s *pipeline.Submission, yield func(Answer) bool) error {
	var files [3]*stream
	for i, f := range []struct {
		name   string
		decode func(*json.Decoder) (Answer, error)
	}{{"results.jsonl", answered}, {"errors.jsonl", failed}, {"set-aside.jsonl", aside}} {
		files[i] = &stream{decode: f.decode}
		body, err := r.bucket.Open(ctx, pipeline.ResultsKey(s, f.name), "", 0, batch.Whole)
		if errors.Is(err, batch.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		defer body.Close()
		files[i].body = json.NewDecoder(body)
		if err := files[i].next(); err != nil {
			return err
		}
	}
	results, errs, asides := files[0], files[1], files[2]
	if !r.rec.Lines {
		for _, f := range files {
			for f.at != nil {
				if !yield(*f.at) {
					return nil
				}
				if err := f.next(); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for row := int64(1); row <= s.Rows.Total; row++ {
		// Each row is in one of the files, and errors tell no row number.
		from := errs
		if results.at != nil && results.at.Row == row {
			from = results
		} else if asides.at != nil && asides.at.Err.Line == row {
			from = asides
		}
		if from.at == nil {
			return fmt.Errorf("row %d is in none of the files that came back", row)
		}
		a := *from.at
		a.Row = row
		if !yield(a) {
			return nil
		}
		if err := from.next(); err != nil {
			return err
		}
	}
	return nil
}

type stream struct {
	body   *json.Decoder
	decode func(*json.Decoder) (Answer, error)
	at     *Answer // nil at the end
}

func (f *stream) next() error {
	if f.body == nil {
		return nil
	}
	a, err := f.decode(f.body)
	if err == io.EOF {
		f.at = nil
		return nil
	}
	if err != nil {
		return err
	}
	f.at = &a
	return nil
}

func answered(d *json.Decoder) (Answer, error) {
	var line struct {
		Row        int64           `json:"row"`
		ID         json.RawMessage `json:"id"`
		Output     string          `json:"output"`
		Embedding  json.RawMessage `json:"embedding"`
		JSON       json.RawMessage `json:"json"`
		StopReason string          `json:"stopReason"`
		Reasoning  string          `json:"reasoning"`
		Usage      struct {
			Input  int64 `json:"inputTokens"`
			Output int64 `json:"outputTokens"`
		} `json:"usage"`
	}
	if err := d.Decode(&line); err != nil {
		return Answer{}, err
	}
	return Answer{
		Row: line.Row, ID: plain(line.ID), Status: Answered, Text: line.Output, Reasoning: line.Reasoning,
		Embedding: line.Embedding, JSON: line.JSON, StopReason: line.StopReason,
		Usage: Tokens{line.Usage.Input, line.Usage.Output, line.Usage.Input + line.Usage.Output},
	}, nil
}

func failed(d *json.Decoder) (Answer, error) {
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return Answer{}, err
	}
	var line struct {
		RecordID json.RawMessage `json:"recordId"`
		CustomID json.RawMessage `json:"custom_id"`
		ID       json.RawMessage `json:"id"`
		Error    RowError        `json:"_error"`
	}
	if err := json.Unmarshal(raw, &line); err != nil {
		return Answer{}, err
	}
	a := Answer{Status: Unanswered, Err: &line.Error, Input: raw}
	for _, id := range []json.RawMessage{line.RecordID, line.CustomID, line.ID} {
		if a.ID == "" {
			a.ID = plain(id)
		}
	}
	return a, nil
}

func aside(d *json.Decoder) (Answer, error) {
	var line struct {
		Line   int64   `json:"line"`
		Code   string  `json:"code"`
		Reason string  `json:"reason"`
		Raw    *string `json:"raw"`
	}
	if err := d.Decode(&line); err != nil {
		return Answer{}, err
	}
	a := Answer{Status: SetAside, Err: &RowError{Code: line.Code, Message: line.Reason, Line: line.Line}}
	if line.Raw != nil && json.Valid([]byte(*line.Raw)) {
		a.Input = json.RawMessage(*line.Raw)
		var own struct {
			RecordID json.RawMessage `json:"recordId"`
		}
		if json.Unmarshal(a.Input, &own) == nil {
			a.ID = plain(own.RecordID)
		}
	}
	return a, nil
}

// plain is an id as text: numbers as they stand.
func plain(id json.RawMessage) string {
	var text string
	if json.Unmarshal(id, &text) == nil {
		return text
	}
	return string(id)
}

// Download copies the files that came back of an ended run into a folder and
// returns their names. Each file appears whole or not at all.
func (r *Run) Download(ctx context.Context, dir string) ([]string, error) {
	s, err := r.ended(ctx, "download results")
	if err != nil {
		return nil, err
	}
	return download(ctx, r.bucket, s, dir)
}

func download(ctx context.Context, from batch.Files, s *pipeline.Submission, dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, explain(err, "download results")
	}
	var names []string
	for _, name := range []string{"results.jsonl", "results.csv", "errors.jsonl", "set-aside.jsonl", "summary.json"} {
		body, err := from.Open(ctx, pipeline.ResultsKey(s, name), "", 0, batch.Whole)
		if errors.Is(err, batch.ErrNotFound) {
			continue
		}
		if err != nil {
			return names, explain(err, "download %s", name)
		}
		to := filepath.Join(dir, name)
		err = writeFile(to, body)
		body.Close()
		if err != nil {
			return names, explain(err, "download %s", name)
		}
		names = append(names, to)
	}
	return names, nil
}

// writeFile makes a file appear whole.
func writeFile(name string, body io.Reader) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".bedrock-batch-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := io.Copy(f, body); err != nil {
		f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// Download copies the files that came back of an ended submission out of a
// pipeline's output bucket into a folder.
func Download(ctx context.Context, output batch.Files, s *pipeline.Submission, dir string) ([]string, error) {
	return download(ctx, output, s, dir)
}
