package handler_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
	"github.com/bedrock-batch/bedrock-batch/shared/handler/handlertest"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// sees answers with the kinds of the blocks of a record and the bytes of its
// file, as the service would see them.
func sees(_ string, _ batch.Invocation, in []byte) []byte {
	type media struct {
		Format string
		Source struct{ Bytes []byte }
	}
	var body struct {
		Messages []struct {
			Content []struct {
				Document, Image *media
				Text            string
			}
		}
	}
	if err := json.Unmarshal(in, &body); err != nil {
		panic(err)
	}
	var said []string
	for _, c := range body.Messages[0].Content {
		switch {
		case c.Document != nil:
			said = append(said, "document "+c.Document.Format+" "+base64.StdEncoding.EncodeToString(c.Document.Source.Bytes))
		case c.Image != nil:
			said = append(said, "image "+c.Image.Format+" "+base64.StdEncoding.EncodeToString(c.Image.Source.Bytes))
		default:
			said = append(said, c.Text)
		}
	}
	text, err := json.Marshal(strings.Join(said, "|"))
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, `{"output":{"message":{"role":"assistant","content":[{"text":%s}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":2}}`, text)
}

func TestDocumentsAndImagesAreSentAsTheyAre(t *testing.T) {
	files := map[string]string{
		"a.pdf":      "%PDF-1.7\n\x00\xff",
		"b.png":      "\x89PNG\r\n\x1a\n\x00",
		"c.jpg":      "\xff\xd8\xff\xe0",
		"d.gif":      "GIF89a",
		"e.webp":     "RIFF\x00\x00\x00\x00WEBPVP8 ",
		"f.docx":     "PK\x03\x04....word/document.xml",
		"g.xlsx":     "PK\x03\x04....xl/workbook.xml",
		"h.doc":      "\xd0\xcf\x11\xe0....W\x00o\x00r\x00d\x00D\x00o\x00c\x00u\x00m\x00e\x00n\x00t\x00",
		"i.txt":      "plain text",
		"j.zip":      "PK\x03\x04....other",
		"k.PNG.docx": "PK\x03\x04....nothing known",
	}
	want := map[string]string{
		"a.pdf": "document pdf", "b.png": "image png", "c.jpg": "image jpeg", "d.gif": "image gif", "e.webp": "image webp",
		"f.docx": "document docx", "g.xlsx": "document xlsx", "h.doc": "document doc",
	}
	w := handlertest.New(t, func(w *handlertest.World) { small(w); w.Answer = sees })
	w.Outcome = failing(map[string]memory.Line{"r0000000002": {Shape: memory.Beside, Code: 400, Message: "no"}})
	w.Input.Set("docs/workload.yaml", []byte(nova+"prompt_template: 'Describe {content}!'\ngather: {quiet: 1m}\n"))
	for name, body := range files {
		w.Input.Set("docs/"+name, []byte(body))
	}
	w.Run()
	n := one(t, w)
	if n.Rows.Answered != 8 || n.Rows.Failed != 1 || n.Rows.SetAside != 2 {
		t.Fatalf("notice: %+v\n%s", n, w.Result(n, "set-aside.jsonl"))
	}
	for _, line := range strings.Split(strings.TrimSpace(string(w.Result(n, "results.jsonl"))), "\n") {
		var r struct{ Source, Output string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(r.Source, "docs/")
		says := want[name] + " " + base64.StdEncoding.EncodeToString([]byte(files[name])) + "|Describe !"
		if name == "i.txt" {
			says = "Describe plain text!"
		}
		if r.Output != says {
			t.Errorf("%s: got %q, want %q", name, r.Output, says)
		}
	}
	errs := w.Result(n, "errors.jsonl")
	if !bytes.Contains(errs, []byte(`{"_document":{"bucket":"in","key":"docs/b.png"`)) {
		t.Errorf("errors: %s", errs)
	}
	clean(t, w)

	w.Outcome = nil
	w.Input.Set("docs/again.jsonl", errs)
	w.Run()
	again := w.Notices()[1]
	if again.Status != pipeline.StatusCompleted || again.Rows.Answered != 1 || !bytes.Contains(w.Output.Bytes("results/docs/"+again.Submission+"/results.jsonl"), []byte("image png")) && !bytes.Contains(w.Result(again, "results.jsonl"), []byte("image png")) {
		t.Errorf("again: %+v", again)
	}
}

func TestAnImageByItselfNeedsATemplate(t *testing.T) {
	w := handlertest.New(t, small)
	w.Input.Set("workload.yaml", []byte(nova+"gather: {quiet: 0s}\n"))
	w.Input.Set("a.png", []byte("\x89PNG\r\n\x1a\n"))
	w.Run()
	if n := one(t, w); n.Status != pipeline.StatusRejected || !strings.Contains(n.Reason, "prompt_template") {
		t.Errorf("notice: %+v", n)
	}
}

func TestAFoldersFirstObjectDoesNotDecideForTheOthers(t *testing.T) {
	w := handlertest.New(t, small)
	w.Input.Set("docs/workload.yaml", []byte(nova+"gather: {quiet: 1m}\n"))
	w.Input.Set("docs/a.png", []byte("\x89PNG\r\n\x1a\n"))
	w.Input.Set("docs/b.jsonl", []byte("broken\n"))
	w.Input.Set("docs/c.txt", []byte("a text"))
	w.Input.Set("docs/d.jsonl", []byte(`{"prompt":"a prompt"}`))
	w.Run()
	n := one(t, w)
	if n.Rows.Answered != 2 || n.Rows.SetAside != 2 {
		t.Errorf("notice: %+v", n)
	}
	clean(t, w)
}
