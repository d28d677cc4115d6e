package s3

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/versity/versitygw/s3err"
)

// rawPath is the path as it stands in the request line: the opaque part of a
// URL is sent as it is.
func rawPath(r *http.Request) string {
	raw, _, _ := strings.Cut(r.RequestURI, "?")
	if i := strings.Index(raw, "://"); i >= 0 { // absolute form, as proxies send it
		if u, err := url.Parse(raw); err == nil {
			return u.EscapedPath()
		}
	}
	return raw
}

// writeError renders an S3 error.
func writeError(w http.ResponseWriter, r *http.Request, e s3err.APIError) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(e.HTTPStatusCode)
	if r.Method == http.MethodHead {
		return
	}
	body, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: e.Code, Message: e.Description})
	if err == nil {
		_, _ = w.Write(append([]byte(xml.Header), body...)) // the client may have gone
	}
}

// errorCode is the S3 code of an error of the gateway, or empty.
func errorCode(err error) string {
	var s s3err.S3Error
	if errors.As(err, &s) {
		return s.BaseError().Code
	}
	return ""
}

func token() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b[:])
}

// buffers lends the proxy its copy buffers.
type buffers struct{ pool sync.Pool }

func newBuffers(size int) *buffers {
	return &buffers{pool: sync.Pool{New: func() any { b := make([]byte, size); return &b }}}
}

func (b *buffers) Get() []byte  { return *b.pool.Get().(*[]byte) }
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }
