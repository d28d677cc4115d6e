package model

import "github.com/bedrock-batch/bedrock-batch/shared/model/cursor"

// Anthropic is the messages shape of Claude models.
var Anthropic = Register(Shape{
	Family: "anthropic",
	Models: "Claude",
	Owns:   func(provider, _ string) bool { return provider == "anthropic" },
	Member: func(a *Answer, name []byte, c *cursor.Cursor) bool {
		switch string(name) {
		case "content":
			if c.EnterArray() {
				a.Seen = true
				for c.Element() {
					anthropicBlock(a, c)
				}
			}
		case "completion": // the text completions of the first models
			if q, ok := c.String(); ok {
				a.Seen = true
				a.AddText(q)
			}
		case "stop_reason":
			a.ReadStop(c)
		case "usage":
			a.ReadUsage(c, "input_tokens", "output_tokens")
		default:
			return false
		}
		return true
	},
	Finish: func(a *Answer) string {
		if !a.Seen {
			return "content is no list"
		}
		return ""
	},
})

// anthropicBlock reads a content block; its type may come after its text.
func anthropicBlock(a *Answer, c *cursor.Cursor) {
	mark := c.Mark()
	if !c.EnterObject() {
		return
	}
	var kind, text, thinking []byte
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		switch string(name) {
		case "type":
			kind, _ = c.String()
		case "text":
			text, _ = c.String()
		case "thinking":
			thinking, _ = c.String()
		default:
			c.Skip()
		}
	}
	switch string(kind) {
	case "text", "":
		if text != nil {
			a.AddText(text)
		}
	case "thinking":
		if thinking != nil {
			a.AddReasoning(thinking)
		}
	case "tool_use":
		a.AddTool(c.Since(mark))
	}
}
