package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// wanted says what is written beside the results themselves: with the rows that
// they were made from, as a table, in another service's shape.
type wanted struct {
	echo, csv, parquet bool
	// columns are properties of structured answers that the table shows each
	// by itself.
	columns []string
	dialect *answer.Dialect
}

func (w wanted) any() bool { return w.echo || w.csv || w.parquet || w.dialect != nil }

func wants(w workload.Workload, s *Submission) wanted {
	table := isTable(s)
	csv := w.CSV()
	if w.Output == nil || w.Output.CSV == nil {
		csv = table // a table in, a table out, unless it is not wanted
	}
	want := wanted{echo: w.Echo(), csv: csv, parquet: w.Parquet()}
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
	s       *Submission
	p       Part
	want    wanted
	origins *origins
	failed  *failures

	results, table batch.Writer
	columns        *columns // nil: no Parquet
	// foreign and foreignErrors are in another service's shape.
	foreign, foreignErrors batch.Writer
	batch                  answer.Batch
	result                 answer.Result
	line                   []byte
	fields                 bytes.Buffer
}

// join makes the part's joined pieces and notes their sizes in final.
func (r *collectRun) join(ctx context.Context, s *Submission, w workload.Workload, p Part, final *PartCounts, want wanted) error {
	j := &joining{collectRun: r, s: s, p: p, want: want, origins: &origins{collectRun: r, s: s, w: w, p: p}}
	defer j.origins.close()
	var err error
	if want.echo {
		if j.results, err = r.output.Create(ctx, finalKey(s.ID, p.N, "joined.jsonl")); err != nil {
			return err
		}
		defer j.results.Abort()
	}
	if want.csv {
		if j.table, err = r.output.Create(ctx, finalKey(s.ID, p.N, "results.csv")); err != nil {
			return err
		}
		defer j.table.Abort()
	}
	records := int64(p.Records) + p.known()
	if want.parquet && records > 0 {
		if j.columns, err = j.openColumns(ctx); err != nil {
			return err
		}
		defer j.columns.object.Abort()
	}
	if want.dialect != nil {
		if err := j.openForeign(ctx); err != nil {
			return err
		}
		defer j.abortForeign()
	}
	if records > 0 {
		if err := j.walk(ctx, final); err != nil {
			return err
		}
	}
	if p.Aside > 0 && want.dialect != nil {
		if err := j.asides(ctx); err != nil {
			return err
		}
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
	if j.columns != nil {
		if final.Parquet, err = j.columns.commit(ctx); err != nil {
			return err
		}
	}
	final.Joined = want.echo
	return nil
}

// walk opens what stands side by side, and walks it.
func (j *joining) walk(ctx context.Context, final *PartCounts) error {
	id, n := j.s.ID, j.p.N
	index, err := j.openIndex(ctx)
	if err != nil {
		return err
	}
	defer index.close()
	source := answersKey(id, n, 1, "results.jsonl")
	if final.Merged {
		source = finalKey(id, n, "results.jsonl")
	}
	answered, err := openLines(ctx, j.output, source)
	if err != nil {
		return err
	}
	defer answered.Close()
	if final.Failed+final.Missing > 0 {
		body, err := j.output.Open(ctx, finalKey(id, n, "failed.jsonl"), "", 0, batch.Whole)
		if err != nil {
			return err
		}
		defer body.Close()
		j.failed = pull(body)
		defer j.failed.stop()
	}
	return j.rows(ctx, index, answered)
}

// rows walks the part's rows, its results and its failures side by side: all
// three are in row order.
func (j *joining) rows(ctx context.Context, index *indexes, answered *lines) error {
	line, err := answered.next()
	for {
		entry, e := index.next()
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
		if err := j.answeredForeign(entry.Row, line); err != nil {
			return err
		}
	}
	if j.columns != nil {
		if err := j.columns.answered(entry, origin, line); err != nil {
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
	if j.table == nil && j.foreign == nil && j.columns == nil {
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
		if err := j.failedForeign(f); err != nil {
			return err
		}
	}
	if j.columns != nil {
		if err := j.columns.unanswered(entry, origin, f); err != nil {
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
