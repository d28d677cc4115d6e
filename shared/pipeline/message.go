package pipeline

import (
	"encoding/json"
	"time"
)

// Message is what the pipeline sends to its own queues.
type Message struct {
	// Version is 1; the member's name tells our messages from others'.
	Version int `json:"bedrock-batch"`
	// Do is continue, settle, stop, dispatch, tick, collect or again.
	Do         string `json:"do"`
	Submission string `json:"submission,omitempty"`
	// Model is the quota key of the model whose slots are to be filled.
	Model string `json:"model,omitempty"`
	// Folder is the gathered folder to settle.
	Folder string `json:"folder,omitempty"`
	// Due is when the message was planned to come; with it, it is known to be
	// the one that was planned.
	Due time.Time `json:"due,omitzero"`
	// Tries counts how often Message was put off, with do "again".
	Tries   int             `json:"tries,omitempty"`
	Message json.RawMessage `json:"message,omitempty"`
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
)

// Encode writes the message as it stands on a queue.
func (m Message) Encode() []byte {
	m.Version = 1
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings, numbers and valid raw JSON only
	}
	return b
}
