package model

import (
	"strconv"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

// CohereCommand is the shape of Cohere's chat models.
var CohereCommand = Register(Shape{
	Family: "cohere-command",
	Models: "Command",
	Owns:   func(_, base string) bool { return strings.HasPrefix(base, "cohere.command") },
	Member: func(a *Answer, name []byte, c *cursor.Cursor) bool {
		switch string(name) {
		case "text":
			if q, ok := c.String(); ok {
				a.Seen = true
				a.AddText(q)
			}
		case "finish_reason":
			a.ReadStop(c)
		case "tool_calls":
			if c.EnterArray() {
				for c.Element() {
					a.AddTool(c.Raw())
				}
			}
		case "generations": // the text models before Command R
			if c.EnterArray() {
				for first := true; c.Element(); first = false {
					if !first || !c.EnterObject() {
						if !first {
							c.Skip()
						}
						continue
					}
					for name, ok := c.Member(); ok; name, ok = c.Member() {
						switch string(name) {
						case "text":
							if q, ok := c.String(); ok {
								a.Seen = true
								a.AddText(q)
							}
						case "finish_reason":
							a.ReadStop(c)
						default:
							c.Skip()
						}
					}
				}
			}
		default:
			return false
		}
		return true
	},
	Finish: func(a *Answer) string {
		if !a.Seen {
			return "text is no text"
		}
		return ""
	},
})

// CohereEmbed is the shape of Cohere's embedding models. A record of one text
// gives its vector, a record of several the list of theirs.
var CohereEmbed = Register(Shape{
	Family: "cohere-embed",
	Models: "Embed",
	Owns:   func(_, base string) bool { return strings.HasPrefix(base, "cohere.embed") },
	Member: func(a *Answer, name []byte, c *cursor.Cursor) bool {
		if string(name) != "embeddings" {
			return false
		}
		mark, n := c.Mark(), 0
		switch c.Kind() {
		case '{':
			a.Embedding = c.Raw()
		case '[':
			c.EnterArray()
			var first []byte
			for ; c.Element(); n++ {
				if raw := c.Raw(); n == 0 {
					first = raw
				}
			}
			if n == 1 && len(first) > 0 && first[0] == '[' {
				a.Embedding = first
			} else {
				a.Embedding = c.Since(mark)
			}
		default:
			c.Skip()
		}
		return true
	},
	Finish: func(a *Answer) string {
		a.Stop = EndTurn
		if a.Embedding == nil {
			return "embeddings is neither a list nor a map by type"
		}
		return ""
	},
	Embed: func(dst []byte, base string, q *EmbedQuery) ([]byte, error) {
		if len(q.Texts) > 96 {
			return dst, ShapeError("this model embeds at most 96 texts a row")
		}
		dst = append(dst, `{"texts":[`...)
		for i, text := range q.Texts {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(append(append(dst, '"'), text...), '"')
		}
		dst = append(dst, ']')
		if !q.Has("input_type") {
			dst = append(dst, `,"input_type":"search_document"`...)
		}
		if q.Dimensions > 0 {
			if strings.Contains(base, "-v3") {
				return dst, ShapeError("this model has no choice of dimensions")
			}
			dst = strconv.AppendInt(append(dst, `,"output_dimension":`...), q.Dimensions, 10)
			return append(q.AppendFields(dst, "texts", "output_dimension"), '}'), nil
		}
		return append(q.AppendFields(dst, "texts"), '}'), nil
	},
})
