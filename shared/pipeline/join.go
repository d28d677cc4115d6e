package pipeline

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// wanted says what is written beside the results themselves: with the rows that
// they were made from, as a table, in another service's shape.
type wanted struct {
	echo, csv bool
	// columns are properties of structured answers that the table shows each
	// by itself.
	columns []string
	dialect *answer.Dialect
}

func (w wanted) any() bool { return w.echo || w.csv || w.dialect != nil }

func wants(w workload.Workload, s *Submission) wanted {
	table := s.Kind == "upload" && (s.Format == dataset.CSV || s.Format == dataset.TSV)
	csv := w.CSV()
	if w.Output == nil || w.Output.CSV == nil {
		csv = table // a table in, a table out, unless it is not wanted
	}
	want := wanted{echo: w.Echo(), csv: csv}
	if shape, err := w.Schema(); err == nil && shape != nil { // checked when the upload was accepted
		want.columns = shape.Columns()
	}
	if d, ok := answer.DialectOf(s.Format); ok {
		want.dialect = &d
	}
	return want
}

// joining puts a part's final results together with the rows they were made
// from: "input" into each result, and lines of results.csv.
type joining struct {
	*collectRun
	h       *hold
	p       Part
	want    wanted
	origins *origins
	failed  *failures

	results, table batch.Writer
	// foreign and foreignErrors are in another service's shape.
	foreign, foreignErrors batch.Writer
	batch                  answer.Batch
	result                 answer.Result
	line                   []byte
	fields                 bytes.Buffer
}

// join makes the part's joined pieces and notes their sizes in final.
func (r *collectRun) join(ctx context.Context, h *hold, w workload.Workload, p Part, final *PartCounts, want wanted) error {
	j := &joining{collectRun: r, h: h, p: p, want: want, origins: &origins{collectRun: r, s: h.Submission, w: w, p: p}}
	defer j.origins.close()
	index, err := r.output.Open(ctx, indexKey(h.ID, p.N, 1), "", 0, batch.Whole)
	if err != nil {
		return err
	}
	defer index.Close()
	source := answersKey(h.ID, p.N, 1, "results.jsonl")
	if final.Merged {
		source = finalKey(h.ID, p.N, "results.jsonl")
	}
	answered, err := openLines(ctx, r.output, source)
	if err != nil {
		return err
	}
	defer answered.Close()
	if final.Failed+final.Missing > 0 {
		body, err := r.output.Open(ctx, finalKey(h.ID, p.N, "failed.jsonl"), "", 0, batch.Whole)
		if err != nil {
			return err
		}
		defer body.Close()
		j.failed = pull(body)
		defer j.failed.stop()
	}
	if want.echo {
		if j.results, err = r.output.Create(ctx, finalKey(h.ID, p.N, "joined.jsonl")); err != nil {
			return err
		}
		defer j.results.Abort()
	}
	if want.csv {
		if j.table, err = r.output.Create(ctx, finalKey(h.ID, p.N, "results.csv")); err != nil {
			return err
		}
		defer j.table.Abort()
	}
	if want.dialect != nil {
		j.batch = answer.Batch{ID: h.ID, Model: h.ModelID, Created: h.CreatedAt}
		if j.foreign, err = r.output.Create(ctx, finalKey(h.ID, p.N, want.dialect.Results)); err != nil {
			return err
		}
		defer j.foreign.Abort()
		j.foreignErrors = j.foreign
		if want.dialect.Errors != "" {
			if j.foreignErrors, err = r.output.Create(ctx, finalKey(h.ID, p.N, want.dialect.Errors)); err != nil {
				return err
			}
			defer j.foreignErrors.Abort()
		}
	}
	if err := j.rows(ctx, part.NewIndexReader(bufio.NewReaderSize(index, 256<<10)), answered); err != nil {
		return err
	}
	for _, piece := range []struct {
		w    batch.Writer
		size *int64
	}{{j.results, &final.Results}, {j.table, &final.Table}, {j.foreign, &final.Foreign}, {j.foreignErrors, &final.ForeignErrors}} {
		if piece.w == nil || piece.w == j.foreign && piece.size == &final.ForeignErrors {
			continue
		}
		wrote, err := piece.w.Commit()
		if err != nil {
			return err
		}
		*piece.size = wrote.Size
	}
	final.Joined = want.echo
	return nil
}

// rows walks the part's rows, its results and its failures side by side: all
// three are in row order.
func (j *joining) rows(ctx context.Context, index *part.IndexReader, answered *lines) error {
	line, err := answered.next()
	for {
		entry, e := index.Next()
		if e == io.EOF {
			break
		}
		if e != nil {
			return e
		}
		if err != nil && err != io.EOF {
			return err
		}
		var origin answer.Origin
		if j.want.echo || j.want.csv {
			if origin, e = j.origins.find(ctx, &answer.Failure{Row: entry.Row, Off: entry.Off, Len: entry.Len, Source: entry.Source}); e != nil {
				return e
			}
		}
		if err == nil && bytes.HasPrefix(line, resultPrefix(entry.Row)) {
			if e := j.answered(entry, origin, line); e != nil {
				return e
			}
			line, err = answered.next()
			continue
		}
		if e := j.unanswered(entry, origin); e != nil {
			return e
		}
	}
	if err != io.EOF {
		return fmt.Errorf("part %d: a result belongs to no row of the part", j.p.N)
	}
	return nil
}

func resultPrefix(row int64) []byte { return []byte(`{"recordId":"` + recordID(row) + `",`) }

// outputMembers stand in a result where what came in ends and what came out
// begins. Inside a JSON string every quote is escaped, so that the first match
// is the member itself.
var outputMembers = [][]byte{[]byte(`,"output":`), []byte(`,"embedding":`), []byte(`,"json":`)}

func (j *joining) answered(entry part.Entry, origin answer.Origin, line []byte) error {
	if j.results != nil {
		cut := -1
		for _, member := range outputMembers {
			if i := bytes.Index(line, member); i >= 0 && (cut < 0 || i < cut) {
				cut = i
			}
		}
		if cut < 0 {
			return fmt.Errorf("the result of row %d has no output", entry.Row)
		}
		j.line = append(j.line[:0], line[:cut]...)
		if echo, ok := input(origin); ok {
			j.line = append(append(j.line, `,"input":`...), echo...)
		}
		j.line = append(j.line, line[cut:]...)
		if _, err := j.results.Write(j.line); err != nil {
			return err
		}
	}
	if j.foreign != nil {
		if err := j.result.Read(line); err != nil {
			return fmt.Errorf("read the result of row %d: %w", entry.Row, err)
		}
		j.line = j.want.dialect.AppendResult(j.line[:0], &j.result, &j.batch)
		if _, err := j.foreign.Write(j.line); err != nil {
			return err
		}
	}
	if j.table == nil {
		return nil
	}
	var r struct {
		Output    *string         `json:"output"`
		Embedding json.RawMessage `json:"embedding"`
		JSON      json.RawMessage `json:"json"`
		Stop      string          `json:"stopReason"`
		Usage     struct {
			Input  *int64 `json:"inputTokens"`
			Output *int64 `json:"outputTokens"`
		} `json:"usage"`
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("read the result of row %d: %w", entry.Row, err)
	}
	output := string(r.Embedding) + string(r.JSON)
	if r.Output != nil {
		output = *r.Output
	}
	cells := []string{output, r.Stop, number(r.Usage.Input), number(r.Usage.Output), ""}
	return j.cells(entry, origin, append(cells, j.properties(r.JSON)...)...)
}

func (j *joining) unanswered(entry part.Entry, origin answer.Origin) error {
	if j.table == nil && j.foreign == nil {
		return nil
	}
	f := &answer.Failure{Row: entry.Row, RecordID: recordID(entry.Row), ID: entry.ID, Code: answer.CodeMissing, Missing: true}
	if j.failed != nil {
		found, err := j.failed.row(entry.Row)
		if err != nil {
			return err
		}
		if found != nil {
			f = found
		}
	}
	if j.foreign != nil {
		j.line = j.want.dialect.AppendError(j.line[:0], f, &j.batch)
		if _, err := j.foreignErrors.Write(j.line); err != nil {
			return err
		}
	}
	if j.table == nil {
		return nil
	}
	why := f.Code
	if f.Message != "" {
		why += ": " + f.Message
	}
	return j.cells(entry, origin, append([]string{"", "", "", "", why}, make([]string, len(j.want.columns))...)...)
}

// properties are the cells of a structured answer: texts as they are, anything
// else as JSON, nothing for null and for what is not there.
func (j *joining) properties(value json.RawMessage) []string {
	if len(j.want.columns) == 0 {
		return nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(value, &object) != nil {
		object = nil // another kind of value has no properties
	}
	cells := make([]string, len(j.want.columns))
	for i, name := range j.want.columns {
		raw := object[name]
		if string(raw) == "null" || json.Unmarshal(raw, &cells[i]) == nil {
			continue
		}
		cells[i] = string(raw)
	}
	return cells
}

func number(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// tableColumns are the columns of results.csv that are ours.
var tableColumns = []string{"output", "stop_reason", "input_tokens", "output_tokens", "error"}

// cells writes a line of results.csv: the user's own columns as they were
// written, then ours.
func (j *joining) cells(entry part.Entry, origin answer.Origin, ours ...string) error {
	j.fields.Reset()
	w := csv.NewWriter(&j.fields)
	w.Comma = comma(j.h.Submission)
	if isTable(j.h.Submission) {
		if origin.Kind == answer.Gone {
			return nil
		}
		if _, err := j.table.Write(append(j.origins.raw, byte(w.Comma))); err != nil {
			return err
		}
	} else {
		source := ""
		if entry.Source != part.NoSource {
			source = j.origins.upload.Key
		}
		ours = append([]string{strconv.FormatInt(entry.Row, 10), plainID(entry.ID), source}, ours...)
	}
	if err := w.Write(ours); err != nil {
		return err
	}
	w.Flush()
	_, err := j.table.Write(j.fields.Bytes())
	return err
}

func plainID(id []byte) string {
	var text string
	if json.Unmarshal(id, &text) == nil {
		return text
	}
	return string(id)
}

func isTable(s *Submission) bool {
	return s.Kind == "upload" && (s.Format == dataset.CSV || s.Format == dataset.TSV)
}

func comma(s *Submission) rune {
	if s.Format == dataset.TSV && isTable(s) {
		return '\t'
	}
	return ','
}

// input is a row as it came, as JSON.
func input(origin answer.Origin) ([]byte, bool) {
	switch origin.Kind {
	case answer.Object:
		return bytes.TrimSpace(origin.Raw), true
	case answer.Document:
		body, err := json.Marshal(map[string]any{"_document": map[string]string{"bucket": origin.Bucket, "key": origin.Key, "versionId": origin.Version}})
		return body, err == nil
	}
	return nil, false
}

// tableHead writes the first line of results.csv: the user's own as it was
// written, then the names of our columns.
func (r *collectRun) tableHead(ctx context.Context, s *Submission) (batch.Object, error) {
	var head bytes.Buffer
	set, err := r.settingsOf(ctx, s.ID)
	if err != nil {
		return batch.Object{}, err
	}
	names := append(append([]string{}, tableColumns...), wants(set, s).columns...)
	have := map[string]bool{}
	if isTable(s) {
		o := &origins{collectRun: r, s: s, source: part.NoSource}
		if err := o.use(ctx); err != nil && !errors.Is(err, batch.ErrNotFound) {
			return batch.Object{}, err
		}
		own := bytes.TrimRight(o.header, "\r\n")
		parsed := csv.NewReader(bytes.NewReader(own))
		parsed.Comma = comma(s)
		columns, err := parsed.Read()
		if err != nil && err != io.EOF {
			return batch.Object{}, fmt.Errorf("read the header again: %w", err)
		}
		for _, name := range columns {
			have[strings.TrimSpace(name)] = true
		}
		head.Write(own)
		head.WriteRune(comma(s))
	} else {
		names = append([]string{"row", "id", "source"}, names...)
	}
	for i, name := range names {
		for have[name] {
			name += "_answer"
		}
		names[i], have[name] = name, true
	}
	w := csv.NewWriter(&head)
	w.Comma = comma(s)
	if err := w.Write(names); err != nil {
		return batch.Object{}, err
	}
	w.Flush()
	key := stagedPrefix(s.ID) + "answers/final/header.csv"
	if _, err := r.output.Put(ctx, key, head.Bytes(), batch.Condition{}); err != nil {
		return batch.Object{}, fmt.Errorf("write the table's header: %w", err)
	}
	return batch.Object{Key: key, Size: int64(head.Len())}, nil
}

// failures looks failed rows up, in row order.
type failures struct {
	next func() (*answer.Failure, error, bool)
	stop func()
	at   *answer.Failure
	done bool
}

func pull(body io.Reader) *failures {
	next, stop := iter.Pull2(answer.Failures(body))
	return &failures{next: next, stop: stop}
}

// row is the failure of a row, nil if there is none.
func (f *failures) row(n int64) (*answer.Failure, error) {
	for !f.done && (f.at == nil || f.at.Row < n) {
		at, err, ok := f.next()
		if err != nil {
			return nil, err
		}
		f.at, f.done = at, !ok
	}
	if f.done || f.at.Row != n {
		return nil, nil
	}
	return f.at, nil
}
