package dataset

import (
	"bytes"
	"io"
	"slices"
)

var _ = Register(Spec{
	Format: Media, Row: "a whole object: `.pdf .docx .doc .xlsx .xls .png .jpg .gif .webp`", Whole: true,
	Endings: []string{".pdf", ".docx", ".doc", ".xlsx", ".xls", ".png", ".jpg", ".jpeg", ".gif", ".webp"},
	Read:    "the file, as a document or image beside the text of `prompt_template`",
	Back:    "results.jsonl with `source`",
	New: func(r io.Reader, at Position, opt Options) (Reader, error) {
		d := newDocument(r, at, opt)
		d.media = true
		return d, nil
	},
})

// kinds are the files that are sent as they are, by what their bytes say.
var kinds = []struct {
	name  string
	magic string
	// holds tells files of one magic apart; any of them.
	holds []string
}{
	{"pdf", "%PDF-", nil},
	{"png", "\x89PNG\r\n\x1a\n", nil},
	{"jpeg", "\xff\xd8\xff", nil},
	{"gif", "GIF8", nil},
	{"webp", "RIFF", []string{"WEBPVP8"}},
	{"docx", "PK\x03\x04", []string{"word/document"}},
	{"xlsx", "PK\x03\x04", []string{"xl/workbook"}},
	{"doc", "\xd0\xcf\x11\xe0", []string{wide("WordDocument")}},
	{"xls", "\xd0\xcf\x11\xe0", []string{wide("Workbook"), wide("Book")}},
}

// wide is text in UTF-16, as old Office files hold their names.
func wide(s string) string {
	var b []byte
	for i := range len(s) {
		b = append(b, s[i], 0)
	}
	return string(b)
}

// sniff tells what a file of media is; empty if it is none.
func sniff(data []byte) string {
	for _, k := range kinds {
		if !bytes.HasPrefix(data, []byte(k.magic)) {
			continue
		}
		if k.holds == nil || slices.ContainsFunc(k.holds, func(part string) bool { return bytes.Contains(data, []byte(part)) }) {
			return k.name
		}
	}
	return ""
}

func mediaNames() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// media reports whether the first bytes of an upload, or its name where they
// are those of a container, say that it is a file of media.
func media(head []byte, ending string) bool {
	if sniff(head) != "" {
		return true
	}
	for _, k := range kinds {
		if bytes.HasPrefix(head, []byte(k.magic)) && ending == "."+k.name {
			return true // what tells it lies further back
		}
	}
	return false
}
