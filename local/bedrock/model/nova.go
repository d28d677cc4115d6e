package model

// novaCodec is Amazon Nova's own body.
var novaCodec = codec{
	dialect: malformed,
	shape: shape{kind: members, fields: map[string]shape{
		"schemaVersion": {kind: text, enum: []string{"messages-v1"}},
		"messages": shape{kind: list, min: 1, of: &shape{kind: members, fields: map[string]shape{
			"role":    shape{kind: text, enum: []string{"user", "assistant"}}.must(),
			"content": shape{kind: list, min: 1, of: &block}.must(),
		}}}.must(),
		"system": {kind: list, of: &shape{kind: members, fields: map[string]shape{"text": {kind: text}, "cachePoint": {kind: members, open: true}}}},
		"inferenceConfig": {kind: members, fields: map[string]shape{
			"maxTokens":       {kind: integer, min: 1},
			"max_new_tokens":  {kind: integer, min: 1},
			"temperature":     {kind: decimal, max: 1},
			"topP":            {kind: decimal, max: 1},
			"topK":            {kind: integer},
			"stopSequences":   {kind: list, of: &shape{kind: text}},
			"reasoningConfig": {kind: members, open: true},
		}},
		"toolConfig":      {kind: members, open: true},
		"reasoningConfig": {kind: members, open: true},
	}},
	read: func(body object, chat *Chat) error {
		readTurns(body, chat)
		chat.System, _ = joined(body["system"])
		config := sub(body, "inferenceConfig")
		chat.MaxTokens = max(count(config, "maxTokens"), count(config, "max_new_tokens"))
		chat.Stop = texts(config, "stopSequences")
		chat.Temperature, chat.TopP = float(config, "temperature"), float(config, "topP")
		chat.Think = str(sub(body, "reasoningConfig"), "type") == "enabled"
		return nil
	},
	write: func(chat Chat, done Completion) any {
		var content []any
		if done.Reasoning != "" {
			content = append(content, ordered{{"reasoningContent", ordered{{"reasoningText", ordered{{"text", done.Reasoning}}}}}})
		}
		content = append(content, ordered{{"text", done.Text}})
		return ordered{
			{"output", ordered{{"message", ordered{{"content", content}, {"role", "assistant"}}}}},
			{"stopReason", named(done, "end_turn", "max_tokens", "stop_sequence", "content_filtered")},
			{"usage", append(usage(done, "inputTokens", "outputTokens", "totalTokens"),
				pair{"cacheReadInputTokenCount", 0}, pair{"cacheWriteInputTokenCount", 0})},
		}
	},
}
