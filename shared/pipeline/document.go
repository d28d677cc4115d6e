package pipeline

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/prompt"
)

// documentMember names, in a row of an errors.jsonl, the document that failed.
const documentMember = "_document"

// CodeDocumentNotAllowed sets a row aside whose document may not be read.
const CodeDocumentNotAllowed = "document_not_allowed"

// named is what stands under documentMember.
type named struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	VersionID string `json:"versionId"`
}

// namesDocuments reports whether the rows of an object name documents, as those
// of an errors.jsonl about documents do.
func namesDocuments(head []byte, f dataset.Format) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return f == dataset.JSONL && bytes.Contains(line, []byte(`"`+documentMember+`"`))
}

// appendDocument renders the document that a row names. What a row says is not
// trusted: it reaches only into the input bucket, to keys that would be
// accepted as uploads, within the folder of the settings that apply to the
// file the row stands in.
func (p *preparing) appendDocument(ctx context.Context, record []byte, row *dataset.Row, renderer *prompt.Renderer) ([]byte, *dataset.Bad, error) {
	var n named
	value, ok := row.Lookup(documentMember)
	if !ok || json.Unmarshal(value.Raw, &n) != nil {
		return record, &dataset.Bad{Code: CodeDocumentNotAllowed, Reason: "the row has no " + documentMember + " with bucket, key and versionId, as the others of the file have"}, nil
	}
	if why := p.forbidden(n); why != "" {
		return record, &dataset.Bad{Code: CodeDocumentNotAllowed, Reason: why}, nil
	}
	body, err := p.input.Open(ctx, n.Key, version(Upload{VersionID: n.VersionID}), 0, batch.Whole)
	if errors.Is(err, batch.ErrNotFound) {
		return record, &dataset.Bad{Code: "gone", Reason: "the document does not exist any more in this version"}, nil
	}
	if err != nil {
		return record, nil, fmt.Errorf("read document %s: %w", n.Key, err)
	}
	defer body.Close()
	source := bufio.NewReaderSize(body, dataset.HeadSize)
	head, err := source.Peek(dataset.HeadSize)
	if err != nil && err != io.EOF {
		return record, nil, fmt.Errorf("read document %s: %w", n.Key, err)
	}
	format := dataset.Text
	if f, _, err := dataset.Recognise(n.Key, head, ""); err == nil && f.Whole() {
		format = f
	}
	if format != dataset.Text {
		if p.others == nil {
			p.others = map[dataset.Format]*prompt.Renderer{}
		}
		if p.others[format] == nil {
			if p.others[format], err = prompt.NewRenderer(p.w, format); err != nil {
				return record, &dataset.Bad{Code: "not_renderable", Reason: err.Error()}, nil
			}
		}
		renderer = p.others[format]
	}
	texts, err := dataset.New(format, source, dataset.Position{}, dataset.Options{})
	if err != nil {
		return record, nil, err
	}
	text, err := texts.Next()
	if err == io.EOF {
		return record, &dataset.Bad{Code: dataset.CodeEmptyPrompt, Reason: "the document is empty"}, nil
	}
	if err != nil {
		return record, nil, fmt.Errorf("read document %s: %w", n.Key, err)
	}
	if text.Bad != nil {
		return record, text.Bad, nil
	}
	record, bad := renderer.Append(record, text)
	return record, bad, nil
}

// forbidden says why a named document may not be read; empty if it may.
func (p *preparing) forbidden(n named) string {
	switch {
	case n.Bucket != p.h.Upload.Bucket:
		return "the document is not in the input bucket"
	case ignored(n.Key) != "":
		return "the document's key would not be accepted as an upload"
	case p.h.Folder != "" && !strings.HasPrefix(n.Key, p.h.Folder+"/"):
		return "the document lies outside the folder of this file's settings"
	}
	return ""
}
