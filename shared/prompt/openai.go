package prompt

import (
	"math"
	"strconv"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

var _ = Register(Dialect{
	Format: dataset.OpenAI, Native: model.OpenAI,
	New: func(s *Setting) Rows { return &openAI{Setting: s} },
})

// openAI renders the bodies of OpenAI batch lines.
type openAI struct {
	*Setting
	c, inner cursor.Cursor
	talk     talk
	texts    [][]byte
}

// The endpoints whose bodies are read.
const (
	chatURL       = "/v1/chat/completions"
	embeddingsURL = "/v1/embeddings"
)

func (o *openAI) Append(dst []byte, row *dataset.Row) ([]byte, *dataset.Bad) {
	if method, ok := o.text(row, "method"); ok && method != "POST" {
		return dst, unsupported("method "+method, "is not POST")
	}
	want := chatURL
	if o.Embeds {
		want = embeddingsURL
	}
	if url, ok := o.text(row, "url"); ok && url != want {
		if url != chatURL && url != embeddingsURL {
			return dst, unsupported("url "+url, "is not read; "+chatURL+" and "+embeddingsURL+" are")
		}
		return dst, unsupported("url "+url, "does not go with the model, which is for "+want)
	}
	switch {
	case o.Embeds:
		return o.embedding(dst, row.ModelInput)
	case o.Invocation == batch.InvokeModel:
		return o.asWritten(dst, row.ModelInput, "")
	}
	return o.chat(dst, row.ModelInput)
}

// text is a member of the row that is text.
func (s *Setting) text(row *dataset.Row, name string) (string, bool) {
	v, ok := row.Lookup(name)
	if !ok || !v.IsString() || len(v.Raw) < 2 {
		return "", false
	}
	return s.word(v.Raw[1 : len(v.Raw)-1]), true
}

// without are members of a chat completion that change nothing about its
// answer here.
var without = map[string]bool{
	"user": true, "metadata": true, "store": true, "service_tier": true, "safety_identifier": true,
	"prompt_cache_key": true, "prompt_cache_retention": true, "stream_options": true, "parallel_tool_calls": true,
}

// neutral are the values with which members that are not mapped ask for
// nothing.
var neutral = map[string][]string{
	"stream": {"false"}, "n": {"1"}, "presence_penalty": {"0"}, "frequency_penalty": {"0"},
	"logprobs": {"false"}, "top_logprobs": {"0"}, "logit_bias": {"{}"}, "tools": {"[]"}, "functions": {"[]"},
	"tool_choice": {`"none"`, `"auto"`}, "function_call": {`"none"`, `"auto"`}, "modalities": {`["text"]`},
	"verbosity": {`"medium"`},
}

// advice says what to do about members that are refused.
var advice = map[string]string{
	"tools":            "are refused by Converse jobs; with a model of the openai family set invocation: invoke-model",
	"functions":        "are refused by Converse jobs; with a model of the openai family set invocation: invoke-model",
	"stream":           "makes no sense in a batch",
	"n":                "other than 1 cannot be had; write the row several times",
	"audio":            "cannot be had: jobs answer in text",
	"seed":             "cannot be had from Converse; take it out",
	"reasoning_effort": "has no place in Converse; set it under additional_model_request_fields as the model takes it",
}

func (o *openAI) chat(dst []byte, body []byte) ([]byte, *dataset.Bad) {
	o.talk.reset()
	c := &o.c
	c.Reset(body)
	c.EnterObject()
	limited := false // by max_completion_tokens, which counts more
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		member := o.name(name)
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
			bad = o.checkModel(o.word(q))
		case "messages":
			bad = o.messages(c)
		case "max_tokens", "max_completion_tokens":
			n, ok := c.Int()
			if !ok || n < 1 {
				return dst, badRequest("%s is no whole number from 1", member)
			}
			if member == "max_completion_tokens" || !limited {
				o.talk.own.maxTokens = n
			}
			limited = limited || member == "max_completion_tokens"
		case "temperature":
			o.talk.own.temperature, bad = o.number(c, member, o.talk.own.temperature)
		case "top_p":
			o.talk.own.topP, bad = o.number(c, member, o.talk.own.topP)
		case "stop":
			bad = o.stop(c)
		case "response_format":
			bad = o.responseFormat(c.Raw())
		case "input":
			bad = unsupported(member, "asks for an embedding, and the model answers in text")
		default:
			bad = passOver(member, c.Raw())
		}
		if bad != nil {
			return dst, bad
		}
	}
	if c.Err() != nil {
		return dst, badRequest("the body cannot be read")
	}
	return o.talk.append(dst, o.Setting)
}

// passOver accepts a member that is not mapped if it asks for nothing.
func passOver(member string, value []byte) *dataset.Bad {
	if without[member] {
		return nil
	}
	said := plain(value)
	for _, v := range neutral[member] {
		if said == v {
			return nil
		}
	}
	why := advice[member]
	if why == "" {
		why = "is not supported in a batch job of this kind; take it out"
	}
	return unsupported(member, why)
}

// plain is a short value without white space, and a number in its plainest
// form.
func plain(value []byte) string {
	if len(value) > 32 {
		return ""
	}
	if n, err := strconv.ParseFloat(string(value), 64); err == nil {
		return strconv.FormatFloat(math.Abs(n), 'g', -1, 64)
	}
	return strings.Join(strings.Fields(string(value)), "")
}

// number reads a number from 0 to 1 as it is written.
func (o *openAI) number(c *cursor.Cursor, member string, into []byte) ([]byte, *dataset.Bad) {
	if c.Kind() != '0' {
		return into, badRequest("%s is no number", member)
	}
	return fraction(member, c.Raw(), into)
}

func (o *openAI) stop(c *cursor.Cursor) *dataset.Bad {
	switch c.Kind() {
	case '"':
		q, _ := c.String()
		o.talk.stop(q)
		return nil
	case '[':
		c.EnterArray()
		for c.Element() {
			q, ok := c.String()
			if !ok {
				return badRequest("stop holds what is no text")
			}
			o.talk.stop(q)
		}
		return nil
	}
	return badRequest("stop is neither text nor a list of texts")
}

// responseFormat lets structured answers pass where the workload checks them:
// Converse jobs have no setting for them.
func (o *openAI) responseFormat(value []byte) *dataset.Bad {
	o.inner.Reset(value)
	o.inner.EnterObject()
	kind := ""
	for name, ok := o.inner.Member(); ok; name, ok = o.inner.Member() {
		if string(name) == "type" {
			q, _ := o.inner.String()
			kind = o.word(q)
		} else {
			o.inner.Skip()
		}
	}
	switch {
	case kind == "text", o.Workload.JSON() && (kind == "json_object" || kind == "json_schema"):
		return nil
	case kind == "json_object" || kind == "json_schema":
		return unsupported("response_format "+kind, "cannot be asked of a Converse job; set output.json in the workload, ask for JSON in the prompt, and answers that are none fail by themselves")
	}
	return unsupported("response_format", "is of no known type")
}

func (o *openAI) messages(c *cursor.Cursor) *dataset.Bad {
	if c.Kind() != '[' {
		return badRequest("messages is no list")
	}
	c.EnterArray()
	for c.Element() {
		if c.Kind() != '{' {
			return badRequest("a message is no object")
		}
		if bad := o.message(c.Raw()); bad != nil {
			return bad
		}
	}
	return nil
}

// message reads one message. Its role may stand behind its content.
func (o *openAI) message(raw []byte) *dataset.Bad {
	c := &o.inner
	c.Reset(raw)
	c.EnterObject()
	var role string
	var content []byte
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		if c.Kind() == 'n' {
			c.Skip()
			continue
		}
		switch member := o.name(name); member {
		case "role":
			q, _ := c.String()
			role = o.word(q)
		case "content":
			content = c.Raw()
		case "refusal":
			if content == nil {
				content = c.Raw()
			} else {
				c.Skip()
			}
		case "tool_calls", "tool_call_id", "function_call":
			if value := c.Raw(); string(value) != "[]" {
				return unsupported("messages."+member, advice["tools"])
			}
		default:
			return unsupported("messages."+member, "is not supported; take it out")
		}
	}
	system := false
	switch role {
	case "system", "developer":
		system = true
	case "user", "assistant":
		o.talk.role = role
	case "tool", "function":
		return unsupported("role "+role, advice["tools"])
	default:
		return badRequest("a message has no known role")
	}
	if len(content) == 0 {
		return nil
	}
	c.Reset(content)
	switch c.Kind() {
	case '"':
		q, _ := c.String()
		if system {
			o.talk.system(q)
		} else {
			o.talk.text(q)
		}
		return nil
	case '[':
		c.EnterArray()
		for c.Element() {
			if bad := o.part(c, system); bad != nil {
				return bad
			}
		}
		return nil
	}
	return badRequest("a message's content is neither text nor a list of parts")
}

// part reads one part of a message. Its type may stand behind its content.
func (o *openAI) part(c *cursor.Cursor, system bool) *dataset.Bad {
	if !c.EnterObject() {
		return badRequest("a part of a message is no object")
	}
	var kind, url, title, other string
	var quoted []byte
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		switch member := o.name(name); member {
		case "type":
			q, _ := c.String()
			kind = o.word(q)
		case "text", "refusal":
			quoted, _ = c.String()
		case "image_url", "file":
			if c.Kind() == '"' {
				q, _ := c.String()
				url = cursor.Unquote(q)
				continue
			}
			if !c.EnterObject() {
				continue
			}
			for name, ok := c.Member(); ok; name, ok = c.Member() {
				switch inner := o.name(name); inner {
				case "url", "file_data":
					q, _ := c.String()
					url = cursor.Unquote(q)
				case "filename":
					q, _ := c.String()
					title = cursor.Unquote(q)
				case "detail", "format": // of images, how closely to look: the model decides
					c.Skip()
				default:
					other = member + "." + inner
					c.Skip()
				}
			}
		case "cache_control":
			c.Skip()
		default:
			other = member
			c.Skip()
		}
	}
	switch {
	case system && kind != "text":
		return unsupported("part "+kind, "cannot stand in a system message")
	case kind != "text" && kind != "refusal" && kind != "image_url" && kind != "file":
		return unsupported("part "+kind, "is not supported; text, image_url and file are")
	case other == "file.file_id":
		return unsupported(other, "names a file of the other service; write its data as file_data")
	case other != "":
		return unsupported("part "+other, "is not supported; take it out")
	case system:
		o.talk.system(quoted)
		return nil
	case kind == "text", kind == "refusal":
		o.talk.text(quoted)
		return nil
	}
	m, data, ok := dataURL(url)
	if !ok {
		return unsupported("part "+kind, "must hold its data as a base64 data URL: a job fetches nothing from the web; known are "+mediaNames)
	}
	return o.talk.file(o.Setting, m, data, title)
}
