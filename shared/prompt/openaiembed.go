package prompt

import (
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

// embedding renders the body of an embeddings request.
func (o *openAI) embedding(dst []byte, body []byte) ([]byte, *dataset.Bad) {
	c := &o.c
	c.Reset(body)
	c.EnterObject()
	o.texts = o.texts[:0]
	var dimensions int64
	seen := false
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		member := string(name)
		if c.Kind() == 'n' {
			c.Skip()
			continue
		}
		switch member {
		case "model":
			q, ok := c.String()
			if !ok {
				return dst, badRequest("model is no text")
			}
			if bad := o.checkModel(cursor.Unquote(q)); bad != nil {
				return dst, bad
			}
		case "input":
			seen = true
			switch c.Kind() {
			case '"':
				q, _ := c.String()
				o.texts = append(o.texts, q)
			case '[':
				c.EnterArray()
				for c.Element() {
					q, ok := c.String()
					if !ok {
						return dst, unsupported("input", "holds token numbers, which belong to another model's vocabulary; write texts")
					}
					o.texts = append(o.texts, q)
				}
			default:
				return dst, badRequest("input is neither text nor a list of texts")
			}
		case "dimensions":
			n, ok := c.Int()
			if !ok || n < 1 {
				return dst, badRequest("dimensions is no whole number from 1")
			}
			dimensions = n
		case "encoding_format":
			if q, _ := c.String(); string(q) != "float" {
				return dst, unsupported("encoding_format", "other than float is not written; take it out")
			}
		case "user":
			c.Skip()
		case "messages":
			return dst, unsupported(member, "ask for a chat completion, and the model answers in vectors")
		default:
			return dst, unsupported(member, "is not supported in a batch of embeddings; take it out")
		}
	}
	switch {
	case c.Err() != nil:
		return dst, badRequest("the body cannot be read")
	case !seen || len(o.texts) == 0:
		return dst, &dataset.Bad{Code: dataset.CodeEmptyPrompt, Reason: "the body has no input"}
	}
	return o.embed(dst, o.texts, dimensions)
}
