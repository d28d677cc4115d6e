// Package prompt makes the modelInput of a record out of a row: the prompt
// template filled with the row's members, wrapped as a Converse request body;
// or, for native rows, the bytes as the user wrote them.
package prompt

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// ErrShape: rows of this format cannot become records of the invocation that
// the workload asks for.
var ErrShape = errors.New("cannot be rendered")

// Renderer makes modelInputs. It is not safe for concurrent use.
type Renderer struct {
	native bool
	// bare: there is no template, the one piece is the row's own prompt.
	bare    bool
	pieces  []span
	setting *Setting
	// rows renders rows that hold requests of another service.
	rows Rows
	// embeds is set for embedding models, whose body is made around the text.
	embeds *Setting
	text   []byte
	// before and behind stand around the text of each prompt.
	before, behind []byte
	bad            dataset.Bad
}

// span is a piece of the template ready to be written into a JSON string.
type span struct {
	piece
	escaped []byte // of literal text, or of what the piece writes as text
	plain   []byte // of a doubled name, what it writes where it is a name
	blank   bool
}

// NewRenderer prepares the rendering of rows of format f under the settings w.
// Native rows pass as they are, and so do requests that are in the model's own
// shape already. Requests of other services, and all prompts, become Converse
// bodies, or for embedding models the bodies of their families. Prompts are
// made by the template if there is one, else from what stands under "prompt",
// and text documents from their content.
func NewRenderer(w workload.Workload, f dataset.Format) (*Renderer, error) {
	s, err := settingOf(w, f)
	if err != nil {
		return nil, err
	}
	if f == dataset.Native {
		return &Renderer{native: true}, nil
	}
	if d, ok := dialects[f]; ok {
		return &Renderer{rows: d.New(s), setting: s}, nil
	}
	r := &Renderer{setting: s}
	template := w.TemplateText()
	if template == "" {
		r.bare = true
		name := "prompt"
		if f.Whole() {
			name = "content"
		}
		r.pieces = []span{{piece: piece{name: name, firm: true}}}
	} else {
		for _, p := range split(template) {
			r.pieces = append(r.pieces, prepare(p))
		}
	}
	if f == dataset.Media && (s.Embeds || r.bare) {
		if s.Embeds {
			return nil, fmt.Errorf("documents and images for an embedding model: %w, only texts can", ErrShape)
		}
		return nil, fmt.Errorf("documents and images without a prompt_template, which says what to ask about them: %w", ErrShape)
	}
	if f.Whole() {
		for _, p := range r.pieces {
			if p.firm && !p.doubled && p.name != "content" {
				return nil, fmt.Errorf("prompt template: a document has no %q, only \"content\"; write {{%s}} for a literal {%s}: %w", p.name, p.name, p.name, ErrShape)
			}
		}
	}
	if s.Embeds {
		r.embeds = s
		return r, nil
	}
	r.before = []byte(`{"messages":[{"role":"user","content":[`)
	r.behind = s.defaults.append([]byte(`"}]}]`))
	return r, nil
}

func prepare(p piece) span {
	s := span{piece: p, escaped: escape(p.written())}
	if p.name == "" {
		s.blank = dataset.Value{Raw: []byte(p.text), Text: true}.Blank()
	}
	if p.doubled {
		s.plain = escape(p.literal())
	}
	return s
}

func escape(s string) []byte {
	return dataset.Value{Raw: []byte(s), Text: true}.AppendEscaped(nil)
}

// Append appends the row's modelInput to dst. A row that cannot be rendered
// leaves dst as it was and says why; the verdict is valid until the next
// call. Text that stands in the row as a JSON string keeps its escapes.
func (r *Renderer) Append(dst []byte, row *dataset.Row) ([]byte, *dataset.Bad) {
	if row.Bad != nil {
		return dst, row.Bad
	}
	if r.native {
		return append(dst, row.ModelInput...), nil
	}
	from, empty := len(dst), true
	if r.rows != nil {
		dst, bad := r.rows.Append(dst, row)
		if bad == nil {
			bad = tooLarge(dst, from)
		}
		if bad != nil {
			return dst[:from], bad
		}
		return dst, nil
	}
	if r.embeds == nil {
		dst = append(dst, r.before...)
		if row.Media != "" {
			m := fileOf(row)
			if bad := r.setting.checkFile(m, len(row.Raw), bytes.NewReader(row.Raw)); bad != nil {
				return dst[:from], bad
			}
			dst = append(appendMedia(dst, m, row.Raw), ',')
		}
		dst = append(dst, `{"text":"`...)
	}
	for i := range r.pieces {
		p := &r.pieces[i]
		if p.name == "" {
			dst = append(dst, p.escaped...)
			empty = empty && p.blank
			continue
		}
		v, ok := row.Lookup(p.name)
		ok = ok && !v.Null()
		switch {
		case ok && p.doubled:
			dst = append(dst, p.plain...)
			empty = false
		case ok && r.bare && !v.IsString():
			return dst[:from], r.reject(dataset.CodeNoPrompt, fmt.Sprintf("what stands under %q is no text", p.name))
		case ok:
			dst = v.AppendEscaped(dst)
			empty = empty && v.Blank()
		case p.firm:
			return dst[:from], r.missing(p)
		default:
			dst = append(dst, p.escaped...)
			empty = false
		}
	}
	if empty {
		return dst[:from], r.reject(dataset.CodeEmptyPrompt, "the prompt is empty")
	}
	if r.embeds != nil {
		r.text = append(r.text[:0], dst[from:]...)
		var bad *dataset.Bad
		if dst, bad = r.embeds.embed(dst[:from], [][]byte{r.text}, 0); bad != nil {
			return dst[:from], bad
		}
	} else {
		dst = append(dst, r.behind...)
	}
	if bad := tooLarge(dst, from); bad != nil {
		return dst[:from], bad
	}
	return dst, nil
}

func (r *Renderer) missing(p *span) *dataset.Bad {
	if r.bare {
		return r.reject(dataset.CodeNoPrompt, fmt.Sprintf("the row has no %q, and the workload has no prompt_template", p.name))
	}
	return r.reject(dataset.CodeNameMissing, fmt.Sprintf("the row has no %q, which the prompt template asks for; to have the text {%s} itself in the prompt write {{%s}}", p.name, p.name, p.name))
}

func (r *Renderer) reject(code, reason string) *dataset.Bad {
	r.bad = dataset.Bad{Code: code, Reason: reason}
	return &r.bad
}

// MaxTokens is the longest answer, in tokens, that any row rendered so far has
// asked for by itself; 0 where none has.
func (r *Renderer) MaxTokens() int64 {
	if r.setting == nil {
		return 0
	}
	return r.setting.asked
}

// Names are the names that every row must have, in the order of the template,
// each once; none for native rows. They can be compared with a table's header
// before any row is read.
func (r *Renderer) Names() []string {
	var names []string
	for i := range r.pieces {
		if p := &r.pieces[i]; p.firm && !p.doubled && !slices.Contains(names, p.name) {
			names = append(names, p.name)
		}
	}
	return names
}

// CheckColumns refuses a table whose header lacks names that the template asks
// for, as no row of it could be rendered.
func (r *Renderer) CheckColumns(columns []string) error {
	for _, name := range r.Names() {
		if !slices.Contains(columns, name) {
			return fmt.Errorf("%w: %s; the columns are %q", ErrShape, r.missing(&span{piece: piece{name: name}}).Reason, columns)
		}
	}
	return nil
}
