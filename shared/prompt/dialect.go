package prompt

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// Codes of rows that are set aside: those of other services' batches, and
// documents and images.
const (
	CodeUnsupported = "unsupported" // a member or value that a batch job cannot have, named in the reason
	CodeOtherModel  = "other_model" // the row asks for another model than the rest of its upload
	CodeBadRequest  = "bad_request" // the row's own request is not in the shape of its service
	CodeMediaLimit  = "media_limit" // a document or image that is too large, or one too many
)

// Dialect makes modelInputs of rows that hold a request in the shape of another
// service. Each dialect's file registers one.
type Dialect struct {
	Format dataset.Format
	// Native is the family whose own bodies the requests are, as they are but
	// for a few members; rows go there with invocation invoke-model.
	Native model.Family
	// Default is the invocation for models of the Native family where the
	// workload says nothing. All others are asked by Converse.
	Default batch.Invocation
	// New prepares the rendering of rows.
	New func(s *Setting) Rows
}

// Setting is what a dialect must know of the workload.
type Setting struct {
	Workload   workload.Workload
	Family     model.Family
	Base       string
	Invocation batch.Invocation
	// Embeds: the model answers in vectors.
	Embeds bool

	defaults defaults
	query    model.EmbedQuery
	// asked is the most tokens of an answer that a row has asked for.
	asked int64
	// words are the names and short texts that rows have used, by how they
	// are written: rows are much alike, and need no string of their own for
	// each.
	words map[string]string
}

// What is kept of words: more of them, or longer ones, are no vocabulary.
const (
	maxWords = 256
	maxWord  = 64
)

// word is a short text, of what stands between the quotes of a JSON string.
func (s *Setting) word(quoted []byte) string {
	if w, ok := s.words[string(quoted)]; ok {
		return w
	}
	w := cursor.Unquote(quoted)
	if len(quoted) <= maxWord && len(s.words) < maxWords {
		if s.words == nil {
			s.words = map[string]string{}
		}
		s.words[string(quoted)] = w
	}
	return w
}

// name is a member's name.
func (s *Setting) name(decoded []byte) string {
	if bytes.IndexByte(decoded, '\\') >= 0 {
		return string(decoded)
	}
	return s.word(decoded)
}

// Rows appends the modelInput of a row that is not bad.
type Rows interface {
	Append(dst []byte, row *dataset.Row) ([]byte, *dataset.Bad)
}

var dialects = map[dataset.Format]Dialect{}

// Register adds a dialect. It is called while package variables are set up.
func Register(d Dialect) Dialect {
	dialects[d.Format] = d
	return d
}

// settingOf finds out how a workload's rows of a format are sent, and refuses
// what does not go together.
func settingOf(w workload.Workload, f dataset.Format) (*Setting, error) {
	s := &Setting{Workload: w, Family: FamilyOf(w), Base: baseOf(w), Invocation: Invocation(w, f)}
	s.Embeds = model.Embeds(s.Family)
	switch {
	case f == dataset.Native:
	case s.Embeds && s.Invocation == batch.Converse:
		return nil, fmt.Errorf("invocation %s with an embedding model: %w; leave invocation out, or set it to %s", workload.Converse, ErrShape, workload.InvokeModel)
	case s.Invocation == batch.Converse, s.Embeds:
	case dialects[f].New != nil && dialects[f].Native == s.Family:
	default:
		return nil, fmt.Errorf("rows in format %s with invocation %s: %w, only native rows, embeddings and requests in the model's own shape can", f, workload.InvokeModel, ErrShape)
	}
	s.defaults = defaultsOf(w)
	if s.Embeds {
		if err := s.query.SetFields(w.Additional); err != nil {
			return nil, fmt.Errorf("additional_model_request_fields: %w", err)
		}
	}
	return s, nil
}

// FamilyOf is the family of a workload's model: its own word, else what the
// model's id tells.
func FamilyOf(w workload.Workload) model.Family {
	if w.Family != "" {
		return model.Family(w.Family)
	}
	id, err := model.Parse(w.ResolvedModel())
	if err != nil {
		return ""
	}
	return id.Family
}

func baseOf(w workload.Workload) string {
	id, err := model.Parse(w.ResolvedModel())
	if err != nil {
		return ""
	}
	return id.Base
}

// Invocation is the shape of the records that rows of format f become where
// the workload does not say: InvokeModel for native rows, for embeddings and
// for requests that are in the model's own shape already, Converse else.
func Invocation(w workload.Workload, f dataset.Format) batch.Invocation {
	switch w.Invocation {
	case workload.Converse:
		return batch.Converse
	case workload.InvokeModel:
		return batch.InvokeModel
	}
	family := FamilyOf(w)
	d, foreign := dialects[f]
	switch {
	case f == dataset.Native, model.Embeds(family):
		return batch.InvokeModel
	case foreign && d.Native == family && d.Default != "":
		return d.Default
	}
	return batch.Converse
}

// NamesModels reports whether rows of a format may name the model they are for.
func NamesModels(f dataset.Format) bool {
	_, ok := dialects[f]
	return ok
}

// RowModel is the model that a row of another service's batch names; empty
// where it names none.
func RowModel(row *dataset.Row) string {
	if row.Bad != nil || len(row.ModelInput) == 0 {
		return ""
	}
	var c cursor.Cursor
	c.Reset(row.ModelInput)
	c.EnterObject()
	name := ""
	for member, ok := c.Member(); ok; member, ok = c.Member() {
		if string(member) == "model" {
			q, _ := c.String()
			name = cursor.Unquote(q)
		} else {
			c.Skip()
		}
	}
	return name
}

// ModelFor is the model that runs rows which name one: what models maps it to,
// else the workload's own.
func ModelFor(w workload.Workload, rowModel string) string {
	if target, ok := w.Models[rowModel]; ok && rowModel != "" {
		return target
	}
	return w.Model
}

// checkModel refuses a row that asks for another model than its upload runs
// on.
func (s *Setting) checkModel(name string) *dataset.Bad {
	w := &s.Workload
	if name == "" || name == w.Model {
		return nil
	}
	if target, ok := w.Models[name]; ok {
		if target == w.Model {
			return nil
		}
		return &dataset.Bad{Code: CodeOtherModel, Reason: fmt.Sprintf("the row asks for model %s, which runs on %s, and the upload's first row for one that runs on %s; put the rows of each model into a file of their own", short(name), target, w.Model)}
	}
	if w.RowModel == "" || name == w.RowModel {
		return nil
	}
	return &dataset.Bad{Code: CodeOtherModel, Reason: fmt.Sprintf("the row asks for model %s and the upload's first row for %s; put the rows of each model into a file of their own, or map both to one model under models", short(name), short(w.RowModel))}
}

// unsupported refuses a row for a member that its job cannot have.
func unsupported(name, why string) *dataset.Bad {
	return &dataset.Bad{Code: CodeUnsupported, Reason: fmt.Sprintf("%s %s", short(name), why)}
}

func badRequest(format string, args ...any) *dataset.Bad {
	return &dataset.Bad{Code: CodeBadRequest, Reason: fmt.Sprintf(format, args...)}
}

// short is a name of the user's that goes into a reason.
func short(name string) string {
	if len(name) > 80 {
		name = strings.ToValidUTF8(name[:80], "") + "..."
	}
	return name
}

// embed appends the body that asks for the vectors of texts, each the inside
// of a JSON string.
func (s *Setting) embed(dst []byte, texts [][]byte, dimensions int64) ([]byte, *dataset.Bad) {
	for _, text := range texts {
		if blankText(text) {
			return dst, &dataset.Bad{Code: dataset.CodeEmptyPrompt, Reason: "a text to embed is empty"}
		}
	}
	s.query.Texts, s.query.Dimensions = texts, dimensions
	out, err := model.AppendEmbed(dst, s.Family, s.Base, &s.query)
	var shape model.ShapeError
	if errors.As(err, &shape) {
		return dst, &dataset.Bad{Code: CodeUnsupported, Reason: string(shape)}
	}
	if err != nil {
		return dst, badRequest("%v", err)
	}
	return out, nil
}

// tooLarge checks the size of a body that was appended behind from.
func tooLarge(dst []byte, from int) *dataset.Bad {
	if size := len(dst) - from; size > dataset.MaxRow {
		return &dataset.Bad{Code: dataset.CodeRowTooLarge, Reason: fmt.Sprintf("the request made of the row has %d bytes, the limit is %d", size, dataset.MaxRow)}
	}
	return nil
}
