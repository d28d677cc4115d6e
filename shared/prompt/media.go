package prompt

import (
	"encoding/base64"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

// Media is a kind of content that is not text.
type Media struct {
	// Block is image or document, Format the name that Converse has for it.
	Block, Format string
}

// mediaTypes are the MIME types that Converse takes, by what it calls them.
var mediaTypes = map[string]Media{
	"image/png": {"image", "png"}, "image/jpeg": {"image", "jpeg"}, "image/jpg": {"image", "jpeg"},
	"image/gif": {"image", "gif"}, "image/webp": {"image", "webp"},
	"application/pdf": {"document", "pdf"}, "text/csv": {"document", "csv"}, "text/html": {"document", "html"},
	"text/plain": {"document", "txt"}, "text/markdown": {"document", "md"},
	"application/msword":       {"document", "doc"},
	"application/vnd.ms-excel": {"document", "xls"},
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document": {"document", "docx"},
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet":       {"document", "xlsx"},
}

// mediaNames names the kinds of a block, for messages.
const mediaNames = "images png, jpeg, gif, webp and documents pdf, docx, doc, xlsx, xls, csv, html, txt, md"

// appendHead appends a block up to its base64 data; documents have a name.
func (m Media) appendHead(dst []byte, name string) []byte {
	dst = append(append(append(dst, `{"`...), m.Block...), `":{"format":"`...)
	dst = append(append(dst, m.Format...), '"')
	if m.Block == "document" {
		dst = append(append(append(dst, `,"name":"`...), name...), '"')
	}
	return append(dst, `,"source":{"bytes":"`...)
}

// fileOf is what a row that is a file of media becomes.
func fileOf(row *dataset.Row) Media {
	m := Media{Block: "document", Format: row.Media}
	switch row.Media {
	case "png", "jpeg", "gif", "webp":
		m.Block = "image"
	}
	return m
}

// appendMedia appends the block of a row that is a file of media.
func appendMedia(dst []byte, m Media, file []byte) []byte {
	dst = m.appendHead(dst, "document-1")
	dst = base64.StdEncoding.AppendEncode(dst, file)
	return append(dst, mediaTail...)
}

const mediaTail = `"}}}`

// dataURL takes a data URL apart; false if it is none, or of a type that is
// not known.
func dataURL(url string) (m Media, data string, ok bool) {
	rest, ok := strings.CutPrefix(url, "data:")
	if !ok {
		return m, "", false
	}
	head, data, ok := strings.Cut(rest, ",")
	if !ok || data == "" || !strings.HasSuffix(head, ";base64") {
		return m, "", false
	}
	kind, _, _ := strings.Cut(head, ";")
	m, ok = mediaTypes[strings.ToLower(kind)]
	return m, data, ok
}
