package model

import "github.com/bedrock-batch/bedrock-batch/shared/model/cursor"

// converse is the shape of Converse answers, whatever the model. It is chosen
// by the invocation, never as a family.
var converse = Register(Shape{
	Family: "converse",
	Member: converseMember,
	Finish: func(a *Answer) string {
		if !a.Seen {
			return "output.message.content is no list"
		}
		return ""
	},
})

func converseMember(a *Answer, name []byte, c *cursor.Cursor) bool {
	switch string(name) {
	case "output":
		if c.EnterObject() {
			for name, ok := c.Member(); ok; name, ok = c.Member() {
				if string(name) == "message" {
					converseMessage(a, c)
				} else {
					c.Skip()
				}
			}
		}
	case "message":
		// One page of the service's documentation prints the message at the
		// top.
		if c.Kind() == '"' {
			return false
		}
		converseMessage(a, c)
	case "stopReason":
		a.ReadStop(c)
	case "usage":
		a.ReadUsage(c, "inputTokens", "outputTokens")
	default:
		return false
	}
	return true
}

func converseMessage(a *Answer, c *cursor.Cursor) {
	if !c.EnterObject() {
		return
	}
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		if string(name) != "content" || !c.EnterArray() {
			if string(name) != "content" {
				c.Skip()
			}
			continue
		}
		a.Seen = true
		for c.Element() {
			converseBlock(a, c)
		}
	}
}

// converseBlock reads one of a union: text, reasoningContent, toolUse and
// others, of which the rest is passed over.
func converseBlock(a *Answer, c *cursor.Cursor) {
	if !c.EnterObject() {
		return
	}
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		switch string(name) {
		case "text":
			if q, ok := c.String(); ok {
				a.AddText(q)
			}
		case "reasoningContent":
			converseReasoning(a, c)
		case "toolUse":
			a.AddTool(c.Raw())
		default:
			c.Skip()
		}
	}
}

func converseReasoning(a *Answer, c *cursor.Cursor) {
	if !c.EnterObject() {
		return
	}
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		if string(name) != "reasoningText" || !c.EnterObject() {
			if string(name) != "reasoningText" {
				c.Skip()
			}
			continue
		}
		for name, ok := c.Member(); ok; name, ok = c.Member() {
			if string(name) == "text" {
				if q, ok := c.String(); ok {
					a.AddReasoning(q)
				}
			} else {
				c.Skip()
			}
		}
	}
}
