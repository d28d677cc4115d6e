package request

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// message is a request as it stands on the queue.
type message struct {
	Version    int               `json:"bedrock-batch"`
	Do         string            `json:"do"`
	ID         string            `json:"id,omitempty"`
	Prompts    []jsontext.Value  `json:"prompts,omitempty"`
	S3URI      string            `json:"s3Uri,omitempty"`
	ObjectVer  string            `json:"version,omitempty"`
	Workload   jsontext.Value    `json:"workload,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Encode writes a request as it is sent, and checks it as it will be read:
// batch.ErrInvalid if it would be refused.
func (r Request) Encode() ([]byte, error) {
	settings, err := json.Marshal(r.Settings)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	m := message{Version: Version, Do: Do, ID: r.ID, Prompts: r.Prompts, ObjectVer: r.Version, Attributes: r.Attributes}
	if r.Key != "" {
		m.S3URI = "s3://" + r.Bucket + "/" + r.Key
	}
	if !bytes.Equal(settings, []byte("{}")) {
		m.Workload = settings
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	if _, err := Parse(body); err != nil {
		return nil, fmt.Errorf("write request: %w: %w", err, batch.ErrInvalid)
	}
	return body, nil
}

// Rows writes the prompts as a file of JSON lines, each as it stands in the
// message but for white space between its parts.
func (r Request) Rows() ([]byte, error) {
	var b bytes.Buffer
	for i, row := range r.Prompts {
		line := row.Clone()
		if err := line.Compact(); err != nil {
			return nil, fmt.Errorf("write row %d of the request: %w", i+1, err)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}
