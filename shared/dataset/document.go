package dataset

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"
)

var _ = Register(Spec{
	Format: Text, Row: "a whole object: `.txt .md .html`", Whole: true, Endings: []string{".txt", ".md", ".markdown", ".html", ".htm"},
	Read: "the text, as the prompt or as `{content}`",
	Back: "results.jsonl with `source`",
	New:  func(r io.Reader, at Position, opt Options) (Reader, error) { return newDocument(r, at, opt), nil },
})

// document reads an upload that is one text, or one file of media.
type document struct {
	media  bool
	window *window
	at     Position
	limit  int
	row    Row
	bad    Bad
}

func newDocument(r io.Reader, at Position, opt Options) *document {
	return &document{window: newWindow(r, at.Off), at: at, limit: opt.maxRow()}
}

func (d *document) Position() Position { return d.at }

func (d *document) Next() (*Row, error) {
	if d.at.Row > 1 {
		return nil, io.EOF
	}
	if !d.media {
		if err := d.window.skipMark(); err != nil {
			return nil, err
		}
	}
	d.row = Row{Row: d.at.Row, Line: d.at.Line, Off: d.window.off, document: true}
	for len(d.window.data()) <= d.limit {
		if err := d.window.more(); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
	}
	size := int64(len(d.window.data()))
	d.row.Raw = d.window.data()
	if size > int64(d.limit) {
		d.row.Raw = bytes.Clone(beginning(d.row.Raw, d.limit))
		d.row.Cut = true
		var err error
		if size, err = d.drain(); err != nil {
			return nil, err
		}
		d.bad = tooLarge(size, d.limit)
		d.row.Bad = &d.bad
	} else if d.media {
		if d.row.Media = sniff(d.row.Raw); d.row.Media == "" {
			d.bad = Bad{Code: CodeNotMedia, Reason: "the file is none of " + strings.Join(mediaNames(), ", ")}
			d.row.Bad = &d.bad
		}
	} else if !utf8.Valid(d.row.Raw) {
		d.bad = Bad{Code: CodeNotUTF8, Reason: "the document is not UTF-8"}
		d.row.Bad = &d.bad
	} else if len(bytes.TrimSpace(d.row.Raw)) == 0 {
		d.bad = Bad{Code: CodeEmptyPrompt, Reason: "the document is empty"}
		d.row.Bad = &d.bad
	}
	d.row.End = d.row.Off + size
	d.at = Position{Row: d.at.Row + 1, Line: d.at.Line + 1, Off: d.row.End}
	return &d.row, nil
}

// drain reads to the end and returns the size of it all.
func (d *document) drain() (int64, error) {
	for {
		d.window.consume(len(d.window.data()))
		if err := d.window.more(); err == io.EOF {
			return d.window.off - d.row.Off, nil
		} else if err != nil {
			return 0, err
		}
	}
}
