package walkthrough_test

import (
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/local/walkthrough"
)

func TestBlocksAreFoundWithWhatIsSaidAboutThem(t *testing.T) {
	d, err := walkthrough.Read(strings.ReplaceAll(`# Title
<!-- make local -->
'''sh
make demo # see
'''
Words.

<!-- not run: needs an AWS account -->

'''sh
make deploy
'''
- a list
  '''yaml
  a: 1
    b: 2
  '''
''''text
'''
not a fence
'''
''''
'''sh
# another terminal
make local      # Ctrl-C ends it
'''
`, "'", "`"))
	if err != nil {
		t.Fatal(err)
	}
	want := []walkthrough.Block{
		{Line: 3, Language: "sh", Text: "make demo # see\n"},
		{Line: 10, Language: "sh", Text: "make deploy\n", NotRun: "needs an AWS account"},
		{Line: 14, Language: "yaml", Text: "a: 1\n  b: 2\n"},
	}
	if !d.Local || len(d.Blocks) != 5 {
		t.Fatalf("got %+v", d)
	}
	for i, w := range want {
		if d.Blocks[i] != w {
			t.Errorf("block %d is %+v, want %+v", i, d.Blocks[i], w)
		}
	}
	if got := d.Blocks[3].Text; !strings.Contains(got, "not a fence\n") {
		t.Errorf("the longer fence ends at a shorter one: %q", got)
	}
	if d.Blocks[0].Terminal() || !d.Blocks[4].Terminal() {
		t.Error("make local alone is a terminal of its own, make demo is not")
	}
}

func TestDocumentsThatCannotBeReadAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"line 2: the block is not closed":      "\n```sh\nmake\n",
		"stands right above it":                "<!-- not run: needs an AWS account -->\nWords.\n```sh\nmake\n```\n",
		"belongs to none":                      "<!-- not run: needs an AWS account -->\n",
		"line 4: make local begins with the d": "```sh\nmake\n```\n<!-- make local -->\n",
	} {
		if _, err := walkthrough.Read(text); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func TestBlocksThatWouldEscapeTheTestAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, says string
		block      walkthrough.Block
	}{
		{"no language", "has no language", walkthrough.Block{Text: "make demo\n"}},
		{"another shell", `language "bash"`, walkthrough.Block{Language: "bash", Text: "make demo\n"}},
		{"a command as text", "line 2: a command", walkthrough.Block{Language: "text", Line: 1, Text: "aws s3 ls\n"}},
		{"a prompt as text", "line 3: a command", walkthrough.Block{Language: "text", Line: 1, Text: "x\n$ make demo\n"}},
		{"a reason of one's own", "none of the reasons", walkthrough.Block{Language: "sh", NotRun: "no time"}},
		{"a reason for text", "only a block of sh", walkthrough.Block{Language: "text", NotRun: "needs an AWS account"}},
		{"commands", "", walkthrough.Block{Language: "sh", Text: "make demo\n"}},
		{"commands with a reason", "", walkthrough.Block{Language: "sh", NotRun: "needs an AWS account"}},
		{"a picture", "", walkthrough.Block{Language: "text", Text: "a --> b\nmakes sense\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.block.Check()
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}
