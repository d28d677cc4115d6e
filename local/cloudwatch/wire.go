package cloudwatch

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

type call struct {
	*Service
	ctx  context.Context
	user *access.Principal
}

// may asks for the right to an operation; no resource has rights of its own in
// what is read here.
func (c call) may(action string) error {
	return c.cfg.Authority.Check(c.ctx, access.Call{Principal: c.user, Action: "cloudwatch:" + action, Resource: "*"})
}

// protocol is how a request is written: the SDKs speak CBOR, some tools JSON.
type protocol struct {
	contentType string
	decode      func(body []byte, into any) error
	encode      func(out any) ([]byte, error)
}

type operation func(c call, p protocol, body []byte) (any, error)

func op[In, Out any](name string, run func(call, *In) (*Out, error)) operation {
	return func(c call, p protocol, body []byte) (any, error) {
		in := new(In)
		if len(body) > 0 {
			if err := p.decode(body, in); err != nil {
				return nil, invalid("%s: %v", name, err)
			}
		}
		if err := c.may(name); err != nil {
			return nil, err
		}
		return run(c, in)
	}
}

var operations = map[string]operation{
	"ListMetrics":         op("ListMetrics", call.listMetrics),
	"GetMetricData":       op("GetMetricData", call.getMetricData),
	"GetMetricStatistics": op("GetMetricStatistics", call.getMetricStatistics),
	"DescribeAlarms":      op("DescribeAlarms", call.describeAlarms),
}

// Operations lists what the service answers, sorted.
func Operations() []string { return slices.Sorted(maps.Keys(operations)) }

func invalid(format string, args ...any) error {
	return access.Errorf("InvalidParameterValue", format, args...)
}

// absent refuses by name what is not part of the local services.
func absent(format string, args ...any) error {
	return invalid(format+" is not part of the local services", args...)
}

const (
	target   = "GraniteServiceVersion20100801"
	cborPath = "/service/" + target + "/operation/"
	rpcCBOR  = "rpc-v2-cbor"
)

var (
	cborIn = must(cbor.DecOptions{
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, FieldNameMatching: cbor.FieldNameMatchingCaseSensitive, DupMapKey: cbor.DupMapKeyEnforcedAPF,
	}.DecMode())
	cborOut = must(cbor.EncOptions{Time: cbor.TimeUnixMicro, TimeTag: cbor.EncTagRequired}.EncMode())

	asCBOR = protocol{
		contentType: "application/cbor",
		decode:      func(body []byte, into any) error { return cborIn.Unmarshal(body, into) },
		encode:      cborOut.Marshal,
	}
	asJSON = protocol{
		contentType: "application/x-amz-json-1.0",
		decode: func(body []byte, into any) error {
			return json.Unmarshal(body, into, json.RejectUnknownMembers(true), json.WithUnmarshalers(json.UnmarshalFromFunc(readSeconds)))
		},
		encode: func(out any) ([]byte, error) {
			return json.Marshal(out, json.WithMarshalers(json.MarshalToFunc(writeSeconds)))
		},
	}
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // options that contradict each other
	}
	return v
}

// JSON has times as seconds since 1970.
func readSeconds(d *jsontext.Decoder, t *time.Time) error {
	var seconds float64
	if err := json.UnmarshalDecode(d, &seconds); err != nil {
		return err
	}
	*t = time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
	return nil
}

func writeSeconds(e *jsontext.Encoder, t time.Time) error {
	return json.MarshalEncode(e, float64(t.UnixMilli())/1000)
}

// ServeHTTP answers the protocols rpc-v2-cbor and JSON 1.0. The caller is the
// request's principal.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amzn-Requestid", rand.Text())
	p, name, err := protocolOf(r)
	var out any
	if err == nil {
		out, err = s.serve(w, r, p, name)
	}
	status := http.StatusOK
	if err != nil {
		e := access.AsAPIError(err)
		status, out = e.HTTPStatus(), map[string]string{"__type": "com.amazonaws.cloudwatch#" + e.Code, "message": e.Message, "Message": e.Message}
		w.Header().Set("X-Amzn-Query-Error", e.Code+";Sender")
	}
	body, err := p.encode(out)
	if err != nil {
		s.log.Error("cloudwatch: write an answer", "operation", name, "error", err)
		status, body = http.StatusInternalServerError, nil
	}
	if p.contentType == asCBOR.contentType {
		w.Header().Set("Smithy-Protocol", rpcCBOR)
	}
	w.Header().Set("Content-Type", p.contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone
}

// protocolOf is how a request speaks, and the operation it names.
func protocolOf(r *http.Request) (protocol, string, error) {
	if name, ok := strings.CutPrefix(r.URL.Path, cborPath); ok && r.Header.Get("Smithy-Protocol") == rpcCBOR {
		return asCBOR, name, nil
	}
	if name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), target+"."); ok {
		return asJSON, name, nil
	}
	spoken := "an unknown protocol"
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		spoken = "the query protocol"
	}
	return asJSON, "", access.Errorf("UnknownOperationException", "CloudWatch is not spoken to in %s here: the local services understand rpc-v2-cbor and awsJson1_0, which the SDKs of 2025 and later speak", spoken)
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request, p protocol, name string) (any, error) {
	run, ok := operations[name]
	if !ok {
		return nil, access.Errorf("UnknownOperationException", "CloudWatch operation %q is not part of the local services (there are: %s)", name, strings.Join(Operations(), ", "))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		return nil, invalid("read the request: %v", err)
	}
	return run(call{s, r.Context(), access.PrincipalFrom(r.Context())}, p, body)
}

// page cuts a list; the token is the number of the first that is left.
func page[T any](all []T, token string, most int) (these []T, next string, err error) {
	from := 0
	if token != "" {
		if _, err := fmt.Sscanf(token, "from-%d", &from); err != nil || from < 0 || from > len(all) {
			return nil, "", access.Errorf("InvalidNextToken", "NextToken is not from this list")
		}
	}
	to := min(len(all), from+most)
	if to < len(all) {
		next = fmt.Sprintf("from-%d", to)
	}
	return all[from:to], next, nil
}
