package model

import "strings"

// Nova is the native shape of Nova's text models, which is that of Converse.
var Nova = Register(Shape{
	Family: "nova",
	Models: "Nova",
	Owns: func(provider, base string) bool {
		return provider == "amazon" && strings.HasPrefix(base, "amazon.nova") && !strings.Contains(base, "embed")
	},
	Member: converseMember,
	Finish: func(a *Answer) string {
		if !a.Seen {
			return "output.message.content is no list"
		}
		return ""
	},
})
