package sqs

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

const (
	// maxAttributes is the most message attributes a message can have.
	maxAttributes = 10
	// maxDelay and maxVisibility are AWS's.
	maxDelay      = 900 * time.Second
	maxVisibility = 43200 * time.Second
)

// Attribute is a message attribute.
type Attribute struct {
	StringValue *string `json:",omitzero"`
	BinaryValue []byte  `json:",omitzero"`
	DataType    string
}

// Outgoing is a message to send.
type Outgoing struct {
	// Body is the text.
	Body string
	// Attributes are the message attributes.
	Attributes map[string]Attribute
	// TraceHeader is the system attribute AWSTraceHeader, or empty.
	TraceHeader string
	// Delay overrides the queue's delay.
	Delay *time.Duration
}

// Message is a received message.
type Message struct {
	MessageId              string
	ReceiptHandle          string
	MD5OfBody              string
	Body                   string
	Attributes             map[string]string    `json:",omitzero" query:"Attribute,flat,Name,Value"`
	MD5OfMessageAttributes string               `json:",omitzero"`
	MessageAttributes      map[string]Attribute `json:",omitzero" query:"MessageAttribute,flat,Name,Value"`
}

// check judges a message before it is accepted.
func (m *Outgoing) check(maxBytes int) error {
	if m.Body == "" {
		return access.Errorf("MissingParameter", "The request must contain the parameter MessageBody.")
	}
	if i := badCharacter(m.Body); i >= 0 {
		return access.Errorf("InvalidMessageContents", "Invalid characters found at byte %d. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF", i)
	}
	if m.Delay != nil && (*m.Delay < 0 || *m.Delay > maxDelay) {
		return access.Errorf("InvalidParameterValue", "Value %d for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.", int64(m.Delay.Seconds()))
	}
	if len(m.Attributes) > maxAttributes {
		return access.Errorf("InvalidParameterValue", "Number of message attributes [%d] exceeds the allowed maximum [%d].", len(m.Attributes), maxAttributes)
	}
	for name, a := range m.Attributes {
		if err := checkAttribute(name, a); err != nil {
			return err
		}
	}
	if n := m.size(); n > maxBytes {
		return access.Errorf("InvalidParameterValue", "One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", maxBytes)
	}
	return nil
}

// size is what counts towards the limit: body, attribute names, types, values.
func (m *Outgoing) size() int {
	n := len(m.Body)
	for name, a := range m.Attributes {
		n += len(name) + len(a.DataType) + len(a.BinaryValue)
		if a.StringValue != nil {
			n += len(*a.StringValue)
		}
	}
	return n
}

func checkAttribute(name string, a Attribute) error {
	invalid := func(reason string) error {
		return access.Errorf("InvalidParameterValue", "The message attribute '%s' %s", name, reason)
	}
	lower := strings.ToLower(name)
	switch {
	case name == "" || len(name) > 256,
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != "",
		strings.HasPrefix(name, "."), strings.HasSuffix(name, "."), strings.Contains(name, ".."),
		strings.HasPrefix(lower, "aws."), strings.HasPrefix(lower, "amazon."):
		return invalid("has a name that is not allowed.")
	}
	kind, _, _ := strings.Cut(a.DataType, ".")
	switch kind {
	case "String", "Number":
		if a.StringValue == nil || *a.StringValue == "" {
			return invalid("must contain a non-empty value of type String.")
		}
		if a.BinaryValue != nil {
			return invalid("has more than one value.")
		}
		if badCharacter(*a.StringValue) >= 0 {
			return access.Errorf("InvalidMessageContents", "The message attribute '%s' holds invalid characters.", name)
		}
	case "Binary":
		if len(a.BinaryValue) == 0 || a.StringValue != nil {
			return invalid("must contain a non-empty value of type Binary.")
		}
	case "":
		return invalid("must contain a non-empty message attribute type.")
	default:
		return invalid("has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.")
	}
	return nil
}

// badCharacter is the place of the first byte that XML could not carry, or -1.
func badCharacter(s string) int {
	for i, r := range s {
		switch {
		case r == utf8.RuneError:
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return i
			}
		case r == 0x9, r == 0xA, r == 0xD:
		case r < 0x20, r == 0xFFFE, r == 0xFFFF:
			return i
		}
	}
	return -1
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// md5OfAttributes is the digest over attributes sorted by name: each name,
// type and value with its length before it and a byte for the value's kind.
func md5OfAttributes(attrs map[string]Attribute) string {
	if len(attrs) == 0 {
		return ""
	}
	names := make([]string, 0, len(attrs))
	for n := range attrs {
		names = append(names, n)
	}
	slices.Sort(names)
	h := md5.New()
	write := func(b []byte) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	for _, name := range names {
		a := attrs[name]
		write([]byte(name))
		write([]byte(a.DataType))
		if a.StringValue != nil {
			h.Write([]byte{1})
			write([]byte(*a.StringValue))
		} else {
			h.Write([]byte{2})
			write(a.BinaryValue)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
