// Package front is the one door of the local services: it listens on the
// loopback address, checks who signed a request (AWS Signature Version 4) and
// hands it to the service that the signature is meant for, with the caller in
// the request's context.
package front

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// maxBody is more than any API but S3's takes (InvokeModel: 25 MB).
const maxBody = 32 << 20

// Config is what a Front needs.
type Config struct {
	// Authority knows the access keys.
	Authority *access.Authority
	// S3 gets requests for S3 unread: it checks their signatures itself.
	S3 http.Handler
	// Services are the other services by the name they sign with (sqs, sns,
	// bedrock, ...). They find the caller with access.PrincipalFrom and the
	// whole body in the request.
	Services map[string]http.Handler
	// Links get GET requests without a signature by their Action: the links
	// that a service sends out, to be followed with a browser. They come
	// without a principal.
	Links map[string]http.Handler
	// Log receives what clients cannot be told; default slog.Default().
	Log *slog.Logger
}

// Front is an http.Handler for all services.
type Front struct{ cfg Config }

// New makes a Front.
func New(cfg Config) *Front {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Front{cfg: cfg}
}

// ServeHTTP routes by the signature's credential scope. No ServeMux: it would
// rewrite paths, and keys and ARNs stand in them.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sig, err := parseSignature(r)
	if err != nil {
		writeError(w, r, access.AsAPIError(err))
		return
	}
	if link := f.link(r); sig == nil && link != nil {
		link.ServeHTTP(w, r)
		return
	}
	if sig == nil || sig.service == "s3" {
		if f.cfg.S3 == nil {
			writeError(w, r, access.Errorf("UnknownService", "S3 is not offered here"))
			return
		}
		f.cfg.S3.ServeHTTP(w, r)
		return
	}
	handler := f.cfg.Services[sig.service]
	if handler == nil {
		writeError(w, r, access.Errorf("UnknownService", "the service %q is not offered here (s3 %s are)",
			sig.service, strings.Join(slices.Sorted(maps.Keys(f.cfg.Services)), " ")))
		return
	}
	// Read whole: the signature covers it, and the server notices that a
	// client has gone only once the body is read.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			writeError(w, r, &access.APIError{Code: "RequestEntityTooLarge", Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("the request has more than %d bytes", maxBody)})
		}
		return // else the client has gone
	}
	who, err := f.verify(r, sig, body)
	if err != nil {
		writeError(w, r, access.AsAPIError(err))
		return
	}
	r = r.WithContext(access.WithPrincipal(r.Context(), who))
	r.Body = io.NopCloser(bytes.NewReader(body))
	handler.ServeHTTP(w, r)
}

// link is who answers a link, or nil: S3, too, is asked without signatures.
func (f *Front) link(r *http.Request) http.Handler {
	if r.Method != http.MethodGet || r.URL.Path != "/" {
		return nil
	}
	return f.cfg.Links[r.URL.Query().Get("Action")]
}

// writeError renders an error that no service saw: XML for the query protocol,
// JSON for all others.
func writeError(w http.ResponseWriter, r *http.Request, e *access.APIError) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		type inner struct{ Type, Code, Message string }
		body, err := xml.Marshal(struct {
			XMLName xml.Name `xml:"ErrorResponse"`
			Error   inner
		}{Error: inner{"Sender", e.Code, e.Message}})
		if err == nil {
			w.Header().Set("Content-Type", "text/xml")
			w.WriteHeader(e.HTTPStatus())
			_, _ = w.Write(body) // the client may have gone
		}
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amzn-ErrorType", e.Code)
	w.WriteHeader(e.HTTPStatus())
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": e.Code, "message": e.Message})
}

// Listen takes a port of the loopback address; 0 takes a free one.
func Listen(port int) (net.Listener, error) {
	l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, fmt.Errorf("listen on 127.0.0.1:%d: %w", port, err)
	}
	return l, nil
}

// Serve answers on the listener until ctx ends, then lets calls in flight end
// for up to grace.
func (f *Front) Serve(ctx context.Context, l net.Listener, grace time.Duration) error {
	// Waiting calls (long polls) end when the service is told to stop.
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	// The JavaScript client of Bedrock Runtime speaks nothing but HTTP/2.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	var fresh unused
	server := &http.Server{
		Handler:           f,
		ConnState:         fresh.watch,
		Protocols:         &protocols,
		ReadHeaderTimeout: 30 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(f.cfg.Log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("front: %w", err)
	case <-ctx.Done():
	}
	down, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	time.AfterFunc(grace/2, stop)
	fresh.close()
	if err := server.Shutdown(down); err != nil {
		return errors.Join(fmt.Errorf("front: calls were still in flight after %s: %w", grace, err), server.Close())
	}
	return nil
}

// unused are connections on which nothing was ever asked, as clients keep them
// in reserve. A server's Shutdown waits five seconds for a first request on
// them, so they are closed before.
type unused struct {
	mu     sync.Mutex
	all    map[net.Conn]bool
	closed bool
}

// watch is a server's ConnState.
func (u *unused) watch(c net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(u.all, c)
	case u.closed:
		_ = c.Close() // its client has not said anything yet
	default:
		if u.all == nil {
			u.all = map[net.Conn]bool{}
		}
		u.all[c] = true
	}
}

// close closes what is unused, now and from now on.
func (u *unused) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for c := range u.all {
		_ = c.Close() // its client has not said anything yet
	}
}
