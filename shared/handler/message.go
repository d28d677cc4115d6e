package handler

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
	"github.com/bedrock-batch/bedrock-batch/shared/request"
)

// kind is what a message is about.
type kind string

const (
	kindUploads     kind = "uploads"   // S3 notification
	kindTest        kind = "s3 test"   // S3 says that it can reach the queue
	kindStateChange kind = "job state" // Bedrock's event
	kindOwn         kind = "own"       // the pipeline's own
	kindRequest     kind = "request"   // an application's
)

// message is one queue message, told apart.
type message struct {
	kind    kind
	body    json.RawMessage
	uploads []pipeline.Upload
	records []json.RawMessage // beside uploads: each one's own notification
	event   stateChange
	own     pipeline.Message
	name    string // of a request: its own id, or that of the queue's message
}

// stateChange is Bedrock's event. Its times are not RFC 3339 and are not
// needed.
type stateChange struct {
	DetailType string `json:"detail-type"`
	Source     string `json:"source"`
	Detail     struct {
		JobName string `json:"batchJobName"`
		JobARN  string `json:"batchJobArn"`
		ModelID string `json:"batchModelId"`
		Status  string `json:"status"`
	} `json:"detail"`
}

// notification is S3's message.
type notification struct {
	Records []json.RawMessage `json:"Records"`
}

type record struct {
	EventSource string `json:"eventSource"`
	S3          struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"` // form-encoded
			Size      int64  `json:"size"`
			ETag      string `json:"eTag"`
			VersionID string `json:"versionId"`
		} `json:"object"`
	} `json:"s3"`
}

func parse(body []byte) (message, error) {
	m := message{body: body}
	var head struct {
		Own        *int              `json:"bedrock-batch"`
		Records    []json.RawMessage `json:"Records"`
		Do         json.RawMessage   `json:"do"`
		Event      string            `json:"Event"`
		DetailType string            `json:"detail-type"`
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return m, fmt.Errorf("it is no JSON object: %w", errJunk)
	}
	switch {
	case head.Own != nil:
		m.kind = kindOwn
		if *head.Own != 1 {
			return m, fmt.Errorf("its version is %d, 1 is known: %w", *head.Own, pipeline.ErrNewer)
		}
		if string(head.Do) == `"`+pipeline.DoRequest+`"` {
			// What else is in it is not ours to judge here: whoever sent it
			// is told by a notice.
			m.kind, m.name, m.own.Do = kindRequest, request.ID(body), pipeline.DoRequest
			break
		}
		if err := json.Unmarshal(body, &m.own); err != nil {
			return m, fmt.Errorf("a message of the pipeline with members of another type: %w", errJunk)
		}
	case head.DetailType == "Batch Inference Job State Change":
		m.kind = kindStateChange
		if err := json.Unmarshal(body, &m.event); err != nil || m.event.Detail.JobARN == "" {
			return m, fmt.Errorf("a job event without a job: %w", errJunk)
		}
	case head.Event == "s3:TestEvent":
		m.kind = kindTest
	case len(head.Records) > 0:
		m.kind = kindUploads
		return m, m.parseUploads(head.Records)
	default:
		return m, errJunk
	}
	return m, nil
}

func (m *message) parseUploads(records []json.RawMessage) error {
	for i, raw := range records {
		var r record
		if err := json.Unmarshal(raw, &r); err != nil || r.EventSource != "aws:s3" || r.S3.Bucket.Name == "" {
			return fmt.Errorf("record %d is not S3's: %w", i, errJunk)
		}
		key, err := url.QueryUnescape(r.S3.Object.Key)
		if err != nil || key == "" {
			return fmt.Errorf("the key of record %d cannot be decoded: %w", i, errJunk)
		}
		m.uploads = append(m.uploads, pipeline.Upload{
			Bucket: r.S3.Bucket.Name, Key: key, VersionID: r.S3.Object.VersionID,
			ETag: r.S3.Object.ETag, Size: r.S3.Object.Size,
		})
		m.records = append(m.records, raw)
	}
	return nil
}

// split makes a message of its own of each record of an S3 notification, so
// that one upload's trouble puts off no other.
func (m message) split() []message {
	if m.kind != kindUploads || len(m.uploads) < 2 {
		return []message{m}
	}
	var out []message
	for i := range m.uploads {
		body, err := json.Marshal(notification{Records: m.records[i : i+1]})
		if err != nil {
			panic(err) // it was valid JSON when it came
		}
		out = append(out, message{kind: m.kind, body: body, uploads: m.uploads[i : i+1]})
	}
	return out
}
