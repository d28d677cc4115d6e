package model

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
)

// What Converse says of documents and images. MB are read as 2^20 bytes, the
// milder of two readings.
const (
	maxDocumentBytes = 4.5 * (1 << 20)
	maxImageBytes    = 3.75 * (1 << 20)
	maxImages        = 20 // a message
)

var (
	documentFormats = []string{"pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"}
	imageFormats    = []string{"png", "jpeg", "gif", "webp"}
	documentName    = regexp.MustCompile(`^[a-zA-Z0-9\s\-()\[\]]{1,200}$`)
	twoSpaces       = regexp.MustCompile(`\s\s`)
)

// documents counts the document blocks of a body.
func documents(body object) (n int) {
	for _, m := range items(body, "messages") {
		message, _ := m.(object)
		for _, b := range items(message, "content") {
			if block, _ := b.(object); block["document"] != nil {
				n++
			}
		}
	}
	return n
}

// checkMedia refuses what the service refuses of a message's documents and
// images.
func checkMedia(i int, message object, content []any, m Model) error {
	images, hasText, hasDocument := 0, false, false
	for j, b := range content {
		block, _ := b.(object)
		_, isText := block["text"]
		hasText = hasText || isText
		image, isImage := block["image"].(object)
		document, isDocument := block["document"].(object)
		if (isImage || isDocument) && str(message, "role") != "user" {
			return invalid("messages.%d.content.%d: images and documents are supported in messages of the role user only.", i, j)
		}
		switch {
		case isImage:
			if !m.Vision() {
				return invalid("This model doesn't support the image content block that you provided.")
			}
			if images++; images > maxImages {
				return invalid("messages.%d: a message can have up to %d images.", i, maxImages)
			}
			if err := checkSource(i, j, "image", image, imageFormats, maxImageBytes); err != nil {
				return err
			}
		case isDocument:
			hasDocument = true
			if name := str(document, "name"); !documentName.MatchString(name) || twoSpaces.MatchString(name) {
				return invalid("The document file name at messages.%d.content.%d can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square brackets. The name can't contain more than one consecutive whitespace character.", i, j)
			}
			limit := maxDocumentBytes
			if largeDocuments(m, str(document, "format")) {
				limit = 25_000_000
			}
			if err := checkSource(i, j, "document", document, documentFormats, limit); err != nil {
				return err
			}
		}
	}
	if hasDocument && !hasText {
		return invalid("messages.%d: a message with a document must have a text block too. Add a text block and try again.", i)
	}
	return nil
}

// largeDocuments: the size of PDF is not limited for Claude from version 4 on,
// nor that of PDF and docx for Nova.
func largeDocuments(m Model, format string) bool {
	switch m.Family {
	case Nova:
		return format == "pdf" || format == "docx"
	case Anthropic:
		return format == "pdf" && !strings.Contains(m.ID, "claude-3")
	}
	return false
}

func checkSource(i, j int, kind string, block object, formats []string, limit float64) error {
	if format := str(block, "format"); !slices.Contains(formats, format) {
		return invalid("Value '%s' at 'messages.%d.content.%d.%s.format' failed to satisfy constraint: Member must satisfy enum value set: [%s]", format, i, j, kind, strings.Join(formats, ", "))
	}
	data, ok := sub(block, "source")["bytes"].(string)
	if !ok { // by a place in S3
		return nil
	}
	if _, err := base64.StdEncoding.DecodeString(data); err != nil || data == "" {
		return invalid("messages.%d.content.%d.%s.source.bytes: not base64.", i, j, kind)
	}
	if size := base64.StdEncoding.DecodedLen(len(data)) - strings.Count(data[max(0, len(data)-2):], "="); float64(size) > limit {
		return invalid("messages.%d.content.%d: the %s has %d bytes, the maximum is %.0f.", i, j, kind, size, limit)
	}
	return nil
}
