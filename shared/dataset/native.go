package dataset

import (
	"fmt"
	"io"
)

var _ = Register(Spec{
	Format: Native, Row: "a line of JSON", Lines: true,
	Read:  "`modelInput`, byte for byte as it is written; `recordId` is the id",
	Back:  "results.jsonl",
	Names: func(has func(string) bool) bool { return has("modelInput") },
	New: func(r io.Reader, at Position, opt Options) (Reader, error) {
		return newLines(r, at, opt, body("modelInput", CodeNoModelInput)), nil
	},
})

// body takes a row's request from the member of this name.
func body(name, code string) func(*Row) *Bad {
	return func(row *Row) *Bad {
		input, ok := row.Lookup(name)
		switch {
		case !ok:
			return &Bad{Code: code, Reason: fmt.Sprintf("the row has no %q", name)}
		case input.Raw[0] != '{':
			return &Bad{Code: code, Reason: fmt.Sprintf("%q is not an object", name)}
		}
		row.ModelInput = input.Raw
		return nil
	}
}
