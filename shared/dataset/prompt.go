package dataset

import "io"

var _ = Register(Spec{
	Format: Prompt, Row: "a line of JSON", Lines: true,
	Read: "`prompt`, or all members by `prompt_template`",
	Back: "results.jsonl",
	Names: func(has func(string) bool) bool {
		return has("prompt") && !(has("custom_id") && (has("body") || has("params")))
	},
	New: func(r io.Reader, at Position, opt Options) (Reader, error) { return newLines(r, at, opt, nil), nil },
})

// JSON lines that no other format claims.
var _ = Register(Spec{
	Format: JSONL, Row: "a line of JSON", Lines: true,
	Read: "all members, by `prompt_template`",
	Back: "results.jsonl",
	New:  func(r io.Reader, at Position, opt Options) (Reader, error) { return newLines(r, at, opt, nil), nil },
})
