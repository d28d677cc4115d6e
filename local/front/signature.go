package front

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// signature is what an Authorization header says.
type signature struct {
	accessKey, date, region, service string
	headers                          []string
	value                            []byte
}

const algorithm = "AWS4-HMAC-SHA256"

// authority is the host of an HTTP/2 request, as the JavaScript SDK signs it.
const authority = ":authority"

// parseSignature reads the Authorization header; nil if there is none and the
// request can be S3's alone (presigned, a form, or anonymous).
func parseSignature(r *http.Request) (*signature, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		if r.Header.Get("X-Amz-Target") != "" {
			return nil, refused("MissingAuthenticationTokenException", "Missing Authentication Token")
		}
		return nil, nil
	}
	rest, ok := strings.CutPrefix(header, algorithm)
	if !ok {
		return nil, incomplete("the Authorization header does not begin with " + algorithm)
	}
	sig := &signature{}
	for _, part := range strings.Split(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			scope := strings.Split(value, "/")
			if len(scope) != 5 || scope[4] != "aws4_request" {
				return nil, incomplete("Credential wants KEY/DATE/REGION/SERVICE/aws4_request, not " + value)
			}
			sig.accessKey, sig.date, sig.region, sig.service = scope[0], scope[1], scope[2], scope[3]
		case "SignedHeaders":
			sig.headers = strings.Split(value, ";")
		case "Signature":
			sig.value = []byte(value)
		}
	}
	if sig.accessKey == "" || len(sig.headers) == 0 || len(sig.value) == 0 {
		return nil, incomplete("the Authorization header lacks Credential, SignedHeaders or Signature")
	}
	return sig, nil
}

func refused(code, message string) *access.APIError {
	return &access.APIError{Code: code, Status: http.StatusForbidden, Message: message}
}

func incomplete(why string) *access.APIError {
	return refused("IncompleteSignatureException", why)
}

// verify finds who signed and recomputes the signature.
func (f *Front) verify(r *http.Request, sig *signature, body []byte) (*access.Principal, error) {
	query := strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	who, ok := f.cfg.Authority.ByAccessKey(sig.accessKey)
	if !ok || r.Header.Get("X-Amz-Security-Token") != "" {
		code := "UnrecognizedClientException"
		if query {
			code = "InvalidClientTokenId"
		}
		return nil, refused(code, "The security token included in the request is invalid.")
	}
	when, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return nil, incomplete("the X-Amz-Date header is missing or not like 20060102T150405Z")
	}
	wrong := "InvalidSignatureException"
	if query {
		wrong = "SignatureDoesNotMatch"
	}
	if age := time.Since(when); age.Abs() > 15*time.Minute {
		return nil, refused(wrong, fmt.Sprintf("Signature expired: %s is now more than 15 minutes away", when.Format(time.RFC3339)))
	}
	if sig.region != access.Region || when.Format("20060102") != sig.date {
		return nil, refused(wrong, fmt.Sprintf("Credential should be scoped to the region %s and the date of X-Amz-Date.", access.Region))
	}
	if !slices.Contains(sig.headers, "host") && !slices.Contains(sig.headers, authority) {
		return nil, refused(wrong, "'Host' must be a signed header.")
	}
	canonical := sha256.Sum256([]byte(canonicalRequest(r, sig.headers, body)))
	scope := strings.Join([]string{sig.date, sig.region, sig.service, "aws4_request"}, "/")
	text := strings.Join([]string{algorithm, r.Header.Get("X-Amz-Date"), scope, hex.EncodeToString(canonical[:])}, "\n")
	key := []byte("AWS4" + who.Secret)
	for _, part := range []string{sig.date, sig.region, sig.service, "aws4_request", text} {
		key = sum(key, part)
	}
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(key)), sig.value) != 1 {
		return nil, refused(wrong, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.")
	}
	return who, nil
}

func sum(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// canonicalRequest is the text that is signed; every service but S3 escapes
// the path a second time.
func canonicalRequest(r *http.Request, signed []string, body []byte) string {
	raw, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(raw, "/") {
		raw = r.URL.EscapedPath()
	}
	var b strings.Builder
	b.WriteString(r.Method + "\n" + escape(raw, true) + "\n" + canonicalQuery(r.URL.RawQuery) + "\n")
	for _, name := range signed {
		b.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	payload := sha256.Sum256(body)
	b.WriteString("\n" + strings.Join(signed, ";") + "\n" + hex.EncodeToString(payload[:]))
	return b.String()
}

func headerValue(r *http.Request, name string) string {
	switch values := r.Header.Values(name); {
	case name == "host", name == authority:
		return r.Host
	case name == "content-length" && len(values) == 0:
		return strconv.FormatInt(r.ContentLength, 10)
	default:
		clean := make([]string, len(values))
		for i, v := range values {
			clean[i] = strings.Join(strings.Fields(v), " ")
		}
		return strings.Join(clean, ",")
	}
}

func canonicalQuery(raw string) string {
	type pair struct{ name, value string }
	var pairs []pair
	for _, text := range strings.Split(raw, "&") {
		if text == "" {
			continue
		}
		name, value, _ := strings.Cut(text, "=")
		pairs = append(pairs, pair{escape(unescape(name), false), escape(unescape(value), false)})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.value, b.value)) })
	texts := make([]string, len(pairs))
	for i, p := range pairs {
		texts[i] = p.name + "=" + p.value
	}
	return strings.Join(texts, "&")
}

func unescape(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

// escape writes all but RFC 3986's unreserved characters (and slashes, in
// paths) as %XX.
func escape(s string, path bool) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 || path && c == '/' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
