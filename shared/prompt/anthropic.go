package prompt

import (
	"strconv"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

var _ = Register(Dialect{
	Format: dataset.Anthropic, Native: model.Anthropic, Default: batch.InvokeModel,
	New: func(s *Setting) Rows { return &anthropic{Setting: s} },
})

// anthropic renders the params of Anthropic message batch lines.
type anthropic struct {
	*Setting
	c, inner cursor.Cursor
	talk     talk
}

func (a *anthropic) Append(dst []byte, row *dataset.Row) ([]byte, *dataset.Bad) {
	switch {
	case a.Embeds:
		return dst, unsupported("params", "ask for a message, and the model answers in vectors")
	case a.Invocation == batch.InvokeModel:
		return a.asWritten(dst, row.ModelInput, `"anthropic_version":"bedrock-2023-05-31"`)
	}
	return a.message(dst, row.ModelInput)
}

// asWritten copies a request that is in the model's own shape, without the
// members that name the model and the way of delivery, and with one more where
// the request lacks it.
func (s *Setting) asWritten(dst, body []byte, version string) ([]byte, *dataset.Bad) {
	var c cursor.Cursor
	c.Reset(body)
	c.EnterObject()
	dst = append(dst, '{')
	first, versioned, limited := true, version == "", false
	add := func(member []byte) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = dataset.Value{Raw: member}.AppendJSON(dst)
	}
	for {
		mark := c.Mark()
		name, ok := c.Member()
		if !ok {
			break
		}
		switch member := s.name(name); member {
		case "model":
			q, ok := c.String()
			if !ok {
				return dst, badRequest("model is no text")
			}
			if bad := s.checkModel(s.word(q)); bad != nil {
				return dst, bad
			}
		case "stream":
			if string(c.Raw()) == "true" {
				return dst, unsupported(member, "makes no sense in a batch")
			}
		case "service_tier", "metadata", "user", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "stream_options":
			c.Skip() // the other service's own affairs
		case "anthropic_version":
			versioned = true
			c.Skip()
			add(c.Since(mark))
		case "max_tokens", "max_completion_tokens":
			limited = true
			if n, ok := c.Int(); ok {
				s.asked = max(s.asked, n)
			}
			add(c.Since(mark))
		default:
			c.Skip()
			add(c.Since(mark))
		}
	}
	if c.Err() != nil {
		return dst, badRequest("the request cannot be read")
	}
	if !versioned {
		add([]byte(version))
	}
	if n := s.defaults.maxTokens; !limited && n > 0 {
		add(strconv.AppendInt([]byte(`"max_tokens":`), n, 10))
	}
	return append(dst, '}'), nil
}

// message renders params as a Converse body, for models of other families.
func (a *anthropic) message(dst, body []byte) ([]byte, *dataset.Bad) {
	a.talk.reset()
	c := &a.c
	c.Reset(body)
	c.EnterObject()
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		member := a.name(name)
		if c.Kind() == 'n' {
			c.Skip()
			continue
		}
		var bad *dataset.Bad
		switch member {
		case "model":
			q, ok := c.String()
			if !ok {
				return dst, badRequest("model is no text")
			}
			bad = a.checkModel(a.word(q))
		case "messages":
			if c.Kind() != '[' {
				return dst, badRequest("messages is no list")
			}
			c.EnterArray()
			for bad == nil && c.Element() {
				bad = a.turn(c.Raw())
			}
		case "system":
			bad = a.content(c.Raw(), true)
		case "max_tokens":
			n, ok := c.Int()
			if !ok || n < 1 {
				return dst, badRequest("max_tokens is no whole number from 1")
			}
			a.talk.own.maxTokens = n
		case "temperature":
			a.talk.own.temperature, bad = fraction(member, c.Raw(), a.talk.own.temperature)
		case "top_p":
			a.talk.own.topP, bad = fraction(member, c.Raw(), a.talk.own.topP)
		case "stop_sequences":
			if c.Kind() != '[' {
				return dst, badRequest("stop_sequences is no list")
			}
			c.EnterArray()
			for c.Element() {
				q, ok := c.String()
				if !ok {
					return dst, badRequest("stop_sequences holds what is no text")
				}
				a.talk.stop(q)
			}
		case "metadata", "service_tier":
			c.Skip()
		case "stream":
			if string(c.Raw()) != "false" {
				bad = unsupported(member, "makes no sense in a batch")
			}
		case "thinking":
			if plain(c.Raw()) != `{"type":"disabled"}` {
				bad = unsupported(member, "is for models of the anthropic family; take it out")
			}
		case "cache_control":
			c.Skip() // jobs do not cache
		case "tools", "tool_choice":
			if string(c.Raw()) != "[]" {
				bad = unsupported(member, "are refused by Converse jobs; a model of the anthropic family takes them")
			}
		default:
			bad = unsupported(member, "is for models of the anthropic family; take it out")
		}
		if bad != nil {
			return dst, bad
		}
	}
	if c.Err() != nil {
		return dst, badRequest("params cannot be read")
	}
	return a.talk.append(dst, a.Setting)
}

func (a *anthropic) turn(raw []byte) *dataset.Bad {
	c := &a.inner
	c.Reset(raw)
	if !c.EnterObject() {
		return badRequest("a message is no object")
	}
	var role string
	var content []byte
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		switch member := a.name(name); member {
		case "role":
			q, _ := c.String()
			role = a.word(q)
		case "content":
			content = c.Raw()
		default:
			return unsupported("messages."+member, "is not supported; take it out")
		}
	}
	if role != "user" && role != "assistant" {
		return badRequest("a message has no known role")
	}
	a.talk.role = role
	return a.content(content, false)
}

// content reads a text or a list of blocks.
func (a *anthropic) content(raw []byte, system bool) *dataset.Bad {
	c := &a.inner
	c.Reset(raw)
	add := a.talk.text
	if system {
		add = a.talk.system
	}
	switch c.Kind() {
	case '"':
		q, _ := c.String()
		add(q)
		return nil
	case '[':
		c.EnterArray()
		for c.Element() {
			if bad := a.block(c, system, add); bad != nil {
				return bad
			}
		}
		return nil
	}
	return badRequest("content is neither text nor a list of blocks")
}

func (a *anthropic) block(c *cursor.Cursor, system bool, add func([]byte)) *dataset.Bad {
	if !c.EnterObject() {
		return badRequest("a block of content is no object")
	}
	var kind, from, mediaType, data, title, other string
	var quoted []byte
	cites := false
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		if c.Kind() == 'n' {
			c.Skip()
			continue
		}
		switch member := a.name(name); member {
		case "type":
			q, _ := c.String()
			kind = a.word(q)
		case "text":
			quoted, _ = c.String()
		case "source":
			if !c.EnterObject() {
				continue
			}
			for name, ok := c.Member(); ok; name, ok = c.Member() {
				q, _ := c.String()
				switch string(name) {
				case "type":
					from = a.word(q)
				case "media_type":
					mediaType = a.word(q)
				case "data":
					data = cursor.Unquote(q)
				}
			}
		case "title":
			q, _ := c.String()
			title = cursor.Unquote(q)
		case "cache_control":
			c.Skip()
		case "citations":
			cites = plain(c.Raw()) != `{"enabled":false}`
		default:
			other = member
			c.Skip()
		}
	}
	if cites && kind == "document" { // of a text: where an earlier answer had it from
		other = "citations"
	}
	switch {
	case kind != "text" && kind != "image" && kind != "document":
		return unsupported("block "+kind, "is for models of the anthropic family; text, image and document are read")
	case other != "":
		return unsupported(kind+"."+other, "is for models of the anthropic family; take it out")
	case kind == "text":
		add(quoted)
		return nil
	case system:
		return unsupported("block "+kind, "cannot stand in a system prompt")
	case kind == "document" && from == "text":
		add(cursor.AppendQuoted(nil, data))
		return nil
	}
	m, ok := mediaTypes[mediaType]
	if from != "base64" || !ok || m.Block != kind || data == "" {
		return unsupported("block "+kind, "must hold its data in base64: a job fetches nothing from the web; known are "+mediaNames)
	}
	return a.talk.file(a.Setting, m, data, title)
}

// fraction takes a number from 0 to 1 as it is written.
func fraction(member string, raw, into []byte) ([]byte, *dataset.Bad) {
	v, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return into, badRequest("%s is no number", member)
	}
	if v < 0 || v > 1 {
		return into, unsupported(member, "goes from 0 to 1 here")
	}
	return append(into[:0], raw...), nil
}
