package model

import (
	"bytes"

	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

// openAIProviders answer with choices: chat completions.
var openAIProviders = map[string]bool{
	"ai21": true, "deepseek": true, "google": true, "minimax": true, "moonshot": true, "moonshotai": true,
	"nvidia": true, "openai": true, "qwen": true, "writer": true, "zai": true,
}

// OpenAI is the shape of chat completions, which most newer providers have, and
// of text completions (DeepSeek R1).
var OpenAI = Register(Shape{
	Family: "openai",
	Models: "gpt-oss, Qwen, DeepSeek (both forms), newer Mistral, Gemma, MiniMax, Moonshot, Nemotron, Z.AI, AI21, Writer",
	Owns: func(provider, base string) bool {
		return openAIProviders[provider] || provider == "mistral" && !isMistralPrompt(base)
	},
	Member: func(a *Answer, name []byte, c *cursor.Cursor) bool {
		switch string(name) {
		case "choices":
			if c.EnterArray() {
				for first := true; c.Element(); first = false {
					if !first {
						c.Skip()
						continue
					}
					openAIChoice(a, c)
				}
			}
		case "usage":
			a.ReadUsage(c, "prompt_tokens", "completion_tokens")
		default:
			return false
		}
		return true
	},
	Finish: func(a *Answer) string {
		if !a.Seen {
			return "choices holds neither message nor text"
		}
		if a.refused {
			a.Stop = Refusal // the stop reason beside it is just stop
		}
		a.splitReasoning()
		return ""
	},
})

func openAIChoice(a *Answer, c *cursor.Cursor) {
	if !c.EnterObject() {
		return
	}
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		switch string(name) {
		case "message":
			openAIMessage(a, c)
		case "text":
			if q, ok := c.String(); ok {
				a.Seen, a.completion = true, true
				a.AddText(q)
			}
		case "finish_reason", "stop_reason":
			// Models differ in which they fill; the other may be null.
			if c.Kind() == '"' {
				a.ReadStop(c)
			} else {
				c.Skip()
			}
		default:
			c.Skip()
		}
	}
}

func openAIMessage(a *Answer, c *cursor.Cursor) {
	if !c.EnterObject() {
		return
	}
	a.Seen = true
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		switch string(name) {
		case "content":
			switch c.Kind() {
			case '"':
				q, _ := c.String()
				a.AddText(q)
			case '[':
				c.EnterArray()
				for c.Element() {
					openAIPart(a, c)
				}
			default: // null beside tool calls
				c.Skip()
			}
		case "refusal":
			if q, ok := c.String(); ok && len(q) > 0 {
				a.AddText(q)
				a.refused = true
			}
		case "reasoning_content", "reasoning":
			if q, ok := c.String(); ok && len(a.Reasoning) == 0 {
				a.AddReasoning(q)
			}
		case "tool_calls":
			if c.EnterArray() {
				for c.Element() {
					a.AddTool(c.Raw())
				}
			}
		default:
			c.Skip()
		}
	}
}

func openAIPart(a *Answer, c *cursor.Cursor) {
	if !c.EnterObject() {
		return
	}
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		if string(name) != "text" {
			c.Skip()
			continue
		}
		if q, ok := c.String(); ok {
			a.AddText(q)
		}
	}
}

// thoughts are the tags between which models write what they think at the front
// of the text: gpt-oss, and DeepSeek, Qwen and others.
var thoughts = []struct{ open, closing string }{{"<reasoning>", "</reasoning>"}, {"<think>", "</think>"}}

// splitReasoning takes what the model thought off the front of the text. It may
// be all there is, where the answer was cut. The tags may be written with
// escapes.
func (a *Answer) splitReasoning() {
	if len(a.Text) == 0 || !a.completion && a.Text[0] != '<' && a.Text[0] != '\\' && a.Text[0] != ' ' {
		return
	}
	text := trimBlank(a.Text)
	if bytes.HasPrefix(text, []byte(`\u003`)) {
		text = cursor.AppendQuoted(nil, cursor.Unquote(text))
	}
	for _, t := range thoughts {
		inside, ok := bytes.CutPrefix(text, []byte(t.open))
		if !ok {
			continue
		}
		reasoning, rest, closed := bytes.Cut(inside, []byte(t.closing))
		if !closed && a.Stop != MaxTokens {
			return
		}
		a.split(reasoning, rest)
		return
	}
	// Prompts for R1 end with the opening tag.
	if a.completion {
		if reasoning, rest, ok := bytes.Cut(text, []byte("</think>")); ok {
			a.split(reasoning, rest)
		}
	}
}

func (a *Answer) split(reasoning, rest []byte) {
	if len(trimBlank(reasoning)) > 0 {
		a.AddReasoning(reasoning)
	}
	a.Text = trimBlank(rest)
}

// trimBlank drops the white space at the beginning of what stands between the
// quotes of a JSON string.
func trimBlank(text []byte) []byte {
	for {
		switch {
		case bytes.HasPrefix(text, []byte(" ")):
			text = text[1:]
		case bytes.HasPrefix(text, []byte(`\n`)), bytes.HasPrefix(text, []byte(`\r`)), bytes.HasPrefix(text, []byte(`\t`)):
			text = text[2:]
		default:
			return text
		}
	}
}
