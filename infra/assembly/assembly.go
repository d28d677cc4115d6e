// Package assembly reads what CDK has written and makes the golden template
// from it.
package assembly

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Golden reads the template of a stack from a cloud assembly and gives it as
// it stands in infra/template: the hashes of the functions' packages replaced
// by the functions' names, so that it changes with the stack alone and not
// with every line of the product; members in the order of their names.
func Golden(folder, stackName string) ([]byte, error) {
	file := filepath.Join(folder, stackName+".template.json")
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the synthesized template: %w", err)
	}
	return Normalise(data, stackName)
}

// Normalise is Golden for a template in memory.
func Normalise(template []byte, stackName string) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(template))
	d.UseNumber()
	var t map[string]any
	if err := d.Decode(&t); err != nil {
		return nil, fmt.Errorf("template of %s: %w", stackName, err)
	}
	resources, _ := t["Resources"].(map[string]any)
	for id, r := range resources {
		resource, _ := r.(map[string]any)
		if resource["Type"] != "AWS::Lambda::Function" {
			continue
		}
		properties, _ := resource["Properties"].(map[string]any)
		code, _ := properties["Code"].(map[string]any)
		name, _ := properties["FunctionName"].(string)
		short, found := strings.CutPrefix(name, stackName+"-")
		if code["S3Key"] == nil || !found {
			return nil, fmt.Errorf("template of %s: function %s is called %q and has the package %v: cannot name its package", stackName, id, name, code["S3Key"])
		}
		code["S3Key"] = short + ".zip"
		delete(resource, "Metadata") // where the package lies in this cdk.out; sam local invoke reads it there
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(t); err != nil {
		return nil, fmt.Errorf("template of %s: %w", stackName, err)
	}
	return b.Bytes(), nil
}
