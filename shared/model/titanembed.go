package model

import (
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

// TitanEmbed is the shape of the Titan and Nova embedding models.
var TitanEmbed = register(shape{
	family: "titan-embed",
	owns: func(provider, base string) bool {
		return strings.HasPrefix(base, "amazon.titan-embed") ||
			provider == "amazon" && strings.HasPrefix(base, "amazon.nova") && strings.Contains(base, "embed")
	},
	member: func(a *Answer, name []byte, c *cursor.Cursor) bool {
		switch string(name) {
		case "embedding":
			if c.Kind() == '[' {
				a.Embedding, a.seen = c.Raw(), true
			} else {
				c.Skip()
			}
		case "embeddingsByType", "embeddings":
			// All the model gives where only another type than float was
			// asked for; beside embedding it repeats it.
			if k := c.Kind(); (k == '{' || k == '[') && !a.seen {
				a.Embedding = c.Raw()
			} else {
				c.Skip()
			}
		case "inputTextTokenCount":
			a.readInputTokens(c)
		default:
			return false
		}
		return true
	},
	finish: func(a *Answer) string {
		a.Stop = EndTurn
		if a.Embedding == nil {
			return "there is neither embedding nor embeddingsByType"
		}
		return ""
	},
})
