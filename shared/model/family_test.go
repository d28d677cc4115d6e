package model_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

var update = flag.Bool("update", false, "write the .want files anew")

// seen is an answer as the fixtures' .want files hold it.
type seen struct {
	Output    string          `json:"output,omitempty"`
	Reasoning string          `json:"reasoning,omitempty"`
	Embedding json.RawMessage `json:"embedding,omitempty"`
	ToolUse   json.RawMessage `json:"toolUse,omitempty"`
	Stop      string          `json:"stopReason,omitempty"`
	ModelStop string          `json:"modelStopReason,omitempty"`
	Input     *int64          `json:"inputTokens,omitempty"`
	Outputs   *int64          `json:"outputTokens,omitempty"`
	Failure   *model.Failure  `json:"failure,omitempty"`
	Shape     string          `json:"notInShape,omitempty"`
}

func look(a *model.Answer, err error) seen {
	if err != nil {
		return seen{Shape: err.Error()}
	}
	if a.Failed {
		return seen{Failure: &a.Failure}
	}
	s := seen{
		Output: a.Output(), Reasoning: cursor.Unquote(a.Reasoning), Embedding: a.Embedding,
		Stop: string(a.Stop), ModelStop: cursor.Unquote(a.ModelStop),
	}
	if len(a.ToolUse) > 0 {
		s.ToolUse = slices.Concat([]byte("["), a.ToolUse, []byte("]"))
	}
	if a.HasInputTokens {
		s.Input = &a.InputTokens
	}
	if a.HasOutputTokens {
		s.Outputs = &a.OutputTokens
	}
	return s
}

func readerOf(t *testing.T, family string) model.Reader {
	t.Helper()
	how := batch.InvokeModel
	if family == "converse" {
		how = batch.Converse
	}
	r, err := model.NewReader(how, model.Family(family))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEachFamilyReadsItsFixtures(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	var a model.Answer // one for all: nothing may stay from the last
	for _, file := range files {
		family := filepath.Base(filepath.Dir(file))
		t.Run(family+"/"+strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			err = readerOf(t, family).Read(&a, body)
			var shape model.ShapeError
			if err != nil && !errors.As(err, &shape) {
				t.Fatal(err)
			}
			var got bytes.Buffer
			enc := json.NewEncoder(&got)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			if err := enc.Encode(look(&a, err)); err != nil {
				t.Fatal(err)
			}
			wantFile := strings.TrimSuffix(file, ".json") + ".want"
			if *update {
				if err := os.WriteFile(wantFile, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(wantFile)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("got\n%s\nwant\n%s", &got, want)
			}
		})
	}
}

func TestEachFamilyHasFixtures(t *testing.T) {
	for _, f := range append(model.Families(), "converse") {
		if files, _ := filepath.Glob("testdata/" + string(f) + "/*.want"); len(files) < 2 {
			t.Errorf("family %s has %d fixtures", f, len(files))
		}
	}
}

func TestBrokenBodiesAreErrorsAndNoPanic(t *testing.T) {
	for _, f := range append(model.Families(), "converse") {
		for _, body := range []string{"", "{", "[]", "null", `"x"`, "7", `{"content":[{"type":"text","text":"a"}`, "{} {}", "{}", "{\"a\":\"\xff\"}"} {
			if err := readerOf(t, string(f)).Read(new(model.Answer), []byte(body)); err == nil {
				t.Errorf("family %s reads %q", f, body)
			}
		}
	}
}

func TestFamiliesThatAreNotKnownAreRefusedByName(t *testing.T) {
	for _, f := range []model.Family{"", "papagei", "converse"} {
		_, err := model.NewReader(batch.InvokeModel, f)
		if !errors.Is(err, batch.ErrInvalid) || !strings.Contains(err.Error(), "anthropic, ") {
			t.Errorf("family %q: %v", f, err)
		}
	}
}

func FuzzReadersNeverPanicAndAgreeOnWhatIsJSON(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.json")
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	var readers []model.Reader
	for _, family := range model.Families() {
		r, err := model.NewReader(batch.InvokeModel, family)
		if err != nil {
			f.Fatal(err)
		}
		readers = append(readers, r)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var whole cursor.Cursor
		whole.Reset(body)
		whole.Skip()
		whole.End()
		for _, r := range readers {
			var a model.Answer
			err := r.Read(&a, body)
			var shape model.ShapeError
			if whole.Err() != nil && (err == nil || errors.As(err, &shape)) {
				t.Fatalf("broken JSON read: %v; it is %v", err, whole.Err())
			}
			if whole.Err() == nil && err != nil && !errors.As(err, &shape) {
				t.Fatalf("good JSON refused: %v", err)
			}
			if err != nil || a.Failed {
				continue
			}
			quoted := slices.Concat([]byte(`{"a":"`), a.Text, []byte(`","b":"`), a.Reasoning, []byte(`","c":"`), a.ModelStop, []byte(`","d":[`), a.ToolUse, []byte(`]}`))
			var c cursor.Cursor
			c.Reset(quoted)
			c.Skip()
			c.End()
			if c.Err() != nil {
				t.Fatalf("what was read is not JSON any more: %v: %s", c.Err(), quoted)
			}
		}
	})
}
