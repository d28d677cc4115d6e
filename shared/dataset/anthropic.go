package dataset

import "io"

var _ = Register(Spec{
	Format: Anthropic, Row: "an Anthropic message batch line", Lines: true,
	Read:  "`params`, as it is for Claude, else every member of it mapped or refused by name; `custom_id` is the id, `model` goes by `models`",
	Back:  "results.jsonl, and results.anthropic.jsonl as Anthropic's batches write it",
	Names: func(has func(string) bool) bool { return has("custom_id") && has("params") },
	New: func(r io.Reader, at Position, opt Options) (Reader, error) {
		return newLines(r, at, opt, body("params", CodeNoBody)), nil
	},
})
