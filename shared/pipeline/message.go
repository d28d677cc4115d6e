package pipeline

import (
	"bytes"
	"encoding/json"
	"time"
)

// Message is what the pipeline sends to its own queues.
type Message struct {
	// Version is 1; the member's name tells our messages from others'.
	Version int `json:"bedrock-batch"`
	// Do is continue, settle, stop, dispatch, tick, collect, again or request.
	Do         string `json:"do"`
	Submission string `json:"submission,omitempty"`
	// Model is the quota key of the model whose slots are to be filled.
	Model string `json:"model,omitempty"`
	// Folder is the gathered folder to settle.
	Folder string `json:"folder,omitempty"`
	// Due is when the message was planned to come; with it, it is known to be
	// the one that was planned.
	Due time.Time `json:"due,omitzero"`
	// Tries counts how often Message was put off, with do "again". MessageID
	// is the id of the queue's message in which it came first.
	Tries     int             `json:"tries,omitempty"`
	MessageID string          `json:"messageId,omitempty"`
	Message   json.RawMessage `json:"message,omitempty"`
}

// The values of Message.Do.
const (
	DoContinue = "continue"
	DoSettle   = "settle"
	DoStop     = "stop"
	DoDispatch = "dispatch"
	DoTick     = "tick"
	DoCollect  = "collect"
	DoAgain    = "again"
	// DoRequest is an application's message, see package request.
	DoRequest = "request"
)

// Encode writes the message as it stands on a queue.
func (m Message) Encode() []byte {
	m.Version = 1
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // prompts within it keep their length
	if err := e.Encode(m); err != nil {
		panic(err) // strings, numbers and valid raw JSON only
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
