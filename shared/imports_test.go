package shared_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/bedrock-batch/bedrock-batch/"

// floors are the house from the roof down. A package may import what lies on
// lower floors, and packages of its own room. What is not named here is
// reported, so that every new room is given its floor.
var floors = [][]string{
	// The simulation and the mutants stand above what they put to the test.
	{"functions/submit", "functions/collect", "cmd/bedrock-batch", "infra", "events", "shared/pipeline/sim", "shared/pipeline/mutants", "bench"},
	{"shared/handler"},
	{"shared/bedrockbatch"},
	{"shared/aws"},
	{"shared/pipeline"},
	{"shared/answer"},
	{"shared/part", "shared/prompt", "shared/request"},
	{"shared/workload"},
	{"shared/dataset", "shared/model"},
	{"shared/batch", "shared/config", "shared/parquet", "shared/scan"},
}

// vendors are modules that only certain rooms may know.
var vendors = map[string][]string{
	"github.com/aws/aws-sdk-go-v2":   {"shared/aws", "shared/bedrockbatch", "bench"},
	"github.com/aws/smithy-go":       {"shared/aws"},
	"github.com/aws/aws-lambda-go":   {"functions/submit", "functions/collect", "shared/handler", "shared/pipeline/sim", "bench"},
	"github.com/aws/aws-cdk-go":      {"infra"},
	"github.com/aws/jsii-runtime-go": {"infra"},
	"github.com/aws/constructs-go":   {"infra"},
	"github.com/cdklabs":             {"infra"},
	"github.com/spf13/cobra":         {"cmd/bedrock-batch"},
	"golang.org/x/sys":               {"cmd/bedrock-batch", "shared/scan"}, // terminals; what a processor can do
	"github.com/goccy/go-yaml":       {"shared/workload", "infra"},
	"github.com/go-json-experiment":  nil, // anybody's
	"github.com/klauspost/compress":  {"shared/dataset", "shared/pipeline", "shared/parquet"},
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

// packages lists the packages of a module with what they import, tests apart:
// those may look into any room.
func packages(t *testing.T, dir string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list in %s: %v\n%s", dir, err, exit.Stderr)
		}
		t.Fatalf("go list in %s: %v", dir, err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// floor gives the room that a package belongs to and how far down it lies.
func floor(path string) (room string, depth int) {
	for i, rooms := range floors {
		for _, r := range rooms {
			if path == r || strings.HasPrefix(path, r+"/") {
				return r, i
			}
		}
	}
	return "", -1
}

func TestArrowsPointDown(t *testing.T) {
	for _, p := range packages(t, "..") {
		path := strings.TrimPrefix(p.ImportPath, module)
		if path == "shared" || strings.HasPrefix(path, ".") {
			continue
		}
		room, depth := floor(path)
		if depth < 0 {
			t.Errorf("%s lies on no floor: give it one in this test and in docs/architecture.md", path)
			continue
		}
		for _, imported := range p.Imports {
			other, ours := strings.CutPrefix(imported, module)
			if !ours {
				checkVendor(t, path, room, imported)
				continue
			}
			otherRoom, below := floor(other)
			if otherRoom != room && below <= depth {
				t.Errorf("%s imports %s, which does not lie below it", path, other)
			}
		}
	}
}

func checkVendor(t *testing.T, path, room, imported string) {
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return // the standard library
	}
	for vendor, rooms := range vendors {
		if strings.HasPrefix(imported, vendor) {
			if rooms != nil && !slices.Contains(rooms, room) {
				t.Errorf("%s imports %s, which only %v may know", path, imported, rooms)
			}
			return
		}
	}
	t.Errorf("%s imports %s: say in this test which rooms may", path, imported)
}

func TestTheLocalServicesAndTheProductDoNotKnowEachOther(t *testing.T) {
	local := filepath.Join("..", "local")
	for _, p := range packages(t, local) {
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, module) && !strings.HasPrefix(imported, module+"local/") {
				t.Errorf("%s imports %s: it must know the product over the wire only", p.ImportPath, imported)
			}
		}
	}
	for _, p := range packages(t, "..") {
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, module+"local") {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}
