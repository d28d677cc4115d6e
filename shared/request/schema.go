package request

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

type node map[string]any

// JSONSchema is the JSON schema of the message, for editors and tests of
// applications. Parse checks more than it can say.
func JSONSchema() ([]byte, error) {
	body, err := workload.JSONSchema()
	if err != nil {
		return nil, err
	}
	var settings node
	if err := json.Unmarshal(body, &settings); err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", workload.FileName, err)
	}
	keys, _ := settings["properties"].(map[string]any)
	maps.DeleteFunc(keys, func(key string, _ any) bool { return key == "gather" || key == "prompt_template_file" })
	settings = node{"type": "object", "additionalProperties": false, "properties": keys,
		"description": "settings, merged over the deployment's default and, for an object, over the " + workload.FileName + " files of its folders"}
	schema := node{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "request message", "type": "object",
		"required": []string{"bedrock-batch", "do"}, "additionalProperties": false,
		"oneOf": []node{{"required": []string{"prompts"}}, {"required": []string{"s3Uri"}}},
		"properties": node{
			"bedrock-batch": node{"const": Version, "description": "version of the message"},
			"do":            node{"const": Do},
			"id": node{"type": "string", "pattern": name().String(),
				"description": "the application's name for the request: however often it is sent, it is one submission"},
			"prompts":  node{"type": "array", "minItems": 1, "description": "rows as they stand in a file of JSON lines"},
			"s3Uri":    node{"type": "string", "pattern": "^s3://[^/]+/.+$", "description": "an object of the input bucket whose rows are asked for"},
			"version":  node{"type": "string", "description": "the object's version; default: the one that is there when the request is taken up"},
			"workload": settings,
			"attributes": node{"type": "object", "maxProperties": MaxAttributes,
				"additionalProperties": node{"type": "string", "minLength": 1, "maxLength": maxValue},
				"description":          "of the notice and its SNS message"},
		},
	}
	out, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the schema of a request: %w", err)
	}
	return append(out, '\n'), nil
}
