package memory

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// Shape is how one record comes back.
type Shape int

const (
	// Answered has modelOutput.
	Answered Shape = iota
	// Beside has error in place of modelOutput.
	Beside
	// Inside has error within modelOutput.
	Inside
	// Neither has neither of both.
	Neither
	// Broken is not JSON.
	Broken
	// Twice is answered on two lines.
	Twice
	// Missing does not come back.
	Missing
)

// Line is what becomes of one record.
type Line struct {
	Shape Shape
	// Code of an error: 500 if 0.
	Code int
	// Text writes the code as a string.
	Text bool
	// Message of an error.
	Message string
}

// Manifest is what becomes of manifest.json.out.
type Manifest int

const (
	// ManifestRight tells what is there.
	ManifestRight Manifest = iota
	// ManifestAbsent is not written.
	ManifestAbsent
	// ManifestWrong counts one answer more than there is.
	ManifestWrong
)

// Outcome is how a job ends.
type Outcome struct {
	// Status is a terminal one: Completed if empty.
	Status  batch.Status
	Message string
	// Line says what becomes of the n-th record (from 0): all are answered
	// if nil. It is not asked for jobs that never ran.
	Line func(n int, recordID string) Line
	// Order gives the order of n output lines: as they were if nil.
	Order func(n int) []int
	// Extra are more lines, as they stand, at the end of the last file.
	Extra []string
	// Files is the number of output files: 1 if 0.
	Files    int
	Manifest Manifest
	// Held output comes to stand in the bucket only by Release, as if it
	// were later than the job's end.
	Held bool
	// NoCounts reports no counts, as older jobs.
	NoCounts bool
	// NoOutput writes no object at all.
	NoOutput bool
}

// End ends a live job: its output is written, then its status changes. A job
// that has ended already stays as it is.
func (b *Bedrock) End(arn string, o Outcome) {
	b.mu.Lock()
	j := b.find(arn)
	if j == nil {
		b.mu.Unlock()
		panic("memory: end of a job that does not exist: " + arn)
	}
	if j.Status.Terminal() {
		b.mu.Unlock()
		return
	}
	if j.records == nil && (j.Status == batch.InProgress || j.Status == batch.Scheduled || j.Status == batch.Stopping) {
		_ = b.validate(j) // a job stopped before it was read has no records
	}
	if o.Status == "" {
		o.Status = batch.Completed
	}
	files, counts := b.output(j, o)
	j.Counts = &counts
	if o.NoCounts {
		j.Counts = nil
	}
	if o.Held {
		j.held, files = files, nil
	}
	bucket, _, err := b.locate(j.spec.Output)
	b.mu.Unlock()
	if err == nil {
		put(bucket, files)
	}

	b.mu.Lock()
	if j.Status.Terminal() { // by a watcher of the bucket
		b.mu.Unlock()
		return
	}
	was := j.Status
	b.end(j, o.Status, o.Message)
	b.changed(j, was)
}

// Release lets held output come to stand in the bucket.
func (b *Bedrock) Release(arn string) {
	b.mu.Lock()
	j := b.find(arn)
	if j == nil {
		b.mu.Unlock()
		panic("memory: release of a job that does not exist: " + arn)
	}
	files := j.held
	j.held = nil
	bucket, _, err := b.locate(j.spec.Output)
	b.mu.Unlock()
	if err == nil {
		put(bucket, files)
	}
}

// Run takes a job from where it stands to its end.
func (b *Bedrock) Run(arn string, o Outcome) batch.Status {
	for {
		switch status := b.Advance(arn); {
		case status.Terminal():
			return status
		case status == batch.InProgress:
			b.End(arn, o)
		}
	}
}

// put writes in the order of names, the manifest after the lines.
func put(bucket *Bucket, files map[string][]byte) {
	var manifest string
	for _, name := range sorted(files) {
		if path.Base(name) == "manifest.json.out" {
			manifest = name
			continue
		}
		bucket.Set(name, files[name])
	}
	if manifest != "" {
		bucket.Set(manifest, files[manifest])
	}
}

// output makes a job's objects by key.
func (b *Bedrock) output(j *job, o Outcome) (map[string][]byte, batch.Counts) {
	counts := batch.Counts{Total: int64(len(j.records))}
	var lines []string
	var inputTokens, outputTokens int
	for n, r := range j.records {
		line := Line{}
		if o.Line != nil {
			line = o.Line(n, r.ID)
		}
		if line.Shape == Missing {
			continue
		}
		counts.Processed++
		written := b.line(j.spec, r, line)
		lines = append(lines, written)
		switch line.Shape {
		case Twice:
			lines = append(lines, written)
			fallthrough
		case Answered:
			counts.Success++
			inputTokens += len(r.ModelInput) / 4
			outputTokens += 8
		default:
			counts.Error++
		}
	}
	if o.Order != nil {
		ordered := make([]string, 0, len(lines))
		for _, i := range o.Order(len(lines)) {
			ordered = append(ordered, lines[i])
		}
		lines = ordered
	}
	if o.NoOutput {
		return nil, counts
	}
	_, prefix, _ := strings.Cut(strings.TrimPrefix(j.spec.Output, "s3://"), "/")
	folder := strings.TrimSuffix(prefix, "/")
	if folder != "" {
		folder += "/"
	}
	folder += j.ID() + "/"
	files := make(map[string][]byte)
	parts := max(o.Files, 1)
	base := strings.TrimSuffix(path.Base(j.spec.Input), ".jsonl")
	for part := range parts {
		some := lines[len(lines)*part/parts : len(lines)*(part+1)/parts]
		if part == parts-1 {
			some = append(some[:len(some):len(some)], o.Extra...)
		}
		name := base
		if part > 0 {
			name = fmt.Sprintf("%s-%d", base, part)
		}
		var body strings.Builder
		for _, line := range some {
			body.WriteString(line)
			body.WriteByte('\n')
		}
		files[folder+name+".jsonl.out"] = []byte(body.String())
	}
	if o.Manifest != ManifestAbsent {
		told := counts
		if o.Manifest == ManifestWrong {
			told.Success++
			told.Processed++
		}
		files[folder+"manifest.json.out"] = fmt.Appendf(nil,
			`{"totalRecordCount":%d,"processedRecordCount":%d,"successRecordCount":%d,"errorRecordCount":%d,"inputTokenCount":%d,"outputTokenCount":%d}`,
			told.Total, told.Processed, told.Success, told.Error, inputTokens, outputTokens)
	}
	return files, counts
}

func (b *Bedrock) line(spec batch.JobSpec, r record, line Line) string {
	id := quoted(r.ID)
	head := `{"recordId":` + id + `,"modelInput":` + string(r.ModelInput)
	if line.Code == 0 {
		line.Code = 500
	}
	code := fmt.Sprint(line.Code)
	if line.Text {
		code = quoted(code)
	}
	failure := `{"errorCode":` + code + `,"errorMessage":` + quoted(line.Message) + `}`
	switch line.Shape {
	case Beside:
		return head + `,"error":` + failure + `}`
	case Inside:
		return head + `,"modelOutput":{"error":` + failure + `}}`
	case Neither:
		return head + `}`
	case Broken:
		return head + `,"modelOutput":{"content":[`
	}
	return `{"modelInput":` + string(r.ModelInput) + `,"modelOutput":` + string(b.set.Answer(spec.ModelID, spec.Invocation, r.ModelInput)) + `,"recordId":` + id + `}`
}

func quoted(s string) string {
	out, _ := json.Marshal(s) // a string always can
	return string(out)
}
