package sqs

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// timed is a heap of messages by the time they become visible.
type timed []*message

func (h timed) Len() int           { return len(h) }
func (h timed) Less(i, j int) bool { return h[i].visible.Before(h[j].visible) }
func (h timed) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push adds a message.
func (h *timed) Push(x any) {
	m := x.(*message)
	m.index = len(*h)
	*h = append(*h, m)
}

// Pop removes the last.
func (h *timed) Pop() any {
	old := *h
	m := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return m
}

// handle is the receipt handle of the latest receive.
func handle(queue string, m *message) string {
	return base64.StdEncoding.EncodeToString([]byte(queue + " " + m.id + " " + m.receipt))
}

func parseHandle(queue, h string) (id, receipt string, ok bool) {
	b, err := base64.StdEncoding.DecodeString(h)
	if err != nil {
		return "", "", false
	}
	parts := strings.Split(string(b), " ")
	if len(parts) != 3 || parts[0] != queue {
		return "", "", false
	}
	return parts[1], parts[2], true
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// newID is a random UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func nonce() string {
	var b [12]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func senderOf(p *access.Principal) string {
	switch {
	case p == nil:
		return "anonymous"
	case p.AccessKeyID != "":
		return p.AccessKeyID + ":" + p.Name
	}
	return p.String()
}
