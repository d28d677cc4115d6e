package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

// StateVersion is the newest submission.json this code understands. A document
// with a newer version is left alone: old and new functions run side by side
// while a deployment is being upgraded.
const StateVersion = 2

// firstVersion is what documents say that code of the first version may change
// too: all but submissions with known rows, whose answers it would lose.
const firstVersion = 1

// State is where a submission stands.
type State string

// preparing -> waiting|running -> collecting -> waiting (retry round) | done,
// or one of the other ends.
const (
	Preparing  State = "preparing"
	WaitingFor State = "waiting"
	Running    State = "running"
	Collecting State = "collecting"
	Done       State = "done"
	Rejected   State = "rejected"
	Superseded State = "superseded"
	FailedEnd  State = "failed"
	StoppedEnd State = "stopped"
)

// Terminal reports whether a submission in this state never changes again.
func (s State) Terminal() bool {
	switch s {
	case Done, Rejected, Superseded, FailedEnd, StoppedEnd:
		return true
	}
	return false
}

// PartStatus is where a part stands. It only ever rises.
type PartStatus string

// The statuses of a part, lowest first.
const (
	PartStaged    PartStatus = "staged"    // written, its submission still preparing
	PartWaiting   PartStatus = "waiting"   // for a slot, or for on-demand work
	PartCreating  PartStatus = "creating"  // the intent to create its job is written
	PartRunning   PartStatus = "running"   // its job has an ARN; or answers are being asked for
	PartEnded     PartStatus = "ended"     // nothing more comes
	PartCollected PartStatus = "collected" // its answers are in row order
)

var partRank = map[PartStatus]int{PartStaged: 0, PartWaiting: 1, PartCreating: 2, PartRunning: 3, PartEnded: 4, PartCollected: 5}

// ByJob and OnDemand are the two ways of a part's records.
const (
	ByJob    = "job"
	OnDemand = "on-demand"
)

// Upload names one version of one object of the input bucket.
type Upload struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	VersionID string `json:"versionId"`
	ETag      string `json:"etag,omitempty"`
	Size      int64  `json:"size"`
}

// Lease says who works on a submission and until when at the latest.
type Lease struct {
	Owner string    `json:"owner"`
	Until time.Time `json:"until"`
}

// Rows count a submission's rows. At the end Total is the sum of the others.
type Rows struct {
	Total    int64 `json:"total"`
	Answered int64 `json:"answered"`
	Failed   int64 `json:"failed"`
	SetAside int64 `json:"setAside"`
	Missing  int64 `json:"missing"`
	// Known are those of Answered that an earlier submission paid for.
	Known int64 `json:"known,omitempty"`
}

// Tokens are what the model counted.
type Tokens struct {
	Input  int64 `json:"input"`
	Output int64 `json:"output"`
}

// Span is a byte range of the source: from Start up to but not including End.
type Span struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"`
}

// PartCounts are what collecting a part found.
type PartCounts struct {
	Answered  int64  `json:"answered"`
	Failed    int64  `json:"failed"`
	Missing   int64  `json:"missing"`
	Retryable int64  `json:"retryable"`
	Tokens    Tokens `json:"tokens"`
	// TokensKnown is false where neither answers nor manifest told any.
	TokensKnown bool `json:"tokensKnown"`
	// Results and Errors are the sizes of the part's pieces in bytes.
	Results int64 `json:"results"`
	Errors  int64 `json:"errors"`
	// Truncated, Refused and Filtered count answers that stopped for that
	// reason.
	Truncated int64 `json:"truncated,omitempty"`
	Refused   int64 `json:"refused,omitempty"`
	Filtered  int64 `json:"filtered,omitempty"`
	// Merged: the final piece holds answers of several attempts. Joined: the
	// one beside it holds their rows too.
	Merged bool `json:"merged,omitempty"`
	Joined bool `json:"joined,omitempty"`
	// Table is the size of the part's piece of results.csv.
	Table int64 `json:"table,omitempty"`
	// Parquet is the size of the results as Parquet.
	Parquet int64 `json:"parquet,omitempty"`
	// Foreign and ForeignErrors are those in another service's shape.
	Foreign       int64 `json:"foreign,omitempty"`
	ForeignErrors int64 `json:"foreignErrors,omitempty"`
}

// KnownRows are the rows of a part whose answer was remembered from an earlier
// submission. They are not among its records.
type KnownRows struct {
	Rows int64 `json:"rows"`
	// Truncated, Refused and Filtered are as in PartCounts.
	Truncated int64 `json:"truncated,omitempty"`
	Refused   int64 `json:"refused,omitempty"`
	Filtered  int64 `json:"filtered,omitempty"`
}

// Part is one staged file of records and what became of it.
type Part struct {
	N       int `json:"n"`
	Attempt int `json:"attempt"`
	// Records is the number of records, Bytes the size of their file.
	Records int   `json:"records"`
	Bytes   int64 `json:"bytes"`
	// Aside is the number of rows set aside within the part's span, Known
	// those within it that are known.
	Aside    int        `json:"aside,omitempty"`
	Known    *KnownRows `json:"known,omitempty"`
	FirstRow int64      `json:"firstRow"`
	LastRow  int64      `json:"lastRow"`
	Source   Span       `json:"source"`
	How      string     `json:"how"`
	JobName  string     `json:"jobName,omitempty"`
	JobARN   string     `json:"jobArn,omitempty"`
	Status   PartStatus `json:"status"`
	// JobStatus is the job's last status; empty for a part that never ran.
	JobStatus batch.Status `json:"jobStatus,omitempty"`
	// Message says why a part did not run or did not end well, in the
	// service's words.
	Message string `json:"message,omitempty"`
	// StartedAt is when the intent to create the job was written.
	StartedAt *time.Time `json:"startedAt,omitempty"`
	// RefusedAt is when a refusal was last counted.
	RefusedAt *time.Time `json:"refusedAt,omitempty"`
	// Late: the deadline came first. The part is taken from its job, and its
	// rows without an answer go on demand.
	Late bool `json:"late,omitempty"`
	// Refusals counts permanent-looking refusals of Create that may be a
	// fresh deployment's permissions still spreading.
	Refusals int           `json:"refusals,omitempty"`
	EndedAt  *time.Time    `json:"endedAt,omitempty"`
	Reported *batch.Counts `json:"reported,omitempty"`
	// Counts are set when the part is collected, Final when its attempts are
	// merged.
	Counts *PartCounts `json:"counts,omitempty"`
	Final  *PartCounts `json:"final,omitempty"`
}

func (p *Part) rise(to PartStatus) bool {
	if partRank[to] <= partRank[p.Status] {
		return false
	}
	p.Status = to
	return true
}

// known is the number of the part's rows that are known.
func (p *Part) known() int64 {
	if p.Known == nil {
		return 0
	}
	return p.Known.Rows
}

func (p *Part) live() bool {
	return p.How == ByJob && (p.Status == PartCreating || p.Status == PartRunning)
}

// Checkpoint is how far a reading has come: of the upload while preparing, of
// the failed rows while a retry round is being staged.
type Checkpoint struct {
	Position dataset.Position `json:"position"`
	// Part is the number of the next part.
	Part int `json:"part"`
	// Round is the retry round being staged, 0 for the upload itself.
	Round int `json:"round,omitempty"`
}

// Ending is a decided end whose notice has not been published yet.
type Ending struct {
	At     time.Time `json:"at,omitzero"`
	State  State     `json:"state"`
	Reason string    `json:"reason,omitempty"`
}

// Submission is submission.json: our account of one upload.
type Submission struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
	// Kind is upload, folder or request.
	Kind   string `json:"kind"`
	Upload Upload `json:"upload"`
	// Request is the name of a request: the application's id for it, or that
	// of its message. Inline: its prompts stood in the message.
	Request string `json:"request,omitempty"`
	Inline  bool   `json:"inline,omitempty"`
	// Attributes are those that a request gives its notice.
	Attributes map[string]string `json:"attributes,omitempty"`
	// Listing is the object that lists what a folder's round holds.
	Listing  string `json:"listing,omitempty"`
	Workload string `json:"workload,omitempty"`
	State    State  `json:"state"`
	// Ending is set where the way was cut short: rejected, superseded, given
	// up. Work that costs money stops, what there is gets collected.
	Ending     *Ending     `json:"ending,omitempty"`
	Lease      *Lease      `json:"lease"`
	Checkpoint *Checkpoint `json:"checkpoint"`
	// Stalls counts invocations in a row that took the lease and stored
	// nothing.
	Stalls int `json:"stalls"`
	// Stop is set by whoever wants the submission stopped.
	Stop bool `json:"stop"`
	// ContinueAt and CollectAt are when the messages that carry the submission
	// on, in each half, are due. While one is under way no second is sent:
	// else every message that is delivered twice would have its own line of
	// successors.
	ContinueAt time.Time `json:"continueAt,omitzero"`
	CollectAt  time.Time `json:"collectAt,omitzero"`
	// Looks counts how often settings were looked for in vain.
	Looks int `json:"looks,omitempty"`
	// Prepared is true once the whole upload is in parts.
	Prepared bool `json:"prepared,omitempty"`
	// What the workload came to; the whole of it is in workload.json.
	ModelID  string `json:"modelId,omitempty"`
	QuotaKey string `json:"quotaKey,omitempty"`
	// MaxTokens is the longest answer that a row asks for by itself.
	MaxTokens int64 `json:"maxTokens,omitempty"`
	// BaseModel is the one behind ModelID where its id does not tell.
	BaseModel string         `json:"baseModel,omitempty"`
	Format    dataset.Format `json:"format,omitempty"`
	// Folder is the folder of the nearest settings. Documents says that the
	// rows name documents: an errors.jsonl of a folder, dropped again.
	Folder      string              `json:"folder,omitempty"`
	Documents   bool                `json:"documents,omitempty"`
	Compression dataset.Compression `json:"compression,omitempty"`
	Invocation  batch.Invocation    `json:"invocation,omitempty"`
	Rows        Rows                `json:"rows"`
	Tokens      Tokens              `json:"tokens"`
	Parts       []Part              `json:"parts"`
	// Round is the attempt that is under way, 1 for the first.
	Round int `json:"round,omitempty"`
	// Deadline is set where the workload has one.
	Deadline *Deadline `json:"deadline,omitempty"`
	// Recall says how much was remembered when the upload was prepared.
	Recall *Recall `json:"recall,omitempty"`
	// WaitSince is since when the submission has waited for slots or a
	// throttle without any of its parts getting on.
	WaitSince  *time.Time `json:"waitSince,omitempty"`
	Mismatches []string   `json:"mismatches,omitempty"`
	// Errors are the most common errors among the rows that failed for good.
	Errors []answer.ErrorCount `json:"errors,omitempty"`
	// FinishedAt is set before anything is published: what is published
	// again after a crash is the same.
	FinishedAt *time.Time `json:"finishedAt,omitempty"`
	NoticeID   string     `json:"noticeId,omitempty"`
	// Status and Reason are the notice's, decided with FinishedAt: what comes
	// later, as a stop, does not change them.
	Status    string    `json:"status,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	// Writer is the invocation and the number of its write that made this
	// version: a writer that is told 412 finds out whether it was itself.
	Writer string `json:"writer"`
}

// part finds a part; nil if there is none.
func (s *Submission) part(n, attempt int) *Part {
	for i := range s.Parts {
		if s.Parts[i].N == n && s.Parts[i].Attempt == attempt {
			return &s.Parts[i]
		}
	}
	return nil
}

// round yields the parts of one attempt.
func (s *Submission) round(attempt int) []*Part {
	var parts []*Part
	for i := range s.Parts {
		if s.Parts[i].Attempt == attempt {
			parts = append(parts, &s.Parts[i])
		}
	}
	return parts
}

func (s *Submission) any(f func(*Part) bool) bool {
	for i := range s.Parts {
		if f(&s.Parts[i]) {
			return true
		}
	}
	return false
}

// paying reports whether the submission may still start work that costs.
func (s *Submission) paying() bool { return !s.Stop && s.Ending == nil && !s.State.Terminal() }

// settle brings the state of a prepared submission in line with its parts.
func (s *Submission) settle() {
	if s.State.Terminal() || !s.Prepared {
		return
	}
	switch {
	case s.Checkpoint != nil:
		s.State = Collecting // a retry round is being staged
	case s.any(func(p *Part) bool { return p.live() || p.How == OnDemand && p.Status == PartRunning }):
		s.State = Running
	case s.any(func(p *Part) bool { return partRank[p.Status] < partRank[PartEnded] }):
		s.State = WaitingFor
	default:
		s.State = Collecting
	}
}

// SubmissionID names the submission of an upload: every delivery of the same
// version of the same object meets the same state. 26 hex digits.
func SubmissionID(u Upload) string {
	h := sha256.New()
	version := u.VersionID
	if version == "" || version == "null" {
		version = "etag:" + u.ETag // a bucket without versions
	}
	fmt.Fprintf(h, "%d:%s%d:%s%d:%s", len(u.Bucket), u.Bucket, len(u.Key), u.Key, len(version), version)
	return hex.EncodeToString(h.Sum(nil))[:26]
}

// JobName names the job of a part. It is the client request token too.
func JobName(deployment, submission string, part, attempt int) string {
	return fmt.Sprintf("%s%s-%d-%d", deployment, submission, part, attempt)
}

var jobName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([0-9a-f]{8})([0-9a-f]{26})-(0|[1-9][0-9]{0,8})-([1-9][0-9]{0,3})$`)
})

// ParseJobName takes a job name apart; ok is false for a name that JobName
// does not make.
func ParseJobName(name string) (deployment, submission string, part, attempt int, ok bool) {
	m := jobName().FindStringSubmatch(name)
	if m == nil {
		return "", "", 0, 0, false
	}
	part, _ = strconv.Atoi(m[3])
	attempt, _ = strconv.Atoi(m[4])
	return m[1], m[2], part, attempt, true
}

// keys of the output bucket.

func stateKey(id string) string     { return config.Submissions + id + "/submission.json" }
func workloadKey(id string) string  { return config.Submissions + id + "/workload.json" }
func openKey(id string) string      { return config.Open + id }
func stagedPrefix(id string) string { return config.Staged + id + "/" }

func partName(n, attempt int) string { return strconv.Itoa(n) + "-" + strconv.Itoa(attempt) }

func inputKey(id string, n, attempt int) string {
	return stagedPrefix(id) + "in/" + partName(n, attempt) + ".jsonl"
}
func indexKey(id string, n, attempt int) string {
	return stagedPrefix(id) + "src/" + partName(n, attempt) + ".index"
}
func sourceKey(id string, n int) string { return stagedPrefix(id) + "src/" + strconv.Itoa(n) + ".rows" }
func asideKey(id string, n int) string {
	return stagedPrefix(id) + "aside/" + strconv.Itoa(n) + ".jsonl"
}
func outputPrefix(id string, n, attempt int) string {
	return stagedPrefix(id) + "out/" + partName(n, attempt) + "/"
}
func answersKey(id string, n, attempt int, what string) string {
	return stagedPrefix(id) + "answers/" + partName(n, attempt) + "/" + what
}
func finalKey(id string, n int, what string) string {
	return stagedPrefix(id) + "answers/final/" + strconv.Itoa(n) + "/" + what
}

// waitingPrefix holds a marker per submission that waits for a slot of a
// model. The marker's name begins with the submission's age, so that the
// oldest is listed first.
func waitingPrefix(quotaKey string) string { return config.Waiting + hashed(quotaKey) + "/" }

func waitingKey(s *Submission) string {
	return fmt.Sprintf("%s%012x-%s", waitingPrefix(s.QuotaKey), s.CreatedAt.UnixMilli(), s.ID)
}

func dispatchKey(quotaKey string) string { return config.Control + "dispatch/" + hashed(quotaKey) }

const pauseKey = config.Control + "pause"

func hashed(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:8])
}

// maxKey is the longest key S3 takes; resultRoom is kept for what stands
// below a submission's results folder.
const (
	maxKey     = 1024
	resultRoom = 26 + 64
)

// resultsPrefix is the folder of an upload's results: below the upload's own
// key, shortened with a hash where that would be too long a key.
func resultsPrefix(uploadKey string) string {
	if uploadKey == "" {
		return config.Results // the folder at the root
	}
	if len(config.Results)+len(uploadKey)+resultRoom > maxKey {
		keep := maxKey - len(config.Results) - resultRoom - 20
		for keep > 0 && uploadKey[keep]&0xC0 == 0x80 { // not inside a letter
			keep--
		}
		uploadKey = uploadKey[:keep] + "-" + hashed(uploadKey)
	}
	return config.Results + uploadKey + "/"
}

func resultsKey(s *Submission, name string) string {
	return resultsPrefix(s.place()) + s.ID + "/" + name
}

func encodeState(s *Submission) ([]byte, error) { return json.Marshal(s) }
