package model

import (
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

// EmbedQuery is what a record asks of an embedding model.
type EmbedQuery struct {
	// Texts are to be embedded, each as it stands between the quotes of a
	// JSON string.
	Texts [][]byte
	// Dimensions is the length of the vectors asked for; 0 leaves it to the
	// model.
	Dimensions int64

	fields []field
}

type field struct{ name, value []byte }

// SetFields takes the members of an object as further members of the body, as
// a workload's additional_model_request_fields.
func (q *EmbedQuery) SetFields(object jsontext.Value) error {
	q.fields = nil
	if len(object) == 0 {
		return nil
	}
	var c cursor.Cursor
	c.Reset(object)
	c.EnterObject()
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		q.fields = append(q.fields, field{slices.Clone(name), c.Raw()})
	}
	c.End()
	return c.Err()
}

// Has reports whether a field of this name was set.
func (q *EmbedQuery) Has(name string) bool {
	return slices.ContainsFunc(q.fields, func(f field) bool { return string(f.name) == name })
}

// AppendFields appends the fields, each behind a comma, but for those that the
// body has already.
func (q *EmbedQuery) AppendFields(dst []byte, but ...string) []byte {
	for _, f := range q.fields {
		if slices.Contains(but, string(f.name)) {
			continue
		}
		dst = append(cursor.AppendQuoted(append(dst, ',', '"'), string(f.name)), '"', ':')
		dst = append(dst, f.value...)
	}
	return dst
}

func (q *EmbedQuery) appendText(dst []byte) []byte {
	return append(append(append(dst, '"'), q.Texts[0]...), '"')
}

// Embeds reports whether the models of a family answer in vectors.
func Embeds(f Family) bool { return shapes[f] != nil && shapes[f].Embed != nil }

// AppendEmbed appends the body that asks a model of an embedding family for
// vectors; base is [ID.Base], empty where it is not known. A query that the
// model cannot be asked is an error that says so.
func AppendEmbed(dst []byte, f Family, base string, q *EmbedQuery) ([]byte, error) {
	if !Embeds(f) {
		return dst, fmt.Errorf("models of family %q answer in text: %w", f, batch.ErrInvalid)
	}
	from := len(dst)
	out, err := shapes[f].Embed(dst, base, q)
	if err != nil {
		return dst[:from], err
	}
	return out, nil
}
