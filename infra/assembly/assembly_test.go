package assembly_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/infra/assembly"
)

const template = `{"Resources":{
 "F":{"Type":"AWS::Lambda::Function","Metadata":{"aws:asset:path":"asset.0123"},"Properties":{"FunctionName":"copy-one-submit","Timeout":900,"Code":{"S3Key":"0123.zip"}}},
 "B":{"Type":"AWS::S3::Bucket","Properties":{"Z":1.5,"A":"<b>"}}}}`

func TestTheGoldenFormHasNamesForHashesAndSortedMembers(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "copy-one.template.json"), []byte(template), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := assembly.Golden(folder, "copy-one")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(got)), "")
	want := `{"Resources":{"B":{"Properties":{"A":"<b>","Z":1.5},"Type":"AWS::S3::Bucket"},` +
		`"F":{"Properties":{"Code":{"S3Key":"submit.zip"},"FunctionName":"copy-one-submit","Timeout":900},"Type":"AWS::Lambda::Function"}}}`
	if text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

func TestWhatCannotBeNamedIsAnError(t *testing.T) {
	for name, c := range map[string]struct{ template, stack, says string }{
		"a function of another stack": {template, "copy-two", "cannot name its package"},
		"text that is no template":    {"{", "copy-one", "template of copy-one"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := assembly.Normalise([]byte(c.template), c.stack); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := assembly.Golden(t.TempDir(), "copy-one"); err == nil {
		t.Error("a missing template is no error")
	}
}
