package model

import (
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

// mistralPrompts are the models that take a prompt in place of messages and
// answer with outputs.
var mistralPrompts = []string{"mistral-7b", "mixtral-8x7b", "mistral-large-2402", "mistral-small-2402"}

func isMistralPrompt(base string) bool {
	for _, m := range mistralPrompts {
		if strings.Contains(base, m) {
			return true
		}
	}
	return false
}

// Mistral is the shape of Mistral's older models, which take a prompt. Its
// chat models answer in the shape of [OpenAI].
var Mistral = Register(Shape{
	Family: "mistral",
	Models: "Mistral 7B, Mixtral 8x7B, Mistral Large and Small of 2402",
	Owns:   func(provider, base string) bool { return provider == "mistral" && isMistralPrompt(base) },
	Member: func(a *Answer, name []byte, c *cursor.Cursor) bool {
		if string(name) != "outputs" {
			return false
		}
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
							a.Seen = true
							a.AddText(q)
						}
					case "stop_reason":
						a.ReadStop(c)
					default:
						c.Skip()
					}
				}
			}
		}
		return true
	},
	Finish: func(a *Answer) string {
		if !a.Seen {
			return "outputs holds no text"
		}
		return ""
	},
})
