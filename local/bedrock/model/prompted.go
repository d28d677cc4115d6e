package model

// prompted reads a body whose whole conversation is one text.
func prompted(body object, chat *Chat, prompt, maxTokens, stop string) error {
	chat.Turns = []Turn{{Role: "user", Text: str(body, prompt)}}
	chat.MaxTokens = count(body, maxTokens)
	chat.Stop = texts(body, stop)
	chat.Temperature, chat.TopP = float(body, "temperature"), float(body, "top_p")
	return nil
}

var stops = shape{kind: list, of: &shape{kind: text}}

// llamaCodec is Meta's body: one prompt with its header tokens.
var llamaCodec = codec{
	dialect: malformed,
	shape: shape{kind: members, fields: map[string]shape{
		"prompt":      shape{kind: text, min: 1}.must(),
		"max_gen_len": {kind: integer, min: 1, max: 8192},
		"temperature": {kind: decimal, max: 1},
		"top_p":       {kind: decimal, max: 1},
		"images":      {kind: list, of: &shape{kind: text}},
	}},
	read: func(body object, chat *Chat) error {
		if len(items(body, "images")) > 0 && !chat.Model.Vision() {
			return invalid("Malformed input request: extraneous key [images] is not permitted, please reformat your input and try again.")
		}
		err := prompted(body, chat, "prompt", "max_gen_len", "")
		if chat.MaxTokens == 0 {
			chat.MaxTokens = 512 // the family's default
		}
		return err
	},
	write: func(_ Chat, done Completion) any {
		return ordered{
			{"generation", done.Text},
			{"prompt_token_count", done.InputTokens},
			{"generation_token_count", done.OutputTokens},
			{"stop_reason", named(done, "stop", "length", "stop", "stop")},
		}
	},
}

// mistralPromptCodec is Mistral's older body.
var mistralPromptCodec = codec{
	dialect: malformed,
	shape: shape{kind: members, fields: map[string]shape{
		"prompt":      shape{kind: text, min: 1}.must(),
		"max_tokens":  {kind: integer, min: 1},
		"temperature": {kind: decimal, max: 1},
		"top_p":       {kind: decimal, max: 1},
		"top_k":       {kind: integer, max: 200},
		"stop":        stops,
	}},
	read: func(body object, chat *Chat) error { return prompted(body, chat, "prompt", "max_tokens", "stop") },
	write: func(_ Chat, done Completion) any {
		return ordered{{"outputs", []any{ordered{{"text", " " + done.Text}, {"stop_reason", named(done, "stop", "length", "stop", "stop")}}}}}
	},
}

// deepseekCodec is DeepSeek-R1's body.
var deepseekCodec = codec{
	dialect: malformed,
	shape: shape{kind: members, fields: map[string]shape{
		"prompt":      shape{kind: text, min: 1}.must(),
		"max_tokens":  {kind: integer, min: 1, max: 32768},
		"temperature": {kind: decimal, max: 1},
		"top_p":       {kind: decimal, max: 1},
		"stop":        {kind: list, of: &shape{kind: text}, max: 10},
	}},
	read: func(body object, chat *Chat) error { return prompted(body, chat, "prompt", "max_tokens", "stop") },
	write: func(_ Chat, done Completion) any {
		answer := done.Text
		if done.Reasoning != "" {
			answer = done.Reasoning + "\n</think>\n\n" + answer
		}
		return ordered{{"choices", []any{ordered{{"text", answer}, {"stop_reason", named(done, "stop", "length", "stop", "stop")}}}}}
	},
}

// titanCodec is Titan Text's body.
var titanCodec = codec{
	dialect: malformed,
	shape: shape{kind: members, fields: map[string]shape{
		"inputText": shape{kind: text, min: 1}.must(),
		"textGenerationConfig": {kind: members, fields: map[string]shape{
			"maxTokenCount": {kind: integer, min: 1, max: 8192},
			"temperature":   {kind: decimal, max: 1},
			"topP":          {kind: decimal, max: 1},
			"stopSequences": stops,
		}},
	}},
	read: func(body object, chat *Chat) error {
		config := sub(body, "textGenerationConfig")
		chat.Turns = []Turn{{Role: "user", Text: str(body, "inputText")}}
		chat.MaxTokens = count(config, "maxTokenCount")
		if chat.MaxTokens == 0 {
			chat.MaxTokens = 512 // the family's default
		}
		chat.Stop = texts(config, "stopSequences")
		chat.Temperature, chat.TopP = float(config, "temperature"), float(config, "topP")
		return nil
	},
	write: func(_ Chat, done Completion) any {
		return ordered{
			{"inputTextTokenCount", done.InputTokens},
			{"results", []any{ordered{
				{"tokenCount", done.OutputTokens},
				{"outputText", done.Text},
				{"completionReason", named(done, "FINISH", "LENGTH", "FINISH", "CONTENT_FILTERED")},
			}}},
		}
	},
}

// cohereCodec is Command R's body.
var cohereCodec = codec{
	dialect: malformed,
	shape: shape{kind: members, fields: map[string]shape{
		"message": shape{kind: text, min: 1}.must(),
		"chat_history": {kind: list, of: &shape{kind: members, open: true, fields: map[string]shape{
			"role":    shape{kind: text, enum: []string{"USER", "CHATBOT"}}.must(),
			"message": shape{kind: text}.must(),
		}}},
		"preamble":            {kind: text},
		"max_tokens":          {kind: integer, min: 1},
		"temperature":         {kind: decimal, max: 1},
		"p":                   {kind: decimal, max: 1},
		"k":                   {kind: decimal, max: 500},
		"documents":           {kind: list},
		"search_queries_only": {kind: boolean},
		"prompt_truncation":   {kind: text},
		"frequency_penalty":   {kind: decimal, max: 1},
		"presence_penalty":    {kind: decimal, max: 1},
		"seed":                {kind: integer},
		"return_prompt":       {kind: boolean},
		"tools":               {kind: list},
		"tool_results":        {kind: list},
		"stop_sequences":      stops,
		"raw_prompting":       {kind: boolean},
	}},
	read: func(body object, chat *Chat) error {
		for _, h := range items(body, "chat_history") {
			turn, _ := h.(object)
			role := "user"
			if str(turn, "role") == "CHATBOT" {
				role = "assistant"
			}
			chat.Turns = append(chat.Turns, Turn{Role: role, Text: str(turn, "message")})
		}
		chat.Turns = append(chat.Turns, Turn{Role: "user", Text: str(body, "message")})
		chat.System = str(body, "preamble")
		chat.MaxTokens = count(body, "max_tokens")
		chat.Stop = texts(body, "stop_sequences")
		chat.Temperature, chat.TopP = float(body, "temperature"), float(body, "p")
		return nil
	},
	write: func(chat Chat, done Completion) any {
		history := make([]any, 0, len(chat.Turns)+1)
		for _, t := range chat.Turns {
			role := "USER"
			if t.Role == "assistant" {
				role = "CHATBOT"
			}
			history = append(history, ordered{{"role", role}, {"message", t.Text}})
		}
		history = append(history, ordered{{"role", "CHATBOT"}, {"message", done.Text}})
		return ordered{
			{"response_id", identifier(chat)},
			{"text", done.Text},
			{"generation_id", identifier(chat)},
			{"chat_history", history},
			{"finish_reason", named(done, "COMPLETE", "MAX_TOKENS", "STOP_SEQUENCE", "ERROR_TOXIC")},
		}
	},
}
