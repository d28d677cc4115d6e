package s3

import (
	"io"
	"net/http"
	"strings"
)

// tailBytes is how much of the end of a body is passed on in one piece.
const tailBytes = 8 << 10

// streaming reports whether a request's body is in signed or checked chunks,
// with a last chunk and trailers that hold no data.
func streaming(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-")
}

// wholeTail passes a body on so that its last bytes come in one piece. The
// gateway answers and closes its end as soon as it has the data, and leaves the
// chunk's end unread: written by itself, that end would find a broken pipe, and
// the answer would be lost.
type wholeTail struct {
	io.ReadCloser
	held []byte // read and not passed on yet
	err  error  // what reading ended with
}

func (t *wholeTail) Read(p []byte) (int, error) {
	for t.err == nil && len(t.held) < tailBytes+len(p) {
		from := len(t.held)
		t.held = append(t.held, make([]byte, tailBytes+len(p)-from)...)
		var n int
		n, t.err = t.ReadCloser.Read(t.held[from:])
		t.held = t.held[:from+n]
	}
	n := len(t.held)
	switch {
	case t.err == nil:
		n = min(len(p), len(t.held)-tailBytes)
	case len(p) < len(t.held):
		// Not all of it fits: leave as much of the tail together as can be.
		n = max(min(1, len(p)), min(len(p), len(t.held)-tailBytes))
	}
	copy(p, t.held[:n])
	t.held = append(t.held[:0], t.held[n:]...)
	if t.err != nil && len(t.held) == 0 {
		return n, t.err
	}
	return n, nil
}
