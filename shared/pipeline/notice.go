package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// The statuses of a notice; the first that fits.
const (
	StatusSuperseded          = "Superseded"
	StatusRejected            = "Rejected"
	StatusStopped             = "Stopped"
	StatusFailed              = "Failed"
	StatusCompletedWithErrors = "CompletedWithErrors"
	StatusCompleted           = "Completed"
)

// NoticeVersion is the version of the notice's shape.
const NoticeVersion = 1

// Notice is the one message that tells how a submission ended.
type Notice struct {
	Version    int          `json:"version"`
	NoticeID   string       `json:"noticeId"`
	Status     string       `json:"status"`
	Reason     string       `json:"reason,omitempty"`
	Submission string       `json:"submission"`
	Upload     NoticeUpload `json:"upload"`
	// Request is the name of the request, Attributes are those it gave; of
	// a request alone.
	Request          string            `json:"request,omitempty"`
	Attributes       map[string]string `json:"attributes,omitempty"`
	Workload         string            `json:"workload"`
	ModelID          string            `json:"modelId"`
	Rows             Rows              `json:"rows"`
	Answers          NoticeAnswers     `json:"answers"`
	Tokens           Tokens            `json:"tokens"`
	EstimatedCostUSD *float64          `json:"estimatedCostUSD"`
	Results          Places            `json:"results"`
	Jobs             []NoticeJob       `json:"jobs"`
	JobsOmitted      int               `json:"jobsOmitted,omitempty"`
	Errors           []NoticeError     `json:"errors"`
	StartedAt        time.Time         `json:"startedAt"`
	FinishedAt       time.Time         `json:"finishedAt"`
}

// Label tells people what the notice is about.
func (n Notice) Label() string {
	if n.Request != "" {
		return "request " + n.Request
	}
	return n.Upload.Key
}

// NoticeAnswers counts the answers, among those that are counted as answered,
// that are not what was hoped for: cut at max_tokens, declined by the model,
// withheld by a filter.
type NoticeAnswers struct {
	Truncated int64 `json:"truncated"`
	Refused   int64 `json:"refused"`
	Filtered  int64 `json:"filtered"`
}

// NoticeUpload names what was dropped.
type NoticeUpload struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	VersionID string `json:"versionId"`
}

// Places are s3:// URIs of what came back; empty where there is no such file.
type Places struct {
	Results  string `json:"results,omitempty"`
	Table    string `json:"csv,omitempty"`
	Errors   string `json:"errors,omitempty"`
	SetAside string `json:"setAside,omitempty"`
	Summary  string `json:"summary,omitempty"`
	// Parquet is the folder of the results as Parquet, Warehouse what the keys
	// of their copies in the warehouse begin with.
	Parquet   string `json:"parquet,omitempty"`
	Warehouse string `json:"warehouse,omitempty"`
	// Foreign and ForeignErrors are in the shape of the service whose batch
	// lines the upload holds.
	Foreign       string `json:"dialect,omitempty"`
	ForeignErrors string `json:"dialectErrors,omitempty"`
}

// NoticeJob is one job of the submission.
type NoticeJob struct {
	JobARN  string       `json:"jobArn"`
	Status  batch.Status `json:"status"`
	Records int          `json:"records"`
}

// NoticeError is how often an error occurred.
type NoticeError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Count   int64  `json:"count"`
}

// Limits of a notice, so that it fits a message of 256 KiB.
const (
	noticeJobs    = 20
	noticeErrors  = 10
	noticeMessage = 200
	noticeReason  = 1000
)

// Summary is summary.json: the notice, and what is too long for it.
type Summary struct {
	Notice
	Parts      []Part         `json:"parts"`
	Settings   any            `json:"settings,omitempty"`
	Mismatches []string       `json:"mismatches"`
	Retries    []RetrySummary `json:"retries"`
	// Deadline is set where the workload has one.
	Deadline *Deadline `json:"deadline,omitempty"`
	// Recall is set where the workload pays for new rows only.
	Recall *Recall `json:"recall,omitempty"`
}

// RetrySummary is what a retry round was about.
type RetrySummary struct {
	Attempt  int   `json:"attempt"`
	Records  int   `json:"records"`
	Answered int64 `json:"answered"`
}

func noticeID(submission string) string { return "n-" + submission }

// notice composes the final notice of a submission whose books are closed.
func (r *run) notice(s *Submission, places Places) Notice {
	n := Notice{
		Version: NoticeVersion, NoticeID: noticeID(s.ID), Submission: s.ID,
		Upload:  NoticeUpload{Bucket: s.Upload.Bucket, Key: s.Upload.Key, VersionID: s.Upload.VersionID},
		Request: s.Request, Attributes: s.Attributes,
		Workload: s.Workload, ModelID: s.ModelID, Rows: s.Rows, Tokens: s.Tokens, Results: places,
		Jobs: []NoticeJob{}, Errors: []NoticeError{}, StartedAt: s.CreatedAt, FinishedAt: *s.FinishedAt,
	}
	n.Status, n.Reason = s.Status, s.Reason
	n.Reason = cut(n.Reason, noticeReason)
	n.EstimatedCostUSD = r.cost(s)
	for i := range s.Parts {
		p := &s.Parts[i]
		if c := p.Counts; c != nil {
			n.Answers.Truncated += c.Truncated
			n.Answers.Refused += c.Refused
			n.Answers.Filtered += c.Filtered
		}
		if k := p.Known; k != nil && p.Final != nil {
			n.Answers.Truncated += k.Truncated
			n.Answers.Refused += k.Refused
			n.Answers.Filtered += k.Filtered
		}
		if p.JobARN == "" {
			continue
		}
		if len(n.Jobs) == noticeJobs {
			n.JobsOmitted++
			continue
		}
		n.Jobs = append(n.Jobs, NoticeJob{JobARN: p.JobARN, Status: p.JobStatus, Records: p.Records})
	}
	for _, e := range s.Errors[:min(len(s.Errors), noticeErrors)] {
		n.Errors = append(n.Errors, NoticeError{Code: e.Code, Message: cut(e.Message, noticeMessage), Count: e.Count})
	}
	return n
}

// verdict is the status, the first that fits, and a reason where the
// submission did not go its whole way.
func verdict(s *Submission) (status, reason string) {
	if s.Ending != nil {
		reason = s.Ending.Reason
	}
	if reason == "" {
		for i := range s.Parts {
			if p := &s.Parts[i]; p.Message != "" && !p.Late && (p.JobStatus == "" || p.JobStatus == batch.Failed) {
				reason = p.Message
				break
			}
		}
	}
	switch {
	case s.Ending != nil && s.Ending.State == Superseded:
		return StatusSuperseded, reason
	case s.Ending != nil && s.Ending.State == Rejected:
		return StatusRejected, reason
	case s.Stop:
		if reason == "" {
			reason = "stopped on request"
		}
		return StatusStopped, reason
	case s.Rows.Answered == 0:
		if reason == "" {
			reason = "no row was answered"
		}
		return StatusFailed, reason
	case s.Rows.Failed+s.Rows.SetAside+s.Rows.Missing > 0:
		return StatusCompletedWithErrors, reason
	}
	return StatusCompleted, ""
}

// cost estimates what the submission's tokens cost; nil where no price is
// known.
func (r *run) cost(s *Submission) *float64 {
	var usd float64
	if s.ModelID == "" {
		return nil
	}
	for i := range s.Parts {
		p := &s.Parts[i]
		if p.Counts == nil {
			continue
		}
		part, known := r.costOf(s, p)
		if !known {
			return nil
		}
		usd += part
	}
	return &usd
}

// costOf estimates what a collected part's tokens cost; known is false where no
// price or no tokens are.
func (r *run) costOf(s *Submission, p *Part) (usd float64, known bool) {
	usd, known = r.priceOf(s, p.How == OnDemand, p.Counts.Tokens.Input, p.Counts.Tokens.Output)
	return usd, known && (p.Counts.Answered == 0 || p.Counts.TokensKnown)
}

// cut shortens a text to n characters.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	runes := []rune(text)
	return string(runes[:n-1]) + "…"
}

// summarise writes summary.json, and latest.json where something was run.
func (r *collectRun) summarise(ctx context.Context, s *Submission, n Notice) error {
	sum := Summary{Notice: n, Parts: s.Parts, Mismatches: s.Mismatches, Retries: []RetrySummary{}, Deadline: s.Deadline, Recall: s.Recall}
	if sum.Mismatches == nil {
		sum.Mismatches = []string{}
	}
	if s.ModelID != "" {
		w, err := r.settingsOf(ctx, s.ID)
		if err != nil {
			return err
		}
		sum.Settings = w
	}
	for attempt := 2; attempt <= s.Round; attempt++ {
		t := RetrySummary{Attempt: attempt}
		for _, p := range s.round(attempt) {
			t.Records += p.Records
			if p.Counts != nil {
				t.Answered += p.Counts.Answered
			}
		}
		sum.Retries = append(sum.Retries, t)
	}
	body, err := json.MarshalIndent(sum, "", " ")
	if err != nil {
		return err
	}
	if _, err := r.output.Put(ctx, resultsKey(s, "summary.json"), body, batch.Condition{}); err != nil {
		return fmt.Errorf("write summary of submission %s: %w", s.ID, err)
	}
	if n.Status == StatusSuperseded || n.Status == StatusRejected {
		return nil
	}
	return r.point(ctx, s, n)
}

// publish sends the notice. A crash behind it sends it again, with the same
// id.
func (r *collectRun) publish(ctx context.Context, h *hold, n Notice) error {
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	attributes := map[string]string{
		"status": n.Status, "workload": n.Workload, "modelId": n.ModelID,
		"bucket": n.Upload.Bucket, "keyPrefix": keyPrefix(n.Upload.Key),
	}
	if h.ModelID != "" {
		w, err := r.settingsOf(ctx, h.ID)
		if err != nil {
			return err
		}
		if w.Notice != nil {
			for name, value := range w.Notice.Attributes {
				attributes[name] = value
			}
		}
	}
	maps.Copy(attributes, h.Attributes)
	for name, value := range attributes {
		if value == "" {
			delete(attributes, name)
		}
	}
	p := Publication{Subject: subject(n), JSON: string(body), Email: letter(n), Attributes: attributes}
	if err := r.topic.Publish(ctx, p); err != nil {
		return fmt.Errorf("publish notice of submission %s: %w", h.ID, err)
	}
	return nil
}

// keyPrefix is the folder of a key with its slash, the empty string at the
// root.
func keyPrefix(key string) string { return key[:strings.LastIndexByte(key, '/')+1] }

// subject is ASCII, shorter than 100 characters, and begins with a letter.
func subject(n Notice) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, path.Base("/"+cmp.Or(n.Request, n.Upload.Key)))
	if len(name) > 50 {
		name = name[:47] + "..."
	}
	return fmt.Sprintf("%s: %s (%d of %d rows)", n.Status, name, n.Rows.Answered, n.Rows.Total)
}

// letter is the notice for people.
func letter(n Notice) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			fmt.Fprintf(&b, "%-12s %s\n", name, text)
		}
	}
	what := fmt.Sprintf("s3://%s/%s", n.Upload.Bucket, n.Upload.Key)
	if n.Request != "" {
		what = "request " + n.Request
	}
	fmt.Fprintf(&b, "%s: %s\n\n", n.Status, what)
	line("Reason", "%s", n.Reason)
	line("Rows", "%d: %d answered, %d failed, %d set aside, %d missing", n.Rows.Total, n.Rows.Answered, n.Rows.Failed, n.Rows.SetAside, n.Rows.Missing)
	if n.Rows.Known > 0 {
		line("", "%d of the answered were known and not paid again", n.Rows.Known)
	}
	if a := n.Answers; a.Truncated+a.Refused+a.Filtered > 0 {
		line("Answers", "%d cut at max_tokens, %d refused by the model, %d filtered", a.Truncated, a.Refused, a.Filtered)
	}
	line("Tokens", "%d in, %d out", n.Tokens.Input, n.Tokens.Output)
	if n.EstimatedCostUSD != nil {
		line("Cost", "about $%.4f (estimate)", *n.EstimatedCostUSD)
	} else {
		line("Cost", "unknown: no price for this model")
	}
	line("Model", "%s", n.ModelID)
	line("Workload", "%s", n.Workload)
	line("Took", "%s", n.FinishedAt.Sub(n.StartedAt).Round(time.Second))
	fmt.Fprintln(&b)
	line("Results", "%s", n.Results.Results)
	line("Table", "%s", n.Results.Table)
	line("Parquet", "%s", n.Results.Parquet)
	line("Errors", "%s", n.Results.Errors)
	line("Set aside", "%s", n.Results.SetAside)
	line("As sent", "%s", n.Results.Foreign)
	line("", "%s", n.Results.ForeignErrors)
	line("Summary", "%s", n.Results.Summary)
	if len(n.Errors) > 0 {
		fmt.Fprintf(&b, "\nMost common errors:\n")
		for _, e := range n.Errors {
			fmt.Fprintf(&b, "  %d x %s: %s\n", e.Count, e.Code, e.Message)
		}
	}
	if len(n.Jobs) > 0 {
		fmt.Fprintf(&b, "\nJobs:\n")
		for _, j := range n.Jobs {
			fmt.Fprintf(&b, "  %-18s %6d records  %s\n", j.Status, j.Records, j.JobARN)
		}
		if n.JobsOmitted > 0 {
			fmt.Fprintf(&b, "  and %d more\n", n.JobsOmitted)
		}
	}
	fmt.Fprintf(&b, "\nSubmission %s, notice %s\n", n.Submission, n.NoticeID)
	return b.String()
}
