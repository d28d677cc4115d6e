package pipeline

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
)

// tableColumns are the columns of results.csv that are ours.
var tableColumns = []string{"output", "stop_reason", "input_tokens", "output_tokens", "error"}

// cells writes a line of results.csv: the user's own columns as they were
// written, then ours.
func (j *joining) cells(entry part.Entry, origin answer.Origin, ours ...string) error {
	j.fields.Reset()
	w := csv.NewWriter(&j.fields)
	w.Comma = comma(j.s)
	if isTable(j.s) {
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
	return s.Kind != "folder" && (s.Format == dataset.CSV || s.Format == dataset.TSV)
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
