package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
)

// openForeign opens the part's pieces in another service's shape.
func (j *joining) openForeign(ctx context.Context) (err error) {
	j.batch = answer.Batch{ID: j.s.ID, Model: j.s.ModelID, Created: j.s.CreatedAt}
	if j.foreign, err = j.output.Create(ctx, finalKey(j.s.ID, j.p.N, j.want.dialect.Results)); err != nil {
		return err
	}
	j.foreignErrors = j.foreign
	if j.want.dialect.Errors == "" {
		return nil
	}
	if j.foreignErrors, err = j.output.Create(ctx, finalKey(j.s.ID, j.p.N, j.want.dialect.Errors)); err != nil {
		j.foreign.Abort()
	}
	return err
}

// abortForeign gives up what was not committed.
func (j *joining) abortForeign() {
	j.foreign.Abort()
	if j.foreignErrors != j.foreign {
		j.foreignErrors.Abort()
	}
}

func (j *joining) answeredForeign(row int64, line []byte) error {
	if err := j.result.Read(line); err != nil {
		return fmt.Errorf("read the result of row %d: %w", row, err)
	}
	j.line = j.want.dialect.AppendResult(j.line[:0], &j.result, &j.batch)
	_, err := j.foreign.Write(j.line)
	return err
}

func (j *joining) failedForeign(f *answer.Failure) error {
	j.line = j.want.dialect.AppendError(j.line[:0], f, &j.batch)
	_, err := j.foreignErrors.Write(j.line)
	return err
}

// asides tells of rows that were set aside as of refused requests: who reads
// the other service's files alone must hear of every row.
func (j *joining) asides(ctx context.Context) error {
	lines, err := openLines(ctx, j.output, asideKey(j.s.ID, j.p.N))
	if err != nil {
		return err
	}
	defer lines.Close()
	for {
		line, err := lines.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var row struct {
			Line         int64
			Code, Reason string
			Raw          string
		}
		if err := json.Unmarshal(line, &row); err != nil {
			return fmt.Errorf("read the set-aside rows of part %d: %w", j.p.N, err)
		}
		f := answer.Failure{RecordID: fmt.Sprintf("line-%d", row.Line), Code: "400", Message: row.Code + ": " + row.Reason}
		var own struct {
			ID json.RawMessage `json:"custom_id"`
		}
		if json.Unmarshal([]byte(row.Raw), &own) == nil && len(own.ID) > 0 && (own.ID[0] == '"' || own.ID[0] >= '0' && own.ID[0] <= '9') {
			f.ID = own.ID
		}
		if err := j.failedForeign(&f); err != nil {
			return err
		}
	}
}
