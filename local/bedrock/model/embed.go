package model

import (
	"encoding/base64"
	"hash/fnv"
	"math"
	"math/rand/v2"
)

var titanEmbedV2 = shape{kind: members, fields: map[string]shape{
	"inputText":      shape{kind: text, min: 1}.must(),
	"dimensions":     {kind: integer},
	"normalize":      {kind: boolean},
	"embeddingTypes": {kind: list, of: &shape{kind: text, enum: []string{"float", "binary"}}},
}}

var titanEmbedV1 = shape{kind: members, fields: map[string]shape{
	"inputText": shape{kind: text, min: 1}.must(),
}}

var titanImage = shape{kind: members, fields: map[string]shape{
	"inputText":       {kind: text, min: 1},
	"inputImage":      {kind: text, min: 1},
	"embeddingConfig": {kind: members, fields: map[string]shape{"outputEmbeddingLength": {kind: integer}}},
}}

var cohereEmbed = shape{kind: members, fields: map[string]shape{
	"texts":            {kind: list, min: 1, max: 96, of: &shape{kind: text}},
	"images":           {kind: list, min: 1, of: &shape{kind: text}},
	"inputs":           {kind: list, min: 1, max: 96},
	"input_type":       shape{kind: text, enum: []string{"search_document", "search_query", "classification", "clustering", "image"}}.must(),
	"truncate":         {kind: text, enum: []string{"NONE", "START", "END", "LEFT", "RIGHT"}},
	"embedding_types":  {kind: list, of: &shape{kind: text, enum: []string{"float", "int8", "uint8", "binary", "ubinary"}}},
	"output_dimension": {kind: integer},
	"max_tokens":       {kind: integer},
}}

// embed answers the embedding families.
func embed(req Request, body object) (Result, error) {
	switch {
	case req.Model.Family == CohereEmbed:
		return embedCohere(req, body)
	case req.Model.Family == TitanImage:
		return embedImage(req, body)
	case req.Model.Family == NovaEmbed:
		return embedNova(req, body)
	case req.Model.ID == "amazon.titan-embed-text-v1":
		if err := malformed.refuse(body, titanEmbedV1); err != nil {
			return Result{}, err
		}
	default:
		if err := malformed.refuse(body, titanEmbedV2); err != nil {
			return Result{}, err
		}
	}
	input := str(body, "inputText")
	size := req.Model.Dimensions
	if d := count(body, "dimensions"); d != 0 {
		if d != 1024 && d != 512 && d != 256 {
			return Result{}, invalid("Malformed input request: #/dimensions: %d is not a valid enum value, please reformat your input and try again.", d)
		}
		size = d
	}
	v := direction(input, size, body["normalize"] != false)
	in := max(1, tokens(input))
	out := ordered{}
	types := texts(body, "embeddingTypes")
	if len(types) == 0 {
		types = []string{"float"}
	}
	byType := ordered{}
	for _, t := range types {
		if t == "float" {
			out = append(out, pair{"embedding", v})
			byType = append(byType, pair{"float", v})
		} else {
			byType = append(byType, pair{"binary", signs(v)})
		}
	}
	if req.Model.ID != "amazon.titan-embed-text-v1" {
		out = append(out, pair{"embeddingsByType", byType})
	}
	out = append(out, pair{"inputTextTokenCount", in})
	return Result{Body: appendJSON(nil, out), InputTokens: int64(in)}, nil
}

func embedImage(req Request, body object) (Result, error) {
	if err := malformed.refuse(body, titanImage); err != nil {
		return Result{}, err
	}
	input, image := str(body, "inputText"), str(body, "inputImage")
	if input == "" && image == "" {
		return Result{}, invalid("Malformed input request: required key [inputText] or [inputImage] not found, please reformat your input and try again.")
	}
	if _, err := base64.StdEncoding.DecodeString(image); err != nil {
		return Result{}, invalid("Malformed input request: #/inputImage: not base64, please reformat your input and try again.")
	}
	size := req.Model.Dimensions
	if d := count(sub(body, "embeddingConfig"), "outputEmbeddingLength"); d != 0 {
		if d != 1024 && d != 384 && d != 256 {
			return Result{}, invalid("Malformed input request: #/embeddingConfig/outputEmbeddingLength: %d is not a valid enum value, please reformat your input and try again.", d)
		}
		size = d
	}
	in := tokens(input)
	return Result{Body: appendJSON(nil, ordered{{"embedding", direction(input+image, size, true)}, {"inputTextTokenCount", in}}), InputTokens: int64(in)}, nil
}

var novaEmbed = shape{kind: members, fields: map[string]shape{
	"schemaVersion": {kind: text, enum: []string{"nova-multimodal-embed-v1"}},
	"taskType":      shape{kind: text, enum: []string{"SINGLE_EMBEDDING"}}.must(),
	"singleEmbeddingParams": shape{kind: members, fields: map[string]shape{
		"embeddingPurpose": shape{kind: text, enum: []string{"GENERIC_INDEX", "GENERIC_RETRIEVAL", "TEXT_RETRIEVAL", "IMAGE_RETRIEVAL", "VIDEO_RETRIEVAL",
			"DOCUMENT_RETRIEVAL", "AUDIO_RETRIEVAL", "CLASSIFICATION", "CLUSTERING"}}.must(),
		"embeddingDimension": {kind: integer},
		"text": {kind: members, fields: map[string]shape{
			"truncationMode": shape{kind: text, enum: []string{"START", "END", "NONE"}}.must(),
			"value":          shape{kind: text, min: 1}.must(),
		}},
	}}.must(),
}}

// embedNova answers Nova's embeddings of texts; other media are not there.
func embedNova(req Request, body object) (Result, error) {
	if err := malformed.refuse(body, novaEmbed); err != nil {
		return Result{}, err
	}
	params := sub(body, "singleEmbeddingParams")
	if sub(params, "text") == nil {
		return Result{}, invalid("Malformed input request: #/singleEmbeddingParams: required key [text] not found, please reformat your input and try again.")
	}
	size := req.Model.Dimensions
	if d := count(params, "embeddingDimension"); d != 0 {
		if d != 3072 && d != 1024 && d != 384 && d != 256 {
			return Result{}, invalid("Malformed input request: #/singleEmbeddingParams/embeddingDimension: %d is not a valid enum value, please reformat your input and try again.", d)
		}
		size = d
	}
	input := str(sub(params, "text"), "value")
	return Result{Body: appendJSON(nil, ordered{{"embeddings", []any{ordered{
		{"embeddingType", "TEXT"}, {"embedding", direction(input, size, true)},
	}}}}), InputTokens: int64(max(1, tokens(input)))}, nil
}

func embedCohere(req Request, body object) (Result, error) {
	if err := malformed.refuse(body, cohereEmbed); err != nil {
		return Result{}, err
	}
	inputs := texts(body, "texts")
	if len(inputs) == 0 {
		return Result{}, invalid("Malformed input request: required key [texts] not found, please reformat your input and try again.")
	}
	size := req.Model.Dimensions
	if d := count(body, "output_dimension"); d != 0 {
		size = d
	}
	if size < 1 || size > 1536 {
		return Result{}, invalid("invalid output_dimension: %d", size)
	}
	var in int
	for _, t := range inputs {
		in += max(1, tokens(t))
	}
	each := func(quantity string) []any {
		var all []any
		for _, t := range inputs {
			v := direction(t, size, true)
			switch quantity {
			case "float":
				all = append(all, v)
			case "binary", "ubinary":
				all = append(all, signs(v))
			default:
				all = append(all, bytesOf(v))
			}
		}
		return all
	}
	var embeddings any = each("float")
	kind := "embeddings_floats"
	if types := texts(body, "embedding_types"); len(types) > 0 {
		byType := ordered{}
		for _, t := range types {
			byType = append(byType, pair{t, each(t)})
		}
		embeddings, kind = byType, "embeddings_by_type"
	}
	echoed := make([]any, len(inputs))
	for i, t := range inputs {
		echoed[i] = t
	}
	chat := Chat{Seed: mix(req.Seed, req.Body)}
	return Result{Body: appendJSON(nil, ordered{
		{"id", identifier(chat)}, {"response_type", kind}, {"embeddings", embeddings}, {"texts", echoed},
	}), InputTokens: int64(in)}, nil
}

// direction is a vector that depends on the text alone.
func direction(s string, size int, unit bool) vector {
	h := fnv.New64a()
	h.Write([]byte(s))
	r := rand.New(rand.NewPCG(h.Sum64(), uint64(size)))
	v := make(vector, size)
	var sum float64
	for i := range v {
		f := r.NormFloat64()
		v[i] = float32(f)
		sum += f * f
	}
	if unit {
		for i := range v {
			v[i] = float32(float64(v[i]) / math.Sqrt(sum))
		}
	}
	return v
}

func signs(v vector) []int8 {
	out := make([]int8, len(v))
	for i, f := range v {
		if f > 0 {
			out[i] = 1
		}
	}
	return out
}

func bytesOf(v vector) []int8 {
	out := make([]int8, len(v))
	for i, f := range v {
		out[i] = int8(max(-127, min(127, f*1000)))
	}
	return out
}
