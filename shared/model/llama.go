package model

import "github.com/bedrock-batch/bedrock-batch/shared/model/cursor"

// Llama is the shape of Meta's models.
var Llama = Register(Shape{
	Family: "llama",
	Models: "Llama",
	Owns:   func(provider, _ string) bool { return provider == "meta" },
	Member: func(a *Answer, name []byte, c *cursor.Cursor) bool {
		switch string(name) {
		case "generation":
			if q, ok := c.String(); ok {
				a.Seen = true
				a.AddText(q)
			}
		case "stop_reason":
			a.ReadStop(c)
		case "prompt_token_count":
			a.ReadInputTokens(c)
		case "generation_token_count":
			a.ReadOutputTokens(c)
		default:
			return false
		}
		return true
	},
	Finish: func(a *Answer) string {
		if !a.Seen {
			return "generation is no text"
		}
		return ""
	},
})
