package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
	"github.com/bedrock-batch/bedrock-batch/shared/parquet"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
)

// columnsFolder holds the results as Parquet, a file for each part, below a
// submission's results.
const columnsFolder = "results/"

// The states of a row of the results as Parquet.
const (
	rowAnswered = "answered"
	rowFailed   = "failed"
	rowMissing  = "missing"
)

// ResultColumns are the columns of the results as Parquet: a row for each
// record, whether it was answered or not. Rows that were set aside are no
// records. The warehouse's table has the same columns, and dt, the day.
func ResultColumns() []parquet.Column { return resultColumns }

var resultColumns = []parquet.Column{
	{Name: "submission"}, {Name: "workload"}, {Name: "model"}, {Name: "upload"},
	{Name: "record_id"}, {Name: "row", Kind: parquet.Int}, {Name: "id"}, {Name: "source"}, {Name: "status"},
	{Name: "output"}, {Name: "json"}, {Name: "embedding", Kind: parquet.Reals}, {Name: "tool_use"},
	{Name: "stop_reason"}, {Name: "model_stop_reason"}, {Name: "reasoning"},
	{Name: "input_tokens", Kind: parquet.Int}, {Name: "output_tokens", Kind: parquet.Int}, {Name: "attempt", Kind: parquet.Int},
	{Name: "error_code"}, {Name: "error_message"}, {Name: "input"},
}

// columnsKey is where a part's results as Parquet lie.
func columnsKey(s *Submission, n int) string {
	return resultsKey(s, fmt.Sprintf("%s%05d.parquet", columnsFolder, n))
}

// warehousePrefix begins the keys of a submission's files in the warehouse, by
// the day on which it was accepted.
func warehousePrefix(s *Submission) string {
	return config.Warehouse + "dt=" + s.CreatedAt.UTC().Format("2006-01-02") + "/" + s.ID + "-"
}

// columns writes a part's results as Parquet.
type columns struct {
	*joining
	object batch.Writer
	file   *parquet.Writer
	key    func(int) (string, error) // of an object of a folder
	fields []parquet.Field
	places map[string]int
	result answer.Result
	reals  []float64
}

func (j *joining) openColumns(ctx context.Context) (*columns, error) {
	key, err := j.sources(ctx, j.s)
	if err != nil {
		return nil, err
	}
	object, err := j.output.Create(ctx, columnsKey(j.s, j.p.N))
	if err != nil {
		return nil, err
	}
	c := &columns{joining: j, object: object, file: parquet.NewWriter(object, resultColumns), key: key, fields: make([]parquet.Field, len(resultColumns)), places: map[string]int{}}
	for i, column := range resultColumns {
		c.places[column.Name] = i
	}
	return c, nil
}

// commit ends the file and puts it into the warehouse, where there is one. Both
// may be done again: the bytes are the same.
func (c *columns) commit(ctx context.Context) (int64, error) {
	if err := c.file.Close(); err != nil {
		return 0, fmt.Errorf("write the results of part %d as Parquet: %w", c.p.N, err)
	}
	wrote, err := c.object.Commit()
	if err != nil {
		return 0, fmt.Errorf("write the results of part %d as Parquet: %w", c.p.N, err)
	}
	if !c.settings.Warehouse {
		return wrote.Size, nil
	}
	key := fmt.Sprintf("%s%05d.parquet", warehousePrefix(c.s), c.p.N)
	if err := c.output.Compose(ctx, key, []batch.Object{{Key: columnsKey(c.s, c.p.N), Size: wrote.Size}}); err != nil {
		return 0, fmt.Errorf("put the results of part %d into the warehouse: %w", c.p.N, err)
	}
	return wrote.Size, nil
}

// begin sets what every row has.
func (c *columns) begin(entry part.Entry, origin answer.Origin, status string) error {
	for i := range c.fields {
		c.fields[i] = parquet.Field{Null: true}
	}
	s := c.s
	c.text("submission", []byte(s.ID))
	c.text("workload", []byte(s.Workload))
	c.text("model", []byte(s.ModelID))
	c.text("upload", []byte(s.Upload.Key))
	c.text("record_id", []byte(recordID(entry.Row)))
	c.number("row", entry.Row, true)
	c.text("status", []byte(status))
	if entry.ID != nil {
		c.text("id", []byte(plainID(entry.ID)))
	}
	if entry.Source != part.NoSource && c.key != nil {
		key, err := c.key(entry.Source)
		if err != nil {
			return fmt.Errorf("find the source of row %d: %w", entry.Row, err)
		}
		c.text("source", []byte(key))
	}
	if c.want.echo {
		if echo, ok := input(origin); ok {
			c.text("input", echo)
		}
	}
	return nil
}

func (c *columns) text(name string, text []byte) {
	if text != nil {
		c.fields[c.places[name]] = parquet.Field{Text: text}
	}
}

// quoted sets a text that stands between the quotes of a JSON string.
func (c *columns) quoted(name string, text []byte) {
	if bytes.IndexByte(text, '\\') >= 0 {
		text = []byte(cursor.Unquote(text))
	}
	c.text(name, text)
}

func (c *columns) number(name string, n int64, known bool) {
	if known {
		c.fields[c.places[name]] = parquet.Field{Int: n}
	}
}

func (c *columns) answered(entry part.Entry, origin answer.Origin, line []byte) error {
	r := &c.result
	if err := r.Read(line); err != nil {
		return fmt.Errorf("read the result of row %d: %w", entry.Row, err)
	}
	if err := c.begin(entry, origin, rowAnswered); err != nil {
		return err
	}
	if r.HasOutput {
		c.quoted("output", r.Output)
	}
	c.text("json", r.JSON)
	if r.Embedding != nil && !c.embedding(r.Embedding) {
		c.text("json", r.Embedding) // vectors of several kinds
	}
	c.text("tool_use", r.ToolUse)
	c.quoted("stop_reason", []byte(r.Stop))
	c.quoted("model_stop_reason", r.ModelStop)
	c.quoted("reasoning", r.Reasoning)
	c.number("input_tokens", r.InputTokens, r.HasInputTokens)
	c.number("output_tokens", r.OutputTokens, r.HasOutputTokens)
	c.number("attempt", r.Attempt, true)
	return c.file.Write(c.fields)
}

// embedding reads a vector of numbers; false if it is none.
func (c *columns) embedding(text []byte) bool {
	var in cursor.Cursor
	in.Reset(text)
	if !in.EnterArray() {
		return false
	}
	c.reals = c.reals[:0]
	for in.Element() {
		x, err := strconv.ParseFloat(string(in.Raw()), 64)
		if err != nil {
			return false
		}
		c.reals = append(c.reals, x)
	}
	in.End()
	c.fields[c.places["embedding"]] = parquet.Field{Reals: c.reals}
	return in.Err() == nil
}

func (c *columns) unanswered(entry part.Entry, origin answer.Origin, f *answer.Failure) error {
	status := rowFailed
	if f.Missing {
		status = rowMissing
	}
	if err := c.begin(entry, origin, status); err != nil {
		return err
	}
	c.text("error_code", []byte(f.Code))
	if f.Message != "" {
		c.text("error_message", []byte(f.Message))
	}
	c.number("attempt", int64(max(f.Attempts, 1)), true)
	return c.file.Write(c.fields)
}
