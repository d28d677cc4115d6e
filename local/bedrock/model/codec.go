package model

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// codec is a family: how its bodies must look, how to read one and how to
// dress an answer.
type codec struct {
	dialect dialect
	shape   shape
	// read fills the chat from a checked body; an error is a refusal that the
	// shape cannot express.
	read func(body object, chat *Chat) error
	// write dresses the completion.
	write func(chat Chat, done Completion) any
}

// codecs are the chat families; embeddings have their own way.
var codecs = map[Family]codec{
	Anthropic:      anthropicCodec,
	Nova:           novaCodec,
	TitanText:      titanCodec,
	Llama:          llamaCodec,
	MistralPrompt:  mistralPromptCodec,
	MistralChat:    mistralChatCodec,
	CohereChat:     cohereCodec,
	DeepSeekPrompt: deepseekCodec,
	OpenAI:         openaiCodec,
}

// answerer joins the families with a backend.
type answerer struct{ backend Completer }

// Answering answers every family's bodies with the texts of backend.
func Answering(backend Completer) Answerer { return answerer{backend} }

// BuiltIn answers with texts that depend on the body and the seed alone.
func BuiltIn(rates Rates) Answerer { return Answering(composer{rates}) }

// Answer checks the body, lets the backend write and dresses the text.
func (a answerer) Answer(ctx context.Context, req Request) (Result, error) {
	body, err := parse(req.Body)
	if err != nil {
		return Result{}, invalid("Malformed input request, please reformat your input and try again.")
	}
	family := codecs[req.Model.Family]
	switch {
	case req.Converse && req.Model.Embeds():
		return Result{}, invalid("This action doesn't support the model that you provided. Try again with a supported text or chat model.")
	case req.Converse:
		if err := checkConverse(body, req); err != nil {
			return Result{}, err
		}
		family = converseCodec
	case req.Model.Embeds():
		return embed(req, body)
	case family.write == nil:
		return Result{}, &Error{Status: 500, Code: "InternalServerException", Message: fmt.Sprintf("the built-in model has no family %q", req.Model.Family)}
	}
	if err := family.dialect.refuse(body, family.shape); err != nil {
		return Result{}, err
	}
	chat := Chat{Model: req.Model, Seed: mix(req.Seed, req.Body)}
	if err := family.read(body, &chat); err != nil {
		return Result{}, err
	}
	if chat.MaxTokens == 0 {
		chat.MaxTokens = 4096
	}
	done, err := a.backend.Complete(ctx, chat)
	if err != nil {
		return Result{}, err
	}
	return Result{
		Body:         appendJSON(nil, family.write(chat, done)),
		InputTokens:  int64(done.InputTokens),
		OutputTokens: int64(done.OutputTokens),
	}, nil
}

// mix hashes a seed and a body.
func mix(seed uint64, body []byte) uint64 {
	h := fnv.New64a()
	h.Write(strconv.AppendUint(nil, seed, 16))
	h.Write(body)
	return h.Sum64()
}

// identifier makes ids of answers, the same for the same body.
func identifier(chat Chat) string { return fmt.Sprintf("%016x", chat.Seed*0x9E3779B97F4A7C15) }

// usage is the three counts by the names a family gives them.
func usage(done Completion, input, output, total string) ordered {
	o := ordered{{input, done.InputTokens}, {output, done.OutputTokens}}
	if total != "" {
		o = append(o, pair{total, done.InputTokens + done.OutputTokens})
	}
	return o
}

// named picks the family's word for a stop reason.
func named(done Completion, end, length, sequence, refused string) string {
	switch done.Stop {
	case MaxTokens:
		return length
	case StopSequence:
		return sequence
	case Refused:
		return refused
	}
	return end
}

// joined is the texts of a content list: its text members joined, and how many
// elements hold something else.
func joined(content any) (string, int) {
	switch v := content.(type) {
	case string:
		return v, 0
	case []any:
		var parts []string
		media := 0
		for _, element := range v {
			block, _ := element.(object)
			if t, ok := block["text"].(string); ok {
				parts = append(parts, t)
			} else {
				media++
			}
		}
		return strings.Join(parts, "\n"), media
	}
	return "", 0
}

// readTurns reads messages of role and content, as most families have them.
func readTurns(body object, chat *Chat) {
	for _, m := range items(body, "messages") {
		message, _ := m.(object)
		text, media := joined(message["content"])
		switch role := str(message, "role"); role {
		case "system", "developer":
			chat.System = strings.TrimPrefix(chat.System+"\n"+text, "\n")
		default:
			chat.Turns = append(chat.Turns, Turn{Role: role, Text: text, Media: media})
		}
	}
}
