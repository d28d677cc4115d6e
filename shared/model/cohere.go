package model

import (
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

// CohereCommand is the shape of Cohere's chat models.
var CohereCommand = register(shape{
	family: "cohere-command",
	owns:   func(_, base string) bool { return strings.HasPrefix(base, "cohere.command") },
	member: func(a *Answer, name []byte, c *cursor.Cursor) bool {
		switch string(name) {
		case "text":
			if q, ok := c.String(); ok {
				a.seen = true
				a.addText(q)
			}
		case "finish_reason":
			a.readStop(c)
		case "tool_calls":
			if c.EnterArray() {
				for c.Element() {
					a.addTool(c.Raw())
				}
			}
		case "generations": // the text models before Command R
			if c.EnterArray() {
				for first := true; c.Element(); first = false {
					if !first || !c.EnterObject() {
						if !first {
							c.Skip()
						}
						continue
					}
					for name, ok := c.Member(); ok; name, ok = c.Member() {
						switch string(name) {
						case "text":
							if q, ok := c.String(); ok {
								a.seen = true
								a.addText(q)
							}
						case "finish_reason":
							a.readStop(c)
						default:
							c.Skip()
						}
					}
				}
			}
		default:
			return false
		}
		return true
	},
	finish: func(a *Answer) string {
		if !a.seen {
			return "text is no text"
		}
		return ""
	},
})

// CohereEmbed is the shape of Cohere's embedding models. A record of one text
// gives its vector, a record of several the list of theirs.
var CohereEmbed = register(shape{
	family: "cohere-embed",
	owns:   func(_, base string) bool { return strings.HasPrefix(base, "cohere.embed") },
	member: func(a *Answer, name []byte, c *cursor.Cursor) bool {
		if string(name) != "embeddings" {
			return false
		}
		mark, n := c.Mark(), 0
		switch c.Kind() {
		case '{':
			a.Embedding = c.Raw()
		case '[':
			c.EnterArray()
			var first []byte
			for ; c.Element(); n++ {
				if raw := c.Raw(); n == 0 {
					first = raw
				}
			}
			if n == 1 && len(first) > 0 && first[0] == '[' {
				a.Embedding = first
			} else {
				a.Embedding = c.Since(mark)
			}
		default:
			c.Skip()
		}
		return true
	},
	finish: func(a *Answer) string {
		a.Stop = EndTurn
		if a.Embedding == nil {
			return "embeddings is neither a list nor a map by type"
		}
		return ""
	},
})
