package model

import (
	"strconv"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

// TitanEmbed is the shape of the Titan and Nova embedding models. A record asks
// for one text's vector.
var TitanEmbed = Register(Shape{
	Family: "titan-embed",
	Models: "Titan and Nova embeddings",
	Owns: func(provider, base string) bool {
		return strings.HasPrefix(base, "amazon.titan-embed") ||
			provider == "amazon" && strings.HasPrefix(base, "amazon.nova") && strings.Contains(base, "embed")
	},
	Member: func(a *Answer, name []byte, c *cursor.Cursor) bool {
		switch string(name) {
		case "embedding":
			if c.Kind() == '[' {
				a.Embedding, a.Seen = c.Raw(), true
			} else {
				c.Skip()
			}
		case "embeddingsByType", "embeddings":
			// All the model gives where only another type than float was
			// asked for; beside embedding it repeats it.
			if k := c.Kind(); (k == '{' || k == '[') && !a.Seen {
				a.Embedding = onlyVector(c.Raw())
			} else {
				c.Skip()
			}
		case "inputTextTokenCount":
			a.ReadInputTokens(c)
		default:
			return false
		}
		return true
	},
	Finish: func(a *Answer) string {
		a.Stop = EndTurn
		if a.Embedding == nil {
			return "there is neither embedding nor embeddingsByType"
		}
		return ""
	},
	Embed: func(dst []byte, base string, q *EmbedQuery) ([]byte, error) {
		if len(q.Texts) != 1 {
			return dst, ShapeError("this model embeds one text a row; write each text as a row of its own")
		}
		switch {
		case strings.Contains(base, "nova"):
			return novaEmbed(dst, q)
		case strings.Contains(base, "embed-image"):
			dst = q.appendText(append(dst, `{"inputText":`...))
			if q.Dimensions > 0 {
				dst = strconv.AppendInt(append(dst, `,"embeddingConfig":{"outputEmbeddingLength":`...), q.Dimensions, 10)
				dst = append(dst, '}')
				return append(q.AppendFields(dst, "inputText", "embeddingConfig"), '}'), nil
			}
			return append(q.AppendFields(dst, "inputText"), '}'), nil
		case strings.Contains(base, "embed-text-v1"), strings.Contains(base, "embed-g1"):
			if q.Dimensions > 0 {
				return dst, ShapeError("this model has no choice of dimensions")
			}
		}
		dst = q.appendText(append(dst, `{"inputText":`...))
		if q.Dimensions > 0 {
			dst = strconv.AppendInt(append(dst, `,"dimensions":`...), q.Dimensions, 10)
			return append(q.AppendFields(dst, "inputText", "dimensions"), '}'), nil
		}
		return append(q.AppendFields(dst, "inputText"), '}'), nil
	},
})

// novaEmbed asks Nova for the vector of a text. Further fields stand beside the
// text, as embeddingPurpose and embeddingDimension do.
func novaEmbed(dst []byte, q *EmbedQuery) ([]byte, error) {
	dst = append(dst, `{"schemaVersion":"nova-multimodal-embed-v1","taskType":"SINGLE_EMBEDDING","singleEmbeddingParams":{"text":{"truncationMode":"END","value":`...)
	dst = append(q.appendText(dst), '}')
	if !q.Has("embeddingPurpose") {
		dst = append(dst, `,"embeddingPurpose":"GENERIC_INDEX"`...)
	}
	if q.Dimensions > 0 {
		dst = strconv.AppendInt(append(dst, `,"embeddingDimension":`...), q.Dimensions, 10)
		dst = q.AppendFields(dst, "text", "embeddingDimension")
	} else {
		dst = q.AppendFields(dst, "text")
	}
	return append(dst, '}', '}'), nil
}

// onlyVector takes the vector out of a list of one, as Nova writes it:
// [{"embeddingType":...,"embedding":[...]}]. Anything else stays as it is.
func onlyVector(raw []byte) []byte {
	var c cursor.Cursor
	c.Reset(raw)
	if !c.EnterArray() {
		return raw
	}
	var vector []byte
	for n := 0; c.Element(); n++ {
		if n > 0 || !c.EnterObject() {
			return raw
		}
		for name, ok := c.Member(); ok; name, ok = c.Member() {
			if string(name) == "embedding" && c.Kind() == '[' {
				vector = c.Raw()
			} else {
				c.Skip()
			}
		}
	}
	if vector == nil {
		return raw
	}
	return vector
}
