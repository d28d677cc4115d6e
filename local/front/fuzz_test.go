package front_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/front"
)

func FuzzNoSignatureIsForged(f *testing.F) {
	authority := access.NewAuthority(access.Config{Log: slog.New(slog.DiscardHandler)})
	user, err := authority.AddUser("user", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("AWS4-HMAC-SHA256 Credential="+user.AccessKeyID+"/20261123/us-east-1/sqs/aws4_request, SignedHeaders=host;x-amz-date, Signature=00", "20261123T000000Z", "/?a=b&c=%zz")
	f.Add("AWS4-HMAC-SHA256 Credential=////,SignedHeaders=;,Signature=", "", "/")
	f.Fuzz(func(t *testing.T, authorization, date, target string) {
		if !strings.HasPrefix(target, "/") || strings.ContainsAny(target, " \x00\r\n\t") {
			return
		}
		r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1"+target, strings.NewReader("{}"))
		if err != nil {
			return
		}
		r.RequestURI = target
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		reached := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the call went through") })
		front.New(front.Config{
			Authority: authority, Services: map[string]http.Handler{"sqs": reached},
			S3: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		}).ServeHTTP(httptest.NewRecorder(), r)
	})
}
