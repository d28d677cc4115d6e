package model

import "strings"

// Nova is the native shape of Nova's text models, which is that of Converse.
var Nova = register(shape{
	family: "nova",
	owns: func(provider, base string) bool {
		return provider == "amazon" && strings.HasPrefix(base, "amazon.nova") && !strings.Contains(base, "embed")
	},
	member: converseMember,
	finish: func(a *Answer) string {
		if !a.seen {
			return "output.message.content is no list"
		}
		return ""
	},
})
