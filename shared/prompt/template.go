package prompt

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// piece is a run of a template: text as it stands, or a name in braces.
type piece struct {
	text string // literal text
	name string // "" for literal text
	// doubled: {{name}}, which writes {name}.
	doubled bool
	// firm names must be in the row. Others are what stands in braces and
	// could be a name only because a row has it, as {price (USD)}; where the
	// row has none of that name, the braces are text.
	firm bool
}

// Names of columns longer than this are not looked for in braces.
const maxName = 256

// split cuts a template into its pieces.
func split(template string) []piece {
	var pieces []piece
	text := func(s string) {
		if s == "" {
			return
		}
		if n := len(pieces); n > 0 && pieces[n-1].name == "" {
			pieces[n-1].text += s
			return
		}
		pieces = append(pieces, piece{text: s})
	}
	for {
		open := strings.IndexByte(template, '{')
		if open < 0 {
			text(template)
			return pieces
		}
		text(template[:open])
		template = template[open:]
		p, n := brace(template)
		if n == 0 {
			text("{")
			template = template[1:]
			continue
		}
		if p.doubled && p.firm {
			text(p.literal()) // no row can change it
		} else {
			pieces = append(pieces, p)
		}
		template = template[n:]
	}
}

// brace reads {name} or {{name}} at the beginning of s and returns its length,
// 0 if neither stands there.
func brace(s string) (piece, int) {
	inner := s[1:]
	doubled := strings.HasPrefix(inner, "{")
	if doubled {
		inner = inner[1:]
	}
	end := strings.IndexAny(inner, "{}\n")
	if end <= 0 || end > maxName || inner[end] != '}' {
		return piece{}, 0
	}
	p := piece{name: inner[:end], doubled: doubled, firm: plainName(inner[:end])}
	if !doubled {
		return p, end + 2
	}
	if !strings.HasPrefix(inner[end:], "}}") {
		return piece{}, 0 // the inner brace is looked at next
	}
	return p, end + 4
}

// written is the piece as it stands in the template.
func (p piece) written() string {
	switch {
	case p.name == "":
		return p.text
	case p.doubled:
		return "{{" + p.name + "}}"
	}
	return "{" + p.name + "}"
}

// literal is what a doubled name writes.
func (p piece) literal() string { return "{" + p.name + "}" }

// plainName reports whether s looks like a name and like nothing else: it
// begins with a letter or underscore and goes on with letters, digits,
// underscores, hyphens, dots and single spaces. So what prompts hold in
// braces (JSON, sets, quantifiers like {2,3}) needs no care.
func plainName(s string) bool {
	space := false
	for i, r := range s {
		switch {
		case r == '_' || unicode.IsLetter(r):
		case i > 0 && (unicode.IsDigit(r) || unicode.IsMark(r) || r == '-' || r == '.'):
		case i > 0 && r == ' ' && !space:
			space = true
			continue
		default:
			return false
		}
		space = false
	}
	return s != "" && !space && utf8.ValidString(s)
}
