package template_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

func TestTheTableOfTheWarehouseHasTheColumnsOfTheFiles(t *testing.T) {
	p := load(t)
	tables := p.ofType("AWS::Glue::Table")
	if len(tables) != 1 {
		t.Fatalf("tables: %v", tables)
	}
	input := at(p.Resources[tables[0]].Properties, "TableInput")
	var got, want []string
	for _, c := range list(at(input, "StorageDescriptor", "Columns")) {
		got = append(got, fmt.Sprint(at(c, "Name"), " ", at(c, "Type")))
	}
	for _, c := range pipeline.ResultColumns() {
		want = append(want, c.Name+" "+[]string{"string", "bigint", "array<double>"}[c.Kind])
	}
	if !slices.Equal(got, want) {
		t.Errorf("columns are %v, want %v", got, want)
	}
	if location := p.text(t, at(input, "Parameters", "storage.location.template")); !strings.HasSuffix(location, "/warehouse/dt=${dt}/") {
		t.Errorf("days lie at %s", location)
	}
	if at(input, "Parameters", "projection.dt.range") != "NOW-1095DAYS,NOW" {
		t.Errorf("days are %v", at(input, "Parameters", "projection.dt.range"))
	}
}

func TestQueriesAreLimitedAndTheirResultsEncrypted(t *testing.T) {
	p := load(t)
	for _, id := range p.ofType("AWS::Athena::WorkGroup") {
		c := at(p.Resources[id].Properties, "WorkGroupConfiguration")
		if at(c, "BytesScannedCutoffPerQuery") != float64(10_000_000_000) || at(c, "EnforceWorkGroupConfiguration") != true {
			t.Errorf("%s: %v", id, c)
		}
		if at(c, "ResultConfiguration", "EncryptionConfiguration", "EncryptionOption") != "SSE_S3" {
			t.Errorf("%s: results are not encrypted: %v", id, c)
		}
		if where := p.text(t, at(c, "ResultConfiguration", "OutputLocation")); !strings.HasPrefix(where, "s3://bedrock-batch-dev-out-") || !strings.HasSuffix(where, "/queries/") {
			t.Errorf("%s: results go to %s", id, where)
		}
	}
	files, err := filepath.Glob("../stack/queries/*.sql")
	if queries := p.ofType("AWS::Athena::NamedQuery"); err != nil || len(files) == 0 || len(queries) != len(files) {
		t.Errorf("%d queries of %d files (%v)", len(queries), len(files), err)
	}
}
