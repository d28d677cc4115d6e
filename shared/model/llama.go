package model

import "github.com/bedrock-batch/bedrock-batch/shared/model/cursor"

// Llama is the shape of Meta's models.
var Llama = register(shape{
	family: "llama",
	owns:   func(provider, _ string) bool { return provider == "meta" },
	member: func(a *Answer, name []byte, c *cursor.Cursor) bool {
		switch string(name) {
		case "generation":
			if q, ok := c.String(); ok {
				a.seen = true
				a.addText(q)
			}
		case "stop_reason":
			a.readStop(c)
		case "prompt_token_count":
			a.readInputTokens(c)
		case "generation_token_count":
			a.readOutputTokens(c)
		default:
			return false
		}
		return true
	},
	finish: func(a *Answer) string {
		if !a.seen {
			return "generation is no text"
		}
		return ""
	},
})
