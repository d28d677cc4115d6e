package workload

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong in a settings file.
type Problem struct {
	File string // key of the file, or "" for the merged settings
	Line int    // counted from 1; 0 where no line can be named
	Key  string // dotted path, as inference.max_tokens
	Text string // what is wrong and what to do
}

func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		fmt.Fprintf(&b, "%s: ", p.Key)
	}
	b.WriteString(p.Text)
	return b.String()
}

// Problems are all that is wrong with settings. They belong to the user's
// files: repeating the same reading is of no use.
type Problems []Problem

// Error lists the problems, one a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// orNil keeps an empty list from being an error.
func (p Problems) orNil() error {
	if len(p) == 0 {
		return nil
	}
	return p
}
