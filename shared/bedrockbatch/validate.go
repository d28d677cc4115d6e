package bedrockbatch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// Forecast is what would happen to a file, found out without calling any
// service.
type Forecast struct {
	// Accepted is false where the file would be rejected; Reason says why.
	Accepted bool   `json:"accepted"`
	Reason   string `json:"reason,omitempty"`
	Format   string `json:"format,omitempty"`
	Packed   string `json:"compression,omitempty"`
	Bytes    int64  `json:"bytes"`
	Rows     int64  `json:"rows"`
	Records  int64  `json:"records"`
	SetAside int64  `json:"setAside"`
	// Bad are the first rows that would be set aside.
	Bad []BadRow `json:"bad"`
	// Parts are the jobs that would run, and what is answered on demand.
	Parts []PlannedPart `json:"parts"`
	// InputTokens are estimated from bytes; OutputTokens is the ceiling:
	// every answer at its limit, retries included.
	InputTokens  int64 `json:"inputTokens"`
	OutputTokens int64 `json:"outputTokens"`
	// LeastUSD is one attempt with empty answers, MostUSD the ceiling; both
	// are nil where no price of the model is known.
	LeastUSD *float64 `json:"leastUSD"`
	MostUSD  *float64 `json:"mostUSD"`
}

// BadRow is a row that cannot be used.
type BadRow struct {
	Line   int64  `json:"line"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

// PlannedPart is one part that a file makes.
type PlannedPart struct {
	Records  int   `json:"records"`
	Bytes    int64 `json:"bytes"`
	OnDemand bool  `json:"onDemand"`
}

// maxBad is how many bad rows are told.
const maxBad = 100

// Validate looks what would happen to the inputs under the settings of spec:
// the pipeline's own code reads them and makes parts of them, in memory that
// stays flat, and no service is called. set are the quotas, caps and prices of
// the deployment; nil means config.Default.
func Validate(ctx context.Context, spec Spec, src Source, set *config.Settings) (*Forecast, error) {
	if set == nil {
		def := config.Default()
		set = &def
	}
	inputs, err := spool("", src)
	if err != nil {
		return nil, explain(err, "read inputs")
	}
	defer inputs.remove()
	w := spec.settings()
	if src.format != nil {
		w.Format = src.format()
	}
	key := "uploads/input" + src.ext
	bucket := &dry{upload: key, file: inputs.File, size: inputs.size, docs: map[string]document{}}
	mail := &post{clock: wall{}}
	submit := pipeline.NewSubmit(pipeline.Options{
		Deployment: "00000000", Settings: *set, OutputBucket: "dry", Workload: w, TempDir: os.TempDir(),
		Input: bucket, Output: bucket, Uploads: mail, Jobs: mail, Clock: wall{}, Observer: silent{},
	}, noJobs{}, noModel{})
	upload := pipeline.Upload{Bucket: "dry", Key: key, ETag: inputs.sum, Size: inputs.size}
	in := pipeline.Invocation{ID: random(), Deadline: wall{}.Now().Add(24 * slice)}
	if err := submit.Uploaded(ctx, in, upload); err != nil {
		return nil, explain(err, "validate")
	}
	s, err := pipeline.View{Output: bucket}.Submission(ctx, pipeline.SubmissionID(upload))
	if err != nil {
		return nil, explain(err, "validate")
	}
	f := &Forecast{
		Format: string(s.Format), Packed: string(s.Compression), Bytes: inputs.size,
		Rows: s.Rows.Total, SetAside: s.Rows.SetAside, Records: s.Rows.Total - s.Rows.SetAside, Parts: []PlannedPart{},
	}
	if f.Bad, err = badRows(&bucket.aside); err != nil {
		return nil, explain(err, "validate")
	}
	f.Accepted = s.Ending == nil && s.ModelID != ""
	switch {
	case s.Ending != nil:
		f.Reason = s.Ending.Reason
	case s.ModelID == "":
		f.Reason = "no model is named"
	}
	var least float64
	known := true
	for i := range s.Parts {
		p := &s.Parts[i]
		if p.Records == 0 {
			continue
		}
		once := model.EstimateTokens(p.Bytes)
		f.Parts = append(f.Parts, PlannedPart{Records: p.Records, Bytes: p.Bytes, OnDemand: p.How == pipeline.OnDemand})
		f.InputTokens += once
		usd, ok := pipeline.PriceOf(*set, s.ModelID, p.How == pipeline.OnDemand, once, 0)
		least, known = least+usd, known && ok
	}
	if s.ModelID == "" || len(f.Parts) == 0 {
		return f, nil
	}
	most, err := pipeline.EstimateOf(*set, w, s)
	if err != nil {
		return nil, explain(err, "validate")
	}
	f.OutputTokens = most.OutputTokens
	if known && most.Known {
		f.LeastUSD, f.MostUSD = &least, &most.USD
	}
	return f, nil
}

func badRows(r io.Reader) ([]BadRow, error) {
	bad := []BadRow{}
	for d := json.NewDecoder(r); len(bad) < maxBad; {
		var row BadRow
		err := d.Decode(&row)
		if err == io.EOF || err == io.ErrUnexpectedEOF { // what was kept may end anywhere
			break
		}
		if err != nil {
			return nil, err
		}
		bad = append(bad, row)
	}
	return bad, nil
}

// Head is the first rows of a file, as a source of their own: for a try before
// the whole is paid. declared is the format that the settings set, if any.
func Head(name string, declared dataset.Format, rows int) Source {
	src := File(name)
	whole := src.ext
	for _, packed := range []string{".gz", ".zst"} {
		if len(whole) >= len(packed) && whole[len(whole)-len(packed):] == packed {
			src.ext = whole[:len(whole)-len(packed)]
		}
	}
	if src.ext == ".parquet" || src.ext == ".pq" {
		src.ext = ".jsonl" // the first rows are written as lines
	}
	src.write = func(w io.Writer) error { return head(w, name, declared, rows) }
	return src
}

func head(w io.Writer, name string, declared dataset.Format, rows int) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	first := make([]byte, dataset.HeadSize)
	n, err := io.ReadFull(f, first)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	format, packed, err := dataset.Recognise(name, first[:n], declared)
	if err != nil {
		return invalid("recognise "+name, "%v", err)
	}
	if format.Anywhere() {
		if declared == format {
			return invalid("read the first rows of "+name, "they are tried as lines of JSON, and the settings say format: %s; leave it out", format)
		}
		return headRows(w, f, name, format, rows)
	}
	open := func() (io.ReadCloser, error) {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		if packed == dataset.Plain {
			return io.NopCloser(bufio.NewReaderSize(f, 256<<10)), nil
		}
		return dataset.Decompress(f, packed, 1<<62)
	}
	body, err := open()
	if err != nil {
		return err
	}
	defer body.Close()
	reader, err := dataset.New(format, body, dataset.Position{}, dataset.Options{})
	if err != nil {
		return invalid("read "+name, "%v", err)
	}
	end, more := int64(0), true
	for range rows {
		row, err := reader.Next()
		if err == io.EOF {
			more = false
			break
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		end = row.End
	}
	again, err := open()
	if err != nil {
		return err
	}
	defer again.Close()
	if !more || format == dataset.Text {
		_, err := io.Copy(w, again)
		return err
	}
	if _, err := io.CopyN(w, again, end); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", name, err)
	}
	close := "\n"
	if format == dataset.JSON {
		close = "]\n"
	}
	_, err = io.WriteString(w, close)
	return err
}

// headRows writes the first rows of a file that cannot be cut as lines of JSON.
func headRows(w io.Writer, f *os.File, name string, format dataset.Format, rows int) error {
	stat, err := f.Stat()
	if err != nil {
		return err
	}
	reader, err := dataset.New(format, io.NewSectionReader(f, 0, stat.Size()), dataset.Position{}, dataset.Options{})
	if err != nil {
		return invalid("read "+name, "%v", err)
	}
	for range rows {
		row, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if dataset.Unusable(err) {
			return invalid("read "+name, "%v", err)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if _, err := w.Write(append(row.AppendMembers([]byte{'{'}), '}', '\n')); err != nil {
			return err
		}
	}
	return nil
}

// Price is what so many tokens of the spec's model cost by list prices; known
// is false where none is.
func Price(spec Spec, onDemand bool, inputTokens, outputTokens int64) (usd float64, known bool) {
	return pipeline.PriceOf(config.Default(), spec.settings().Model, onDemand, inputTokens, outputTokens)
}
