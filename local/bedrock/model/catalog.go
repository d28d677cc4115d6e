package model

import (
	"cmp"
	"slices"
	"strings"
)

// Model is a base model of the catalogue.
type Model struct {
	ID       string // such as amazon.nova-lite-v1:0
	Name     string
	Provider string // as the API shows it
	Family   Family
	// OnDemand says that the base id itself may be named; otherwise only a
	// profile may.
	OnDemand bool
	// Profiles are the geographies with an inference profile (us, eu, global).
	Profiles []string
	// Batch says that jobs may name it.
	Batch bool
	// MinRecords and MaxRecords bound a job.
	MinRecords, MaxRecords int64
	// Dimensions of an embedding by default.
	Dimensions int
}

// Embeds says that the model answers with vectors.
func (m Model) Embeds() bool {
	switch m.Family {
	case TitanEmbed, TitanImage, CohereEmbed, NovaEmbed:
		return true
	}
	return false
}

// Vision says that the model takes images.
func (m Model) Vision() bool {
	switch m.Family {
	case Anthropic, TitanImage:
		return true
	case Nova:
		return !strings.Contains(m.ID, "micro")
	case Llama:
		return strings.Contains(m.ID, "llama3-2-11b") || strings.Contains(m.ID, "llama3-2-90b") || strings.Contains(m.ID, "llama4")
	case MistralChat:
		return strings.Contains(m.ID, "pixtral")
	}
	return false
}

// row is one line of the catalogue: id, name, family, where it may be named.
// In where, "base" is the bare id, the rest are profile geographies; "live"
// means that jobs may not name it.
type row struct {
	id, name string
	family   Family
	where    string
}

var rows = []row{
	{"anthropic.claude-3-haiku-20240307-v1:0", "Claude 3 Haiku", Anthropic, "base us eu apac"},
	{"anthropic.claude-3-sonnet-20240229-v1:0", "Claude 3 Sonnet", Anthropic, "base us eu apac"},
	{"anthropic.claude-3-opus-20240229-v1:0", "Claude 3 Opus", Anthropic, "base us"},
	{"anthropic.claude-3-5-haiku-20241022-v1:0", "Claude 3.5 Haiku", Anthropic, "base us"},
	{"anthropic.claude-3-5-sonnet-20240620-v1:0", "Claude 3.5 Sonnet", Anthropic, "base us eu apac"},
	{"anthropic.claude-3-5-sonnet-20241022-v2:0", "Claude 3.5 Sonnet v2", Anthropic, "base us apac"},
	{"anthropic.claude-3-7-sonnet-20250219-v1:0", "Claude 3.7 Sonnet", Anthropic, "us eu apac"},
	{"anthropic.claude-sonnet-4-20250514-v1:0", "Claude Sonnet 4", Anthropic, "us eu apac global"},
	{"anthropic.claude-opus-4-20250514-v1:0", "Claude Opus 4", Anthropic, "us live"},
	{"anthropic.claude-opus-4-1-20250805-v1:0", "Claude Opus 4.1", Anthropic, "us live"},
	{"anthropic.claude-sonnet-4-5-20250929-v1:0", "Claude Sonnet 4.5", Anthropic, "us eu jp au global"},
	{"anthropic.claude-haiku-4-5-20251001-v1:0", "Claude Haiku 4.5", Anthropic, "us eu jp au global"},
	{"anthropic.claude-opus-4-5-20251101-v1:0", "Claude Opus 4.5", Anthropic, "us eu global"},
	{"anthropic.claude-opus-4-6-v1", "Claude Opus 4.6", Anthropic, "us eu global"},
	{"anthropic.claude-sonnet-4-6", "Claude Sonnet 4.6", Anthropic, "us eu global"},
	{"amazon.nova-micro-v1:0", "Nova Micro", Nova, "base us eu apac"},
	{"amazon.nova-lite-v1:0", "Nova Lite", Nova, "base us eu apac"},
	{"amazon.nova-pro-v1:0", "Nova Pro", Nova, "base us eu apac"},
	{"amazon.nova-premier-v1:0", "Nova Premier", Nova, "us"},
	{"amazon.nova-2-lite-v1:0", "Nova 2 Lite", Nova, "us eu jp global"},
	{"amazon.nova-2-multimodal-embeddings-v1:0", "Nova Multimodal Embeddings", NovaEmbed, "base"},
	{"amazon.titan-text-lite-v1", "Titan Text G1 - Lite", TitanText, "base live"},
	{"amazon.titan-text-express-v1", "Titan Text G1 - Express", TitanText, "base live"},
	{"amazon.titan-text-premier-v1:0", "Titan Text G1 - Premier", TitanText, "base live"},
	{"amazon.titan-embed-text-v1", "Titan Embeddings G1 - Text", TitanEmbed, "base live"},
	{"amazon.titan-embed-text-v2:0", "Titan Text Embeddings V2", TitanEmbed, "base"},
	{"amazon.titan-embed-image-v1", "Titan Multimodal Embeddings G1", TitanImage, "base"},
	{"meta.llama3-1-8b-instruct-v1:0", "Llama 3.1 8B Instruct", Llama, "base us"},
	{"meta.llama3-1-70b-instruct-v1:0", "Llama 3.1 70B Instruct", Llama, "base us"},
	{"meta.llama3-1-405b-instruct-v1:0", "Llama 3.1 405B Instruct", Llama, "base us"},
	{"meta.llama3-2-1b-instruct-v1:0", "Llama 3.2 1B Instruct", Llama, "us eu"},
	{"meta.llama3-2-3b-instruct-v1:0", "Llama 3.2 3B Instruct", Llama, "us eu"},
	{"meta.llama3-2-11b-instruct-v1:0", "Llama 3.2 11B Instruct", Llama, "us"},
	{"meta.llama3-2-90b-instruct-v1:0", "Llama 3.2 90B Instruct", Llama, "us"},
	{"meta.llama3-3-70b-instruct-v1:0", "Llama 3.3 70B Instruct", Llama, "us"},
	{"meta.llama4-scout-17b-instruct-v1:0", "Llama 4 Scout 17B Instruct", Llama, "us"},
	{"meta.llama4-maverick-17b-instruct-v1:0", "Llama 4 Maverick 17B Instruct", Llama, "us"},
	{"mistral.mistral-7b-instruct-v0:2", "Mistral 7B Instruct", MistralPrompt, "base live"},
	{"mistral.mixtral-8x7b-instruct-v0:1", "Mixtral 8x7B Instruct", MistralPrompt, "base live"},
	{"mistral.mistral-large-2402-v1:0", "Mistral Large (24.02)", MistralPrompt, "base live"},
	{"mistral.mistral-small-2402-v1:0", "Mistral Small (24.02)", MistralPrompt, "base"},
	{"mistral.mistral-large-2407-v1:0", "Mistral Large (24.07)", MistralChat, "base"},
	{"mistral.pixtral-large-2502-v1:0", "Pixtral Large (25.02)", MistralChat, "us eu live"},
	{"mistral.devstral-2-123b", "Devstral 2 123B", MistralChat, "base"},
	{"cohere.command-r-v1:0", "Command R", CohereChat, "base live"},
	{"cohere.command-r-plus-v1:0", "Command R+", CohereChat, "base live"},
	{"cohere.embed-english-v3", "Embed English", CohereEmbed, "base live"},
	{"cohere.embed-multilingual-v3", "Embed Multilingual", CohereEmbed, "base live"},
	{"cohere.embed-v4:0", "Embed v4", CohereEmbed, "base us eu global live"},
	{"deepseek.r1-v1:0", "DeepSeek-R1", DeepSeekPrompt, "us live"},
	{"deepseek.v3-v1:0", "DeepSeek-V3.1", OpenAI, "base"},
	{"deepseek.v3.2", "DeepSeek-V3.2", OpenAI, "base"},
	{"openai.gpt-oss-20b-1:0", "gpt-oss-20b", OpenAI, "base"},
	{"openai.gpt-oss-120b-1:0", "gpt-oss-120b", OpenAI, "base"},
	{"qwen.qwen3-32b-v1:0", "Qwen3 32B", OpenAI, "base"},
	{"qwen.qwen3-coder-30b-a3b-v1:0", "Qwen3 Coder 30B A3B", OpenAI, "base"},
	{"qwen.qwen3-235b-a22b-2507-v1:0", "Qwen3 235B A22B 2507", OpenAI, "base"},
	{"qwen.qwen3-coder-480b-a35b-v1:0", "Qwen3 Coder 480B A35B", OpenAI, "base"},
	{"google.gemma-3-4b-it", "Gemma 3 4B", OpenAI, "base"},
	{"google.gemma-3-12b-it", "Gemma 3 12B", OpenAI, "base"},
	{"google.gemma-3-27b-it", "Gemma 3 27B", OpenAI, "base"},
	{"minimax.minimax-m2.1", "MiniMax M2.1", OpenAI, "base"},
	{"moonshotai.kimi-k2.5", "Kimi K2.5", OpenAI, "base"},
	{"nvidia.nemotron-nano-12b-v2", "Nemotron Nano 12B v2", OpenAI, "base"},
	{"zai.glm-4.7-flash", "GLM 4.7 Flash", OpenAI, "base"},
	{"ai21.jamba-1-5-large-v1:0", "Jamba 1.5 Large", OpenAI, "base live"},
	{"ai21.jamba-1-5-mini-v1:0", "Jamba 1.5 Mini", OpenAI, "base live"},
	{"writer.palmyra-x5-v1:0", "Palmyra X5", OpenAI, "us live"},
}

var providers = map[string]string{
	"anthropic": "Anthropic", "amazon": "Amazon", "meta": "Meta", "mistral": "Mistral AI",
	"cohere": "Cohere", "deepseek": "DeepSeek", "openai": "OpenAI", "qwen": "Qwen", "google": "Google",
	"minimax": "MiniMax", "moonshotai": "Moonshot AI", "nvidia": "NVIDIA", "zai": "Z.AI",
	"ai21": "AI21 Labs", "writer": "Writer",
}

var catalogue = func() []Model {
	models := make([]Model, 0, len(rows))
	for _, r := range rows {
		label, _, _ := strings.Cut(r.id, ".")
		m := Model{ID: r.id, Name: r.name, Provider: providers[label], Family: r.family,
			Batch: true, MinRecords: 100, MaxRecords: 50_000}
		for _, where := range strings.Fields(r.where) {
			switch where {
			case "base":
				m.OnDemand = true
			case "live":
				m.Batch = false
			default:
				m.Profiles = append(m.Profiles, where)
			}
		}
		switch {
		case strings.Contains(r.id, "llama4-scout"):
			m.MinRecords = 50 // the one model with a lower minimum in the quota table
		case r.id == "amazon.titan-embed-text-v2:0":
			m.MaxRecords, m.Dimensions = 100_000, 1024
		case r.id == "amazon.titan-embed-text-v1", r.id == "cohere.embed-v4:0":
			m.Dimensions = 1536
		case m.Family == NovaEmbed:
			m.Dimensions = 3072
		case m.Family == TitanImage, m.Family == CohereEmbed:
			m.Dimensions = 1024
		}
		models = append(models, m)
	}
	slices.SortFunc(models, func(a, b Model) int { return cmp.Compare(a.ID, b.ID) })
	return models
}()

// Catalogue is all base models, by id.
func Catalogue() []Model { return slices.Clone(catalogue) }

// Lookup finds a base model by its exact id.
func Lookup(id string) (Model, bool) {
	i, found := slices.BinarySearchFunc(catalogue, id, func(m Model, id string) int { return cmp.Compare(m.ID, id) })
	if !found {
		return Model{}, false
	}
	return catalogue[i], true
}

// Profile finds the base model of a profile id such as us.amazon.nova-lite-v1:0.
func Profile(id string) (geography string, m Model, ok bool) {
	geography, base, cut := strings.Cut(id, ".")
	if !cut {
		return "", Model{}, false
	}
	m, ok = Lookup(base)
	if !ok || !slices.Contains(m.Profiles, geography) {
		return "", Model{}, false
	}
	return geography, m, true
}
