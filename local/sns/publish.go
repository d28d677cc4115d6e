package sns

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/local/events/pattern"
)

// Attribute is a message attribute: String, String.Array, Number or Binary.
type Attribute struct {
	DataType    string
	StringValue *string
	BinaryValue []byte
}

// Publication is a message to publish.
type Publication struct {
	// Message is the text, or with Structure "json" an object with a text for
	// each protocol and one by the name default.
	Message string
	// Subject is the e-mail's subject, or nil.
	Subject *string
	// Structure is empty or "json".
	Structure string
	// Attributes are the message attributes.
	Attributes map[string]Attribute
}

// message is a publication on its way.
type message struct {
	Publication
	id, topic, time string
	texts           map[string]string // by protocol, with Structure "json"
}

// text is what the protocol gets.
func (m *message) text(protocol string) string {
	if m.texts == nil {
		return m.Message
	}
	if t, ok := m.texts[protocol]; ok {
		return t
	}
	return m.texts["default"]
}

// check judges a publication and reads its texts.
func (p Publication) check(maxBytes int) (texts map[string]string, err error) {
	if p.Message == "" {
		return nil, invalid("Empty message")
	}
	if !utf8.ValidString(p.Message) {
		return nil, invalid("Message is not UTF-8")
	}
	if p.Subject != nil {
		s := *p.Subject
		if s == "" || !utf8.ValidString(s) || utf8.RuneCountInString(s) >= 100 || strings.IndexFunc(s, unicode.IsControl) >= 0 || strings.HasPrefix(s, " ") {
			return nil, invalid("Subject: 1 to 99 characters without line breaks and control characters")
		}
	}
	if len(p.Message)+p.attributeBytes() > maxBytes {
		return nil, invalid("Message too long")
	}
	for name, a := range p.Attributes {
		if err := checkAttribute(name, a); err != nil {
			return nil, err
		}
	}
	switch p.Structure {
	case "":
		return nil, nil
	case "json":
	default:
		return nil, invalid("MessageStructure: %q is not json", p.Structure)
	}
	if !jsontext.Value(p.Message).IsValid() { // no duplicate names either
		return nil, invalid("Message Structure - JSON message body failed to parse")
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(p.Message), &members); err != nil {
		return nil, invalid("Message Structure - JSON message body failed to parse")
	}
	texts = map[string]string{}
	for k, v := range members {
		if s, ok := v.(string); ok { // others are ignored
			texts[k] = s
		}
	}
	if _, ok := texts["default"]; !ok {
		return nil, invalid("Message Structure - No default entry in JSON message body")
	}
	return texts, nil
}

// attributeBytes is what the attributes add to the size.
func (p Publication) attributeBytes() int {
	n := 0
	for name, a := range p.Attributes {
		n += len(name) + len(a.DataType) + len(a.BinaryValue)
		if a.StringValue != nil {
			n += len(*a.StringValue)
		}
	}
	return n
}

func checkAttribute(name string, a Attribute) error {
	bad := func(reason string) error {
		return invalid("The message attribute '%s' %s", name, reason)
	}
	lower := strings.ToLower(name)
	if name == "" || len(name) > 256 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != "" ||
		strings.HasPrefix(lower, "aws.") || strings.HasPrefix(lower, "amazon.") ||
		strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.Contains(name, "..") {
		return bad("has a name that is not allowed.")
	}
	kind, _, _ := strings.Cut(a.DataType, ".")
	switch kind {
	case "":
		return bad("must contain non-empty message attribute type.")
	case "Binary":
		if len(a.BinaryValue) == 0 || a.StringValue != nil {
			return bad("must contain non-empty message attribute value of type Binary.")
		}
		return nil
	case "String", "Number":
	default:
		return bad("has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.")
	}
	if a.StringValue == nil || *a.StringValue == "" || a.BinaryValue != nil {
		return bad("must contain non-empty message attribute value for message attribute type '" + a.DataType + "'.")
	}
	if kind == "Number" {
		if _, err := strconv.ParseFloat(*a.StringValue, 64); err != nil {
			return bad("must contain a number.")
		}
	}
	if a.DataType == "String.Array" {
		v, err := pattern.Decode([]byte(*a.StringValue))
		list, ok := v.([]any)
		if err != nil || !ok {
			return bad("must contain a JSON array.")
		}
		for _, e := range list {
			switch e.(type) {
			case []any, map[string]any:
				return bad("must contain an array of texts, numbers, true, false or null.")
			}
		}
	}
	return nil
}

// wanted tells whether the subscription's filter lets the message through.
func (s *subscription) wanted(m *message) bool {
	if s.filter == nil {
		return true
	}
	if s.bodyScope {
		v, err := pattern.Decode([]byte(m.text(s.protocol)))
		doc, ok := v.(map[string]any)
		return err == nil && ok && s.filter.MatchValue(doc) // what is no JSON object fits no filter
	}
	doc := map[string]any{}
	for name, a := range m.Attributes {
		switch kind, _, _ := strings.Cut(a.DataType, "."); {
		case a.DataType == "String.Array":
			v, err := pattern.Decode([]byte(*a.StringValue))
			if err != nil {
				return false // check has seen to that
			}
			doc[name] = v
		case kind == "String":
			doc[name] = *a.StringValue
		case kind == "Number":
			doc[name] = json.Number(*a.StringValue)
		}
	}
	return s.filter.MatchValue(doc)
}

// publish delivers to all subscriptions. Queues and mailboxes have it when it
// returns, HTTP endpoints are called in the background. A delivery that fails
// fails alone, as in the cloud.
func (s *Service) publish(t *topic, p Publication) (id string, err error) {
	s.mu.RLock()
	maxBytes := t.maxBytes
	subs := make([]subscription, 0, len(t.subs))
	for _, sub := range t.subs {
		if sub.confirmed {
			subs = append(subs, *sub)
		}
	}
	name := t.attributes["DisplayName"]
	s.mu.RUnlock()
	texts, err := p.check(maxBytes)
	if err != nil {
		return "", err
	}
	m := &message{Publication: p, id: newID(), topic: t.arn(), time: s.clock.Now().Format("2006-01-02T15:04:05.000Z"), texts: texts}
	if s.cfg.Published != nil {
		subject := ""
		if p.Subject != nil {
			subject = *p.Subject
		}
		s.cfg.Published(m.topic, subject)
	}
	for i := range subs {
		if subs[i].wanted(m) {
			s.deliver(&subs[i], m, name)
		}
	}
	return m.id, nil
}
