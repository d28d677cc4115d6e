package stranger_test

import (
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

// Parrot is the shape of a model that answers
// {"said":"...","why":"stop","tokens":{"in":1,"out":2}}.
var Parrot = model.Register(model.Shape{
	Family: "parrot", Models: "Parrot",
	Owns: func(provider, base string) bool { return provider == "acme" && strings.HasPrefix(base, "acme.parrot") },
	Member: func(a *model.Answer, name []byte, c *cursor.Cursor) bool {
		switch string(name) {
		case "said":
			if text, ok := c.String(); ok {
				a.Seen = true
				a.AddText(text)
			}
		case "why":
			a.ReadStop(c)
		case "tokens":
			a.ReadUsage(c, "in", "out")
		default:
			return false
		}
		return true
	},
	Finish: func(a *model.Answer) string {
		if !a.Seen {
			return "said is no text"
		}
		return ""
	},
})
