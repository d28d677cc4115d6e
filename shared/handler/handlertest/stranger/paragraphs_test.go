package stranger_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

// Paragraphs are texts with blank lines between them: a row is a paragraph.
var Paragraphs = dataset.Register(dataset.Spec{
	Format: "paragraphs", Row: "a paragraph of a text", Endings: []string{".para"},
	Read: "the paragraph, as `{text}`",
	Back: "results.jsonl",
	New: func(r io.Reader, at dataset.Position, _ dataset.Options) (dataset.Reader, error) {
		return &paragraphs{r: bufio.NewReader(r), at: at}, nil
	},
})

type paragraphs struct {
	r   *bufio.Reader
	at  dataset.Position // of the next line, and with it of the next row
	row dataset.Row
	raw []byte
}

// Position is where the next row starts. A reader made there goes on as this
// one would.
func (p *paragraphs) Position() dataset.Position { return p.at }

// Next reads up to a blank line or the end. Errors of the stream are returned
// as they are; what is wrong with a row makes it a bad one.
func (p *paragraphs) Next() (*dataset.Row, error) {
	p.raw = p.raw[:0]
	for {
		line, off, err := p.line()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		blank := len(bytes.TrimSpace(line)) == 0
		switch {
		case !blank && len(p.raw) == 0:
			p.row.Reset(p.at.Row, p.at.Line-1, off)
			p.raw = append(p.raw, line...)
		case !blank && len(p.raw) <= dataset.MaxRow: // memory is bounded
			p.raw = append(p.raw, line...)
		}
		if len(p.raw) > 0 && (blank || err != nil) {
			return p.finish(), nil
		}
		if err != nil {
			return nil, io.EOF
		}
	}
}

// line reads a line with its end and moves the position behind it.
func (p *paragraphs) line() (line []byte, off int64, err error) {
	off = p.at.Off
	line, err = p.r.ReadBytes('\n')
	p.at.Off += int64(len(line))
	p.at.Line++
	return line, off, err
}

func (p *paragraphs) finish() *dataset.Row {
	p.at.Row++
	p.row.Raw = bytes.TrimRight(p.raw, "\r\n")
	p.row.End = p.row.Off + int64(len(p.row.Raw))
	switch {
	case len(p.raw) > dataset.MaxRow:
		p.row.Raw, p.row.Cut = p.row.Raw[:dataset.MaxAsideRaw], true
		p.row.Bad = &dataset.Bad{Code: dataset.CodeRowTooLarge, Reason: "the paragraph is too long"}
	case !utf8.Valid(p.row.Raw):
		p.row.Bad = &dataset.Bad{Code: dataset.CodeNotUTF8, Reason: "the paragraph is not UTF-8"}
	default:
		p.row.Set("text", dataset.Value{Raw: p.row.Raw, Text: true})
	}
	return &p.row
}
