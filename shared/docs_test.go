package shared_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

var update = flag.Bool("update", false, "write the generated parts of the documentation anew")

func TestDocsHoldTheTablesThatTheCodeWrites(t *testing.T) {
	for _, part := range []struct{ page, name, want string }{
		{"formats.md", "formats", formatsTable()},
		{"families.md", "families", familiesTable(t)},
		{"workload.md", "keys", workload.Table()},
	} {
		t.Run(part.name, func(t *testing.T) {
			page := filepath.Join("..", "docs", part.page)
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			begin := "<!-- generated: " + part.name + " -->\n"
			before, rest, ok := strings.Cut(string(text), begin)
			_, after, closed := strings.Cut(rest, "<!-- end -->")
			if !ok || !closed {
				t.Fatalf("%s has no place for %s", part.page, part.name)
			}
			want := before + begin + part.want + "<!-- end -->" + after
			if *update {
				if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if want != string(text) {
				t.Errorf("the table in docs/%s is not what the code says; run this test with -update", part.page)
			}
		})
	}
}

func formatsTable() string {
	var b strings.Builder
	b.WriteString("| format | a row is | what is read | what comes back |\n| --- | --- | --- | --- |\n")
	for _, f := range dataset.Formats {
		s, _ := dataset.SpecOf(f)
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f, s.Row, s.Read, s.Back)
	}
	return b.String()
}

// fields of a result that a family may give, as the fixtures name them.
var fields = []string{"output", "embedding", "reasoning", "toolUse", "stopReason", "inputTokens", "outputTokens"}

func familiesTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| family | models |")
	for _, field := range fields {
		b.WriteString(" " + field + " |")
	}
	b.WriteString(" stop reasons | bodies to ask for vectors |\n|" + strings.Repeat(" --- |", len(fields)+4) + "\n")
	for _, f := range append([]model.Family{"converse"}, model.Families()...) {
		files, err := filepath.Glob(filepath.Join("model", "testdata", string(f), "*.want"))
		if err != nil || len(files) == 0 {
			t.Fatalf("family %s has no fixtures (%v)", f, err)
		}
		seen, stops := map[string]bool{}, map[string]bool{}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := json.Unmarshal(body, &want); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			for field := range want {
				seen[field] = true
			}
			if stop, ok := want["stopReason"].(string); ok {
				stops[stop] = true
			}
		}
		models := model.Models(f)
		if f == "converse" {
			models = "all that answer in text"
		}
		fmt.Fprintf(&b, "| `%s` | %s |", f, models)
		for _, field := range fields {
			mark := map[bool]string{true: "yes"}[seen[field]]
			b.WriteString(" " + mark + " |")
		}
		var words []string
		for _, stop := range []model.StopReason{model.EndTurn, model.MaxTokens, model.StopSequence, model.ToolUse, model.Refusal, model.ContentFiltered, model.Other} {
			if stops[string(stop)] {
				words = append(words, string(stop))
			}
		}
		fmt.Fprintf(&b, " %s | %s |\n", strings.Join(words, ", "), map[bool]string{true: "yes"}[model.Embeds(f)])
	}
	return b.String()
}
