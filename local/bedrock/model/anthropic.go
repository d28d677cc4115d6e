package model

import "strings"

var contentBlock = shape{kind: members, open: true, fields: map[string]shape{
	"type": shape{kind: text, enum: []string{"text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking", "search_result"}}.must(),
}}

var anthropicShape = shape{kind: members, fields: map[string]shape{
	"anthropic_version": shape{kind: text}.must(),
	"anthropic_beta":    {kind: list, of: &shape{kind: text}},
	"max_tokens":        shape{kind: integer, min: 1}.must(),
	"messages": shape{kind: list, min: 1, of: &shape{kind: members, fields: map[string]shape{
		"role":    shape{kind: text, enum: []string{"user", "assistant"}}.must(),
		"content": shape{kind: list, of: &contentBlock, either: &shape{kind: text}}.must(),
	}}}.must(),
	"system":             {kind: list, of: &contentBlock, either: &shape{kind: text}},
	"temperature":        {kind: decimal, max: 1},
	"top_p":              {kind: decimal, max: 1},
	"top_k":              {kind: integer},
	"stop_sequences":     {kind: list, of: &shape{kind: text}},
	"thinking":           {kind: members, open: true, fields: map[string]shape{"type": shape{kind: text, enum: []string{"enabled", "disabled", "adaptive"}}.must(), "budget_tokens": {kind: integer, min: 1024}}},
	"tools":              {kind: list, of: &shape{kind: members, open: true}},
	"tool_choice":        {kind: members, open: true},
	"metadata":           {kind: members, open: true},
	"output_config":      {kind: members, open: true},
	"output_format":      {kind: members, open: true},
	"context_management": {kind: members, open: true},
}}

// anthropicCodec is the Messages API as Bedrock takes it: the model comes from
// the call, the version is in the body.
var anthropicCodec = codec{
	dialect: pydantic,
	shape:   anthropicShape,
	read: func(body object, chat *Chat) error {
		if v := str(body, "anthropic_version"); v != "bedrock-2023-05-31" {
			return invalid("anthropic_version: Invalid version. Supported versions are: bedrock-2023-05-31")
		}
		for i, m := range items(body, "messages") {
			message, _ := m.(object)
			if content, ok := message["content"].(string); ok && content == "" || ok && strings.TrimSpace(content) == "" {
				return invalid("messages.%d: user messages must have non-empty content", i)
			}
			for j, b := range items(message, "content") {
				block, _ := b.(object)
				if t, has := block["text"]; str(block, "type") == "text" {
					if s, ok := t.(string); !has || !ok {
						return invalid("messages.%d.content.%d.text.text: Field required", i, j)
					} else if strings.TrimSpace(s) == "" {
						return invalid("messages: text content blocks must be non-empty")
					}
				}
			}
		}
		readTurns(body, chat)
		if len(chat.Turns) > 0 && chat.Turns[0].Role != "user" {
			return invalid("messages: first message must use the \"user\" role")
		}
		chat.System, _ = joined(body["system"])
		chat.MaxTokens = count(body, "max_tokens")
		chat.Stop = texts(body, "stop_sequences")
		chat.Temperature, chat.TopP = float(body, "temperature"), float(body, "top_p")
		thinking := sub(body, "thinking")
		chat.Think = str(thinking, "type") == "enabled" || str(thinking, "type") == "adaptive"
		if budget := count(thinking, "budget_tokens"); chat.Think && budget >= chat.MaxTokens {
			return invalid("`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size")
		}
		return nil
	},
	write: func(chat Chat, done Completion) any {
		var content []any
		if done.Reasoning != "" {
			content = append(content, ordered{{"type", "thinking"}, {"thinking", done.Reasoning}, {"signature", identifier(chat)}})
		}
		content = append(content, ordered{{"type", "text"}, {"text", done.Text}})
		var sequence any
		if done.Stop == StopSequence {
			sequence = done.StopText
		}
		name := strings.TrimPrefix(chat.Model.ID, "anthropic.")
		if i := strings.LastIndex(name, "-v"); i > 0 {
			name = name[:i]
		}
		return ordered{
			{"model", name},
			{"id", "msg_bdrk_" + identifier(chat)},
			{"type", "message"},
			{"role", "assistant"},
			{"content", content},
			{"stop_reason", named(done, "end_turn", "max_tokens", "stop_sequence", "refusal")},
			{"stop_sequence", sequence},
			{"usage", append(usage(done, "input_tokens", "output_tokens", ""),
				pair{"cache_creation_input_tokens", 0}, pair{"cache_read_input_tokens", 0})},
		}
	},
}
