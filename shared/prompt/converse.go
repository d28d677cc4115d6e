package prompt

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// defaults are what a workload says beside the prompt, ready for the body of a
// Converse request.
type defaults struct {
	system      []byte // blocks
	maxTokens   int64
	temperature []byte // a number
	topP        []byte
	stops       []byte // strings
	additional  []byte // an object
}

func defaultsOf(w workload.Workload) defaults {
	var d defaults
	if system := w.SystemText(); system != "" {
		d.system = append(append(append(d.system, `{"text":"`...), escape(system)...), `"}`...)
	}
	if i := w.Inference; i != nil {
		d.maxTokens = int64(w.MaxTokens())
		if i.Temperature != nil {
			d.temperature = strconv.AppendFloat(nil, *i.Temperature, 'f', -1, 64)
		}
		if i.TopP != nil {
			d.topP = strconv.AppendFloat(nil, *i.TopP, 'f', -1, 64)
		}
		for n, s := range i.StopSequences {
			if n > 0 {
				d.stops = append(d.stops, ',')
			}
			d.stops = append(append(append(d.stops, '"'), escape(s)...), '"')
		}
	}
	if len(w.Additional) > 0 {
		d.additional = dataset.Value{Raw: w.Additional}.AppendJSON(nil)
	}
	return d
}

// append appends what follows messages in the body, its closing brace included.
func (d *defaults) append(dst []byte) []byte {
	if len(d.system) > 0 {
		dst = append(append(append(dst, `,"system":[`...), d.system...), ']')
	}
	config := len(dst)
	dst = append(dst, `,"inferenceConfig":{`...)
	first := len(dst)
	member := func(name string) {
		if len(dst) > first {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), name...), '"', ':')
	}
	if d.maxTokens > 0 {
		member("maxTokens")
		dst = strconv.AppendInt(dst, d.maxTokens, 10)
	}
	if len(d.temperature) > 0 {
		member("temperature")
		dst = append(dst, d.temperature...)
	}
	if len(d.topP) > 0 {
		member("topP")
		dst = append(dst, d.topP...)
	}
	if len(d.stops) > 0 {
		member("stopSequences")
		dst = append(append(append(dst, '['), d.stops...), ']')
	}
	if len(dst) == first {
		dst = dst[:config]
	} else {
		dst = append(dst, '}')
	}
	if len(d.additional) > 0 {
		dst = append(append(dst, `,"additionalModelRequestFields":`...), d.additional...)
	}
	return append(dst, '}')
}

// talk is the body of a Converse request under construction, of a row that
// holds a conversation of its own.
type talk struct {
	own      defaults // the row's own settings
	messages []byte
	role     string // of the message at hand
	open     string // of the message that has blocks already

	// Of the whole request, and of the message that is open.
	files, documents int
	names            []string // of documents
	images           int
	// spoken: the open message has a text. unexplained: it has a document and
	// no text so far. lonely: one before ended so.
	spoken, unexplained, lonely bool
}

func (t *talk) reset() {
	*t = talk{
		own:      defaults{system: t.own.system[:0], temperature: t.own.temperature[:0], topP: t.own.topP[:0], stops: t.own.stops[:0]},
		messages: t.messages[:0],
		names:    t.names[:0],
	}
}

// block begins a content block. Messages of one role after the other are one,
// since roles must take turns.
func (t *talk) block() {
	switch {
	case t.open == t.role:
		t.messages = append(t.messages, ',')
		return
	case t.open != "":
		t.messages = append(t.messages, ']', '}', ',')
	}
	t.lonely = t.lonely || t.unexplained
	t.open, t.images, t.spoken, t.unexplained = t.role, 0, false, false
	t.messages = append(append(append(t.messages, `{"role":"`...), t.role...), `","content":[`...)
}

// text adds a block of text, as it stands between the quotes of a JSON string.
// Blank ones are left out: they are refused by the service.
func (t *talk) text(quoted []byte) {
	if blankText(quoted) {
		return
	}
	t.block()
	t.spoken, t.unexplained = true, false
	t.messages = append(append(append(t.messages, `{"text":"`...), quoted...), `"}`...)
}

// system adds a system text.
func (t *talk) system(quoted []byte) {
	if blankText(quoted) {
		return
	}
	if len(t.own.system) > 0 {
		t.own.system = append(t.own.system, ',')
	}
	t.own.system = append(append(append(t.own.system, `{"text":"`...), quoted...), `"}`...)
}

// stop adds stop sequences: a string's inside.
func (t *talk) stop(quoted []byte) {
	if len(t.own.stops) > 0 {
		t.own.stops = append(t.own.stops, ',')
	}
	t.own.stops = append(append(append(t.own.stops, '"'), quoted...), '"')
}

// append appends the whole body. What the row does not say is taken from the
// workload, whose max_tokens no row exceeds.
func (t *talk) append(dst []byte, s *Setting) ([]byte, *dataset.Bad) {
	w := &s.defaults
	if t.open == "" {
		return dst, &dataset.Bad{Code: dataset.CodeEmptyPrompt, Reason: "no message holds anything"}
	}
	if !bytes.HasPrefix(t.messages, []byte(`{"role":"user"`)) {
		return dst, &dataset.Bad{Code: CodeBadRequest, Reason: "a conversation begins with a message of the user"}
	}
	if t.lonely || t.unexplained {
		return dst, unsupported("document", "must stand in a message that holds a text too")
	}
	d := t.own
	if len(d.system) == 0 {
		d.system = w.system
	}
	if d.maxTokens == 0 || w.maxTokens > 0 && w.maxTokens < d.maxTokens {
		d.maxTokens = w.maxTokens
	}
	s.asked = max(s.asked, d.maxTokens)
	if len(d.temperature) == 0 {
		d.temperature = w.temperature
	}
	if len(d.topP) == 0 {
		d.topP = w.topP
	}
	if len(d.stops) == 0 {
		d.stops = w.stops
	}
	if len(d.additional) == 0 {
		d.additional = w.additional
	}
	dst = append(append(append(dst, `{"messages":[`...), t.messages...), `]}]`...)
	return d.append(dst), nil
}

// blankText reports whether the inside of a JSON string is white space.
func blankText(quoted []byte) bool {
	if len(quoted) == 0 {
		return true
	}
	if c := quoted[0]; c > ' ' && c != '\\' && c < utf8.RuneSelf {
		return false // as nearly every text
	}
	return len(quoted) < 4096 && strings.TrimSpace(cursor.Unquote(quoted)) == ""
}
