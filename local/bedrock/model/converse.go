package model

import "strings"

var block = shape{kind: members, fields: map[string]shape{
	"text":             {kind: text},
	"image":            {kind: members, open: true},
	"document":         {kind: members, open: true},
	"video":            {kind: members, open: true},
	"audio":            {kind: members, open: true},
	"toolUse":          {kind: members, open: true},
	"toolResult":       {kind: members, open: true},
	"guardContent":     {kind: members, open: true},
	"reasoningContent": {kind: members, open: true},
	"cachePoint":       {kind: members, open: true},
	"citationsContent": {kind: members, open: true},
	"searchResult":     {kind: members, open: true},
}}

var converseShape = shape{kind: members, fields: map[string]shape{
	"messages": shape{kind: list, of: &shape{kind: members, fields: map[string]shape{
		"role":    shape{kind: text, enum: []string{"user", "assistant"}}.must(),
		"content": shape{kind: list, of: &block}.must(),
	}}}.must(),
	"system": {kind: list, of: &shape{kind: members, fields: map[string]shape{
		"text": {kind: text}, "guardContent": {kind: members, open: true}, "cachePoint": {kind: members, open: true},
	}}},
	"inferenceConfig": {kind: members, fields: map[string]shape{
		"maxTokens":     {kind: integer, min: 1},
		"temperature":   {kind: decimal, max: 1},
		"topP":          {kind: decimal, max: 1},
		"stopSequences": {kind: list, of: &shape{kind: text, min: 1}, max: 2500},
	}},
	"additionalModelRequestFields":      {kind: members, open: true},
	"additionalModelResponseFieldPaths": {kind: list, of: &shape{kind: text}, max: 10},
	"guardrailConfig":                   {kind: members, open: true},
	"outputConfig":                      {kind: members, open: true},
	"performanceConfig":                 {kind: members, open: true},
	"promptVariables":                   {kind: members, open: true},
	"requestMetadata":                   {kind: members, open: true},
	"serviceTier":                       {kind: members, open: true},
	"toolConfig":                        {kind: members, open: true},
}}

// checkConverse refuses what depends on the model or on the way of calling.
func checkConverse(body object, req Request) error {
	if _, has := body["toolConfig"]; has && req.Batch {
		return invalid("Tool use is not supported in batch inference jobs with the Converse invocation type. Remove toolConfig and try again.")
	}
	if messages, ok := body["messages"].([]any); ok && len(messages) == 0 {
		return invalid("The conversation must start with a user message. Try again with a conversation that starts with a user message.")
	}
	if req.Model.Family == TitanText || req.Model.Family == MistralPrompt {
		if len(items(body, "system")) > 0 {
			return invalid("This model doesn't support the system field. Try again without the system field.")
		}
	}
	if fields := sub(body, "additionalModelRequestFields"); len(fields) > 0 && req.Model.Family == Anthropic {
		// The fields stand in the Messages body; what Converse itself fills
		// in may not stand there again.
		rest := map[string]shape{}
		for name, s := range anthropicShape.fields {
			switch name {
			case "anthropic_version", "max_tokens", "messages", "system", "temperature", "top_p", "stop_sequences":
			default:
				rest[name] = s
			}
		}
		if problems := pydantic.check("", fields, shape{kind: members, fields: rest}); len(problems) > 0 {
			return invalid("The model returned the following errors: %s", strings.Join(problems, "\n"))
		}
	}
	return nil
}

// converseCodec is the one body that every chat model takes.
var converseCodec = codec{
	dialect: malformed,
	shape:   converseShape,
	read: func(body object, chat *Chat) error {
		for i, m := range items(body, "messages") {
			message, _ := m.(object)
			content := items(message, "content")
			if len(content) == 0 {
				return invalid("The content field in the Message object at messages.%d is empty. Add a ContentBlock object to the content field and try again.", i)
			}
			for j, b := range content {
				element, _ := b.(object)
				if len(element) != 1 {
					return invalid("The ContentBlock at messages.%d.content.%d must set exactly one of its members.", i, j)
				}
				if t, ok := element["text"].(string); ok && strings.TrimSpace(t) == "" {
					return invalid("The text field in the ContentBlock object at messages.%d.content.%d is blank. Add text to the text field, and try again.", i, j)
				}
			}
			if err := checkMedia(i, message, content, chat.Model); err != nil {
				return err
			}
		}
		if n := documents(body); n > 5 {
			return invalid("The request holds %d documents, the maximum is 5. Remove documents and try again.", n)
		}
		readTurns(body, chat)
		if chat.Turns[0].Role != "user" {
			return invalid("A conversation must start with a user message. Try again with a conversation that starts with a user message.")
		}
		for i := 1; i < len(chat.Turns); i++ {
			if chat.Turns[i].Role == chat.Turns[i-1].Role && chat.Model.Family != Anthropic {
				return invalid("A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.")
			}
		}
		chat.System, _ = joined(body["system"])
		config := sub(body, "inferenceConfig")
		chat.MaxTokens = count(config, "maxTokens")
		chat.Stop = texts(config, "stopSequences")
		chat.Temperature, chat.TopP = float(config, "temperature"), float(config, "topP")
		extra := sub(body, "additionalModelRequestFields")
		thinking := sub(extra, "thinking")
		chat.Think = str(thinking, "type") == "enabled" || str(sub(extra, "reasoningConfig"), "type") == "enabled"
		return nil
	},
	write: func(chat Chat, done Completion) any {
		var content []any
		if done.Reasoning != "" {
			content = append(content, ordered{{"reasoningContent", ordered{{"reasoningText", ordered{{"text", done.Reasoning}}}}}})
		}
		content = append(content, ordered{{"text", done.Text}})
		return ordered{
			{"output", ordered{{"message", ordered{{"role", "assistant"}, {"content", content}}}}},
			{"stopReason", named(done, "end_turn", "max_tokens", "stop_sequence", "content_filtered")},
			{"usage", usage(done, "inputTokens", "outputTokens", "totalTokens")},
			{"metrics", ordered{{"latencyMs", 200 + int(chat.Seed%1800)}}},
		}
	},
}
