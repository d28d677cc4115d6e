package prompt_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

// All members that the two services' requests have, as of November 2026, each
// with a value that asks for something. What is not mapped is left out because
// it changes nothing about the answer, or refused with its name in the reason.
var (
	chatMembers = map[string]string{
		"audio": `{"voice":"alloy","format":"wav"}`, "frequency_penalty": `0.5`, "function_call": `{"name":"f"}`, "functions": `[{"name":"f"}]`,
		"logit_bias": `{"1":5}`, "logprobs": `true`, "max_completion_tokens": `7`, "max_tokens": `7`, "metadata": `{"a":"b"}`,
		"modalities": `["text","audio"]`, "n": `2`, "parallel_tool_calls": `true`, "prediction": `{"type":"content","content":"x"}`,
		"presence_penalty": `0.5`, "prompt_cache_key": `"k"`, "prompt_cache_retention": `"24h"`, "reasoning_effort": `"low"`,
		"response_format": `{"type":"json_object"}`, "safety_identifier": `"u"`, "seed": `7`, "service_tier": `"flex"`, "stop": `["x"]`,
		"store": `true`, "stream": `true`, "stream_options": `{"include_usage":true}`, "temperature": `0.5`, "tool_choice": `"required"`,
		"tools": `[{"type":"function","function":{"name":"f"}}]`, "top_logprobs": `3`, "top_p": `0.5`, "user": `"u"`, "verbosity": `"low"`,
		"web_search_options": `{}`,
	}
	embeddingMembers = map[string]string{"dimensions": `256`, "encoding_format": `"base64"`, "user": `"u"`}
	messageMembers   = map[string]string{
		"cache_control": `{"type":"ephemeral"}`, "container": `"c"`, "context_management": `{}`, "diagnostics": `{}`, "fallbacks": `[{}]`,
		"inference_geo": `"us"`, "max_tokens": `7`, "mcp_servers": `[{}]`, "metadata": `{"user_id":"u"}`, "output_config": `{"effort":"low"}`,
		"output_format": `{}`, "service_tier": `"auto"`, "speed": `"fast"`, "stop_sequences": `["x"]`, "stream": `true`, "system": `"S"`,
		"temperature": `0.5`, "thinking": `{"type":"enabled","budget_tokens":1024}`, "tool_choice": `{"type":"any"}`, "tools": `[{"name":"t"}]`,
		"top_k": `5`, "top_p": `0.5`,
	}
)

func TestEveryMemberOfARequestIsMappedOrRefusedByName(t *testing.T) {
	for _, c := range []struct {
		name, yaml, envelope, rest string
		format                     dataset.Format
		members                    map[string]string
		// what each mapped member becomes; left are those that change nothing
		mapped map[string]string
		left   string
	}{
		{"chat completions", nova, "body", hi, dataset.OpenAI, chatMembers, map[string]string{
			"max_completion_tokens": `"maxTokens":7`, "max_tokens": `"maxTokens":7`, "temperature": `"temperature":0.5`, "top_p": `"topP":0.5`, "stop": `"stopSequences":["x"]`,
		}, "metadata parallel_tool_calls prompt_cache_key prompt_cache_retention safety_identifier service_tier store stream_options user"},
		{"embeddings", titan, "body", `"input":"x"`, dataset.OpenAI, embeddingMembers, map[string]string{"dimensions": `"dimensions":256`}, "user"},
		{"messages for another model", nova, "params", hi, dataset.Anthropic, messageMembers, map[string]string{
			"max_tokens": `"maxTokens":7`, "stop_sequences": `"stopSequences":["x"]`, "system": `"system":[{"text":"S"}]`, "temperature": `"temperature":0.5`, "top_p": `"topP":0.5`,
		}, "cache_control metadata service_tier"},
	} {
		left := strings.Fields(c.left)
		for member, value := range c.members {
			got, bad := renderOne(t, settings(t, c.yaml), c.format, `{"custom_id":"a","`+c.envelope+`":{`+c.rest+`,"`+member+`":`+value+`}}`)
			plain, _ := renderOne(t, settings(t, c.yaml), c.format, `{"custom_id":"a","`+c.envelope+`":{`+c.rest+`}}`)
			switch want, mapped := c.mapped[member]; {
			case mapped:
				if bad != nil || !strings.Contains(got, want) {
					t.Errorf("%s: %s: got %s %+v, want %s", c.name, member, got, bad, want)
				}
			case slices.Contains(left, member):
				if bad != nil || got != plain {
					t.Errorf("%s: %s: got %s %+v, want it left out", c.name, member, got, bad)
				}
			case bad == nil || !strings.HasPrefix(bad.Reason, member+" "):
				t.Errorf("%s: %s: got %s %+v, want it refused by name", c.name, member, got, bad)
			}
		}
	}
}

func TestMembersOfMessagesAreMappedOrRefusedByName(t *testing.T) {
	for member, value := range map[string]string{"name": `"n"`, "audio": `{"id":"x"}`, "tool_calls": `[{}]`, "tool_call_id": `"x"`, "function_call": `{}`, "reasoning_content": `"x"`} {
		_, bad := renderOne(t, settings(t, nova), dataset.OpenAI, `{"custom_id":"a","body":{"messages":[{"role":"user","content":"Hi","`+member+`":`+value+`}]}}`)
		if bad == nil || !strings.HasPrefix(bad.Reason, "messages."+member+" ") {
			t.Errorf("OpenAI's %s: %+v", member, bad)
		}
	}
	for kind, named := range map[string]string{
		`{"type":"document","source":{"type":"text","data":"D"},"context":"c"}`:                  "document.context ",
		`{"type":"document","source":{"type":"text","data":"D"},"citations":{"enabled":true}}`:   "document.citations ",
		`{"citations":{"enabled":true},"source":{"type":"text","data":"D"},"type":"document"}`:   "document.citations ",
		`{"type":"image","source":{"type":"file","file_id":"f"}}`:                                "block image must hold its data",
		`{"type":"search_result","content":[]}`:                                                  "block search_result ",
		`{"type":"thinking","thinking":"x","signature":"y"}`:                                     "block thinking ",
		`{"type":"redacted_thinking","data":"x"}`:                                                "block redacted_thinking ",
		`{"type":"tool_use","id":"x","name":"t","input":{}}`:                                     "block tool_use ",
		`{"type":"tool_result","tool_use_id":"x"}`:                                               "block tool_result ",
		`{"type":"server_tool_use","id":"x"}`:                                                    "block server_tool_use ",
		`{"type":"container_upload","file_id":"x"}`:                                              "block container_upload ",
		`{"type":"text","text":"x","citations":null,"cache_control":{"type":"ephemeral"}}`:       "",
		`{"type":"document","source":{"type":"text","data":"D"},"citations":{"enabled": false}}`: "",
	} {
		_, bad := renderOne(t, settings(t, nova), dataset.Anthropic, `{"custom_id":"a","params":{"messages":[{"role":"user","content":[`+kind+`]}]}}`)
		if named == "" && bad != nil || named != "" && (bad == nil || !strings.HasPrefix(bad.Reason, named)) {
			t.Errorf("Anthropic's %s: %+v", kind, bad)
		}
	}
}
