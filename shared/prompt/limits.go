package prompt

import (
	"encoding/base64"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
)

// What a Converse request takes of documents and images. The service writes
// sizes in MB; the larger reading is taken, so that no row is refused here that
// the service would answer.
const (
	maxDocuments     = 5  // a request
	maxImages        = 20 // a message
	maxDocumentBytes = 4_718_592
	maxImageBytes    = 3_932_160
	maxPixels        = 8000 // either way
)

// largeDocuments reports whether documents of the format may be larger than
// maxDocumentBytes: the service says so of PDF for Claude from version 4 on, and
// of PDF and docx for Nova. A model that is not known is left to the service.
func (s *Setting) largeDocuments(format string) bool {
	switch {
	case s.Base == "":
		return true
	case s.Family == model.Nova:
		return format == "pdf" || format == "docx"
	case s.Family == model.Anthropic:
		for _, older := range []string{"claude-3", "claude-v", "claude-instant"} {
			if strings.Contains(s.Base, older) {
				return false
			}
		}
		return format == "pdf"
	}
	return false
}

// checkFile refuses a file that Converse does not take, by its size in bytes
// and, of images whose head can be read, in pixels.
func (s *Setting) checkFile(m Media, size int, file io.Reader) *dataset.Bad {
	if m.Block == "document" {
		if size > maxDocumentBytes && !s.largeDocuments(m.Format) {
			return overLimit("the %s document has %d bytes; this model takes documents of up to %d", m.Format, size, maxDocumentBytes)
		}
		return nil
	}
	if size > maxImageBytes {
		return overLimit("the %s image has %d bytes; images may have up to %d", m.Format, size, maxImageBytes)
	}
	if width, height := pixels(m.Format, file); width > maxPixels || height > maxPixels {
		return overLimit("the %s image has %d by %d pixels; images may have up to %d either way", m.Format, width, height, maxPixels)
	}
	return nil
}

func overLimit(format string, args ...any) *dataset.Bad {
	return &dataset.Bad{Code: CodeMediaLimit, Reason: fmt.Sprintf(format, args...)}
}

// pixels reads the size of an image off its head; 0 where it cannot be told.
func pixels(format string, file io.Reader) (width, height int) {
	var c image.Config
	var err error
	switch format {
	case "png":
		c, err = png.DecodeConfig(file)
	case "jpeg":
		c, err = jpeg.DecodeConfig(file)
	case "gif":
		c, err = gif.DecodeConfig(file)
	}
	if err != nil {
		return 0, 0 // the model will say what it thinks of it
	}
	return c.Width, c.Height
}

// wholeBase64 checks data in base64 and gives it its padding, if it has none,
// and its size when decoded.
func wholeBase64(data string) (whole string, size int, ok bool) {
	bare := strings.TrimRight(data, "=")
	if len(data)-len(bare) > 2 || len(bare)%4 == 1 || len(bare) == 0 {
		return "", 0, false
	}
	for i := range len(bare) {
		switch c := bare[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/':
		default:
			return "", 0, false
		}
	}
	if missing := (4 - len(bare)%4) % 4; len(data)-len(bare) != missing {
		data = bare + strings.Repeat("=", missing)
	}
	return data, len(bare) * 3 / 4, true
}

// file adds an image or a document to the message at hand. Data is base64, name
// what the row calls it; empty if it does not.
func (t *talk) file(s *Setting, m Media, data, name string) *dataset.Bad {
	if t.role != "user" {
		return unsupported(m.Block, "can stand in messages of the user only")
	}
	data, size, ok := wholeBase64(data)
	if !ok {
		return badRequest("the data of the %s is no base64", m.Block)
	}
	if bad := s.checkFile(m, size, base64.NewDecoder(base64.StdEncoding, strings.NewReader(data))); bad != nil {
		return bad
	}
	t.block()
	t.files++
	if m.Block == "image" {
		if t.images++; t.images > maxImages {
			return overLimit("a message holds more than %d images", maxImages)
		}
	} else {
		t.unexplained = !t.spoken
		if t.documents++; t.documents > maxDocuments {
			return overLimit("the request holds more than %d documents", maxDocuments)
		}
		name = t.nameOf(strings.TrimSuffix(name, "."+m.Format))
	}
	t.messages = m.appendHead(t.messages, name)
	t.messages = append(append(t.messages, data...), mediaTail...)
	return nil
}

// nameOf is the name of a document, of the few characters that the service
// allows and unlike those before. It is part of what the model reads.
func (t *talk) nameOf(given string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" -()[]", r):
			return r
		}
		return '-'
	}, given)
	name = strings.Join(strings.Fields(name), " ")
	if name = strings.Trim(name[:min(len(name), 150)], "- "); !strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(" -()[]", r) }) {
		name = "document-" + strconv.Itoa(t.files)
	}
	for n := t.files; slices.Contains(t.names, name); n++ {
		name += "-" + strconv.Itoa(n)
	}
	t.names = append(t.names, name)
	return name
}
