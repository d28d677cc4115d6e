package query

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// Operation runs one action of an API.
type Operation func(ctx context.Context, form url.Values) (any, error)

// Op makes an operation of a function from the action's input to its output.
func Op[In, Out any](run func(context.Context, *In) (*Out, error)) Operation {
	return func(ctx context.Context, form url.Values) (any, error) {
		in := new(In)
		if err := Decode(form, in); err != nil {
			return nil, access.Errorf("ValidationError", "%v", err)
		}
		out, err := run(ctx, in)
		if err != nil {
			return nil, err
		}
		return out, nil
	}
}

// Service answers an API of the query protocol out of a table of operations.
type Service struct {
	// Name is what the service is called in refusals.
	Name string
	// Namespace is the answers' XML namespace.
	Namespace string
	// Operations are the actions by name; any other is refused by name.
	Operations map[string]Operation
}

// Names lists the operations, sorted.
func (s *Service) Names() []string { return slices.Sorted(maps.Keys(s.Operations)) }

// maxRequest is far above what calls without payload take.
const maxRequest = 1 << 20

// ServeHTTP answers one call; the caller is the request's principal.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	w.Header().Set("X-Amzn-Requestid", id)
	w.Header().Set("Content-Type", "text/xml")
	action, out, err := s.serve(w, r)
	if err != nil {
		e := access.AsAPIError(err)
		w.WriteHeader(e.HTTPStatus())
		_, _ = w.Write(Error(s.Namespace, e.Code, e.Message, id, e.HTTPStatus())) // the client may have gone
		return
	}
	_, _ = w.Write(Response(s.Namespace, action, id, out)) // as above
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request) (action string, out any, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return "", nil, access.Errorf("ValidationError", "read the request: %v", err)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", nil, access.Errorf("ValidationError", "read the request: %v", err)
	}
	maps.Copy(form, r.URL.Query())
	action = form.Get("Action")
	run, ok := s.Operations[action]
	if !ok {
		return action, nil, access.Errorf("InvalidAction", "%s operation %q is not part of the local services (there are: %s)",
			s.Name, action, strings.Join(s.Names(), ", "))
	}
	out, err = run(r.Context(), form)
	return action, out, err
}

func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
