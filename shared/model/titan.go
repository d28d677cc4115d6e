package model

import (
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

// TitanText is the shape of Titan's text models.
var TitanText = Register(Shape{
	Family: "titan-text",
	Models: "Titan Text",
	Owns: func(_, base string) bool {
		return strings.HasPrefix(base, "amazon.titan-text") || strings.HasPrefix(base, "amazon.titan-tg1")
	},
	Member: func(a *Answer, name []byte, c *cursor.Cursor) bool {
		switch string(name) {
		case "results":
			if c.EnterArray() {
				for first := true; c.Element(); first = false {
					if !first {
						c.Skip()
						continue
					}
					titanResult(a, c)
				}
			}
		case "inputTextTokenCount":
			a.ReadInputTokens(c)
		default:
			return false
		}
		return true
	},
	Finish: func(a *Answer) string {
		if !a.Seen {
			return "results holds no outputText"
		}
		return ""
	},
})

func titanResult(a *Answer, c *cursor.Cursor) {
	if !c.EnterObject() {
		return
	}
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		switch string(name) {
		case "outputText":
			if q, ok := c.String(); ok {
				a.Seen = true
				a.AddText(q)
			}
		case "completionReason":
			a.ReadStop(c)
		case "tokenCount":
			a.ReadOutputTokens(c)
		default:
			c.Skip()
		}
	}
}
