package prompt_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/prompt"
)

// picture is the head of a PNG of so many pixels.
func picture(width, height uint32) []byte {
	head := append([]byte("IHDR"), binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)...)
	head = append(head, 8, 2, 0, 0, 0)
	b := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	return binary.BigEndian.AppendUint32(append(b, head...), crc32.ChecksumIEEE(head))
}

// sized is a file that begins so and has n bytes.
func sized(head string, n int) []byte {
	return append([]byte(head), bytes.Repeat([]byte{'x'}, n-len(head))...)
}

const (
	mostOfDocument = 4_718_592
	mostOfImage    = 3_932_160
)

func TestFilesThatConverseDoesNotTakeAreRefusedByName(t *testing.T) {
	const (
		llama = "model: us.meta.llama4-scout-17b-instruct-v1:0\n"
		old   = "model: us.anthropic.claude-3-5-sonnet-20241022-v2:0\n"
	)
	zip := "PK\x03\x04....word/document.xml"
	for _, c := range []struct {
		name, yaml string
		file       []byte
		want       string // a part of the reason; empty where it is taken
	}{
		{"a document at the limit", llama, sized("%PDF-", mostOfDocument), ""},
		{"a document over it", llama, sized("%PDF-", mostOfDocument+1), "the pdf document has 4718593 bytes; this model takes documents of up to 4718592"},
		{"Nova takes larger PDF", nova, sized("%PDF-", mostOfDocument+1), ""},
		{"and docx", nova, sized(zip, mostOfDocument+1), ""},
		{"but no larger xls", nova, sized("\xd0\xcf\x11\xe0....W\x00o\x00r\x00k\x00b\x00o\x00o\x00k\x00", mostOfDocument+1), "the xls document"},
		{"Claude takes larger PDF", claude, sized("%PDF-", mostOfDocument+1), ""},
		{"but no larger docx", claude, sized(zip, mostOfDocument+1), "the docx document"},
		{"older Claude takes none", old, sized("%PDF-", mostOfDocument+1), "the pdf document"},
		{"a model nobody knows may", "model: a1b2c3d4e5f6\n", sized("%PDF-", mostOfDocument+1), ""},
		{"an image at the limit", nova, sized("RIFF....WEBPVP8 ", mostOfImage), ""},
		{"an image over it", nova, sized("GIF89a", mostOfImage+1), "the gif image has 3932161 bytes; images may have up to 3932160"},
		{"8000 pixels", nova, picture(8000, 8000), ""},
		{"8001 pixels", nova, picture(8001, 2), "the png image has 8001 by 2 pixels; images may have up to 8000 either way"},
		{"an image whose head is broken is left to the model", nova, []byte("\x89PNG\r\n\x1a\nIHDR"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, bad := renderOne(t, settings(t, c.yaml+"prompt_template: 'What is it?'"), dataset.Media, string(c.file))
			switch {
			case c.want == "" && (bad != nil || !strings.Contains(got, base64.StdEncoding.EncodeToString(c.file))):
				t.Errorf("refused: %+v", bad)
			case c.want != "" && (bad == nil || bad.Code != prompt.CodeMediaLimit || !strings.HasPrefix(bad.Reason, c.want)):
				t.Errorf("got %+v", bad)
			}
		})
	}
}

// part is a part of an OpenAI message, block one of an Anthropic message.
func part(mime string, data []byte, name string) string {
	url := "data:" + mime + ";base64," + base64.StdEncoding.EncodeToString(data)
	if strings.HasPrefix(mime, "image/") {
		return fmt.Sprintf(`{"type":"image_url","image_url":{"url":%q}}`, url)
	}
	return fmt.Sprintf(`{"type":"file","file":{"file_data":%q,"filename":%q}}`, url, name)
}

func block(mime string, data []byte, name string) string {
	kind, _, _ := strings.Cut(mime, "/")
	if kind != "image" {
		kind = "document"
	}
	title := ""
	if name != "" {
		title = fmt.Sprintf(`,"title":%q`, name)
	}
	return fmt.Sprintf(`{"type":%q,"source":{"type":"base64","media_type":%q,"data":%q}%s}`, kind, mime, base64.StdEncoding.EncodeToString(data), title)
}

func TestFilesInMessagesKeepTheLimitsOfARequest(t *testing.T) {
	file := []byte("\xff\xfe\xfd\xfc")
	many := func(make func(string, []byte, string) string, n int, mime string) string {
		return strings.TrimSuffix(strings.Repeat(make(mime, file, "a")+",", n), ",")
	}
	for _, c := range []struct{ name, role, content, want string }{
		{"five documents", "user", many(part, 5, "application/pdf") + `,{"type":"text","text":"?"}`, ""},
		{"six documents", "user", many(part, 6, "application/pdf") + `,{"type":"text","text":"?"}`, "media_limit: the request holds more than 5 documents"},
		{"twenty images", "user", many(part, 20, "image/png"), ""},
		{"twenty-one images", "user", many(part, 21, "image/png"), "media_limit: a message holds more than 20 images"},
		{"a document without a text", "user", part("text/csv", file, ""), "unsupported: document must stand in a message that holds a text"},
		{"a text before it will do", "user", `{"type":"text","text":"?"},` + part("text/csv", file, ""), ""},
		{"an image of the assistant", "assistant", part("image/png", file, ""), "unsupported: image can stand in messages of the user only"},
		{"an image that is too large", "user", part("image/webp", sized("", mostOfImage+1), ""), "media_limit: the webp image"},
		{"data that is no base64", "user", `{"type":"image_url","image_url":{"url":"data:image/png;base64,a!b="}}`, "bad_request: the data of the image is no base64"},
		{"data without padding", "user", `{"type":"image_url","image_url":{"url":"data:image/png;base64,//79"}},{"type":"image_url","image_url":"data:image/png;base64,//4"}`, ""},
		{"a file of the other service", "user", `{"type":"file","file":{"file_id":"f-1"}}`, "unsupported: file.file_id names a file of the other service"},
		{"a member of a part that nobody knows", "user", `{"type":"text","text":"?","tone":"warm"}`, "unsupported: part tone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := `{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Yes"},{"role":"` + c.role + `","content":[` + c.content + `]}]}`
			got, bad := renderOne(t, settings(t, nova), dataset.OpenAI, `{"custom_id":"a","body":`+body+`}`)
			if bad != nil {
				got = bad.Code + ": " + bad.Reason
			}
			if c.want == "" && bad != nil || !strings.HasPrefix(got, c.want) {
				t.Errorf("got %.200s, want %s", got, c.want)
			}
		})
	}
	// Anthropic's documents for other models go the same way.
	_, bad := renderOne(t, settings(t, nova), dataset.Anthropic, `{"custom_id":"a","params":{"messages":[{"role":"user","content":[`+many(block, 6, "application/pdf")+`,{"type":"text","text":"?"}]}]}}`)
	if bad == nil || bad.Code != prompt.CodeMediaLimit {
		t.Errorf("six documents in Anthropic's shape: %+v", bad)
	}
}

func TestDocumentsHaveNamesThatTheServiceTakes(t *testing.T) {
	for title, want := range map[string]string{
		"":                               "document-1",
		"Q3_report  (final) [2].pdf":     "Q3-report (final) [2]",
		"ignore\nall; drop \"x\"":        "ignore-all- drop -x",
		"\u00fcber":                      "ber",
		"\u65e5\u672c":                   "document-1",
		" - ":                            "document-1",
		strings.Repeat("long name ", 40): strings.TrimSpace(strings.Repeat("long name ", 15)),
	} {
		got, bad := renderOne(t, settings(t, nova), dataset.Anthropic, `{"custom_id":"a","params":{"messages":[{"role":"user","content":[`+
			block("application/pdf", []byte("%PDF-1"), title)+`,{"type":"text","text":"?"}]}]}}`)
		if bad != nil || !strings.Contains(got, `"name":"`+want+`"`) {
			t.Errorf("%q: got %s %+v, want %q", title, got, bad, want)
		}
	}
	// No two of a request have the same.
	same := strings.TrimSuffix(strings.Repeat(block("application/pdf", []byte("%PDF-1"), "a")+",", 3)+block("application/pdf", []byte("%PDF-1"), "a-2"), ",")
	got, bad := renderOne(t, settings(t, nova), dataset.Anthropic, `{"custom_id":"a","params":{"messages":[{"role":"user","content":[`+same+`,{"type":"text","text":"?"}]}]}}`)
	for _, name := range []string{"a", "a-2", "a-3", "a-2-4"} {
		if strings.Count(got, `"name":"`+name+`"`) != 1 {
			t.Errorf("name %s: got %s %+v", name, got, bad)
		}
	}
}
