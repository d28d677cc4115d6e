package walkthrough

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Reasons are why a block of commands may stand in a document without being
// run, as its comment says them.
var Reasons = []string{
	"needs an AWS account",
	"needs a released version",
	"needs the AWS SAM command line",
	"the tests themselves",
}

// languages are what a block that holds no commands may be.
var languages = []string{"text", "yaml", "json", "go", "csv", "sql", "python", "mermaid", "diff"}

// Block is a fenced part of a document.
type Block struct {
	Line     int // of its first fence, from 1
	Language string
	Text     string // without the fences, with a line feed at the end of each line
	// NotRun is the reason of a comment above that it is not run, else empty.
	NotRun string
}

// Document is what tests need to know of a document.
type Document struct {
	Blocks []Block
	// Local says that the document's session takes place beside make local
	// without having a block for it.
	Local bool
}

var (
	fence    = regexp.MustCompile("^ *(```+) *([^` ]*) *$")
	notRun   = regexp.MustCompile(`^ *<!-- not run: (.+) -->$`)
	besideIt = regexp.MustCompile(`^ *<!-- make local -->$`)
)

// Read finds the blocks of a document's text. It refuses a fence that is not
// closed and a comment that belongs to no block.
func Read(text string) (Document, error) {
	var d Document
	var open *Block
	var indent, marks, reason string
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		found := fence.FindStringSubmatch(line)
		switch {
		case open != nil && found != nil && found[1] == marks && found[2] == "":
			d.Blocks = append(d.Blocks, *open)
			open = nil
		case open != nil:
			open.Text += strings.TrimPrefix(line, indent) + "\n"
		case found != nil:
			indent, marks = line[:strings.Index(line, "`")], found[1]
			open = &Block{Line: n, Language: found[2], NotRun: reason}
			reason = ""
		case besideIt.MatchString(line):
			if len(d.Blocks) > 0 {
				return d, fmt.Errorf("line %d: make local begins with the document, not after its first block", n)
			}
			d.Local = true
		case notRun.MatchString(line):
			reason = notRun.FindStringSubmatch(line)[1]
		case reason != "" && strings.TrimSpace(line) != "":
			return d, fmt.Errorf("line %d: the comment that a block is not run stands right above it", n)
		}
	}
	if open != nil {
		return d, fmt.Errorf("line %d: the block is not closed", open.Line)
	}
	if reason != "" {
		return d, fmt.Errorf("the last comment that a block is not run belongs to none")
	}
	return d, nil
}

// Commands says that the block is one to type.
func (b Block) Commands() bool { return b.Language == "sh" }

// Terminal says that the block is make local and nothing else: it runs as long
// as the reader works.
func (b Block) Terminal() bool {
	if !b.Commands() {
		return false
	}
	var commands []string
	for line := range strings.Lines(b.Text) {
		command, _, _ := strings.Cut(line, "#")
		if command = strings.TrimSpace(command); command != "" {
			commands = append(commands, command)
		}
	}
	return len(commands) == 1 && commands[0] == "make local"
}

// command is how a line begins that somebody would type.
var command = regexp.MustCompile(`^(\$ )?(make|aws|npm|npx|go|git|curl|docker|bedrock-batch|\.build/[a-z]+|export|sh|bash|\.) +\S`)

// Check says what is wrong with a block, nil if nothing is.
func (b Block) Check() error {
	switch {
	case b.Language == "":
		return fmt.Errorf("line %d: the block has no language: sh for commands, else text, yaml, ...", b.Line)
	case b.Commands() && b.NotRun != "" && !slices.Contains(Reasons, b.NotRun):
		return fmt.Errorf("line %d: not run because it %q, which is none of the reasons %q", b.Line, b.NotRun, Reasons)
	case b.Commands():
		return nil
	case b.NotRun != "":
		return fmt.Errorf("line %d: only a block of sh is run, so only there it can be said that it is not", b.Line)
	case !slices.Contains(languages, b.Language):
		return fmt.Errorf("line %d: language %q: sh for commands, else one of %q", b.Line, b.Language, languages)
	case b.Language != "text":
		return nil
	}
	n := b.Line
	for line := range strings.Lines(b.Text) {
		n++
		if command.MatchString(line) {
			return fmt.Errorf("line %d: a command in a block of text, which no test runs: %s", n, strings.TrimSpace(line))
		}
	}
	return nil
}
