package dataset

import "io"

var _ = Register(Spec{
	Format: OpenAI, Row: "an OpenAI batch line: a chat completion or an embedding", Lines: true,
	Read:  "`body`, every member of it mapped or refused by name; `custom_id` is the id, `model` goes by `models`",
	Back:  "results.jsonl, and results.openai.jsonl and errors.openai.jsonl as OpenAI's batches write them",
	Names: func(has func(string) bool) bool { return has("custom_id") && has("body") && !has("params") },
	New: func(r io.Reader, at Position, opt Options) (Reader, error) {
		return newLines(r, at, opt, body("body", CodeNoBody)), nil
	},
})
