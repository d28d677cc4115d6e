package bedrock_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/bedrock"
)

// server is as much of S3's wire as the object store uses.
type server struct {
	objects map[string][]byte
	parts   map[string][]byte
	calls   []string
	refuse  string // answer of each call but this method's: an error code
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	key, q := strings.TrimPrefix(r.URL.Path, "/bucket/"), r.URL.Query()
	fail := func(status int, code string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, code)
	}
	s.calls = append(s.calls, r.Method+" "+r.URL.RawQuery)
	switch {
	case s.refuse != "":
		fail(http.StatusForbidden, s.refuse)
	case r.Method == "GET" && q.Get("list-type") == "2":
		fmt.Fprint(w, "<ListBucketResult>")
		for key, body := range s.objects {
			if strings.HasPrefix(key, q.Get("prefix")) {
				fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>%d</Size></Contents>", key, len(body))
			}
		}
		fmt.Fprint(w, "</ListBucketResult>")
	case r.Method == "GET" && s.objects[key] == nil:
		fail(http.StatusNotFound, "NoSuchKey")
	case r.Method == "GET":
		_, _ = w.Write(s.objects[key])
	case r.Method == "PUT" && r.Header.Get("If-Match") != "":
		fail(http.StatusNotFound, "NoSuchKey")
	case r.Method == "POST" && q.Has("uploads"):
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>%s</Key><UploadId>u</UploadId></InitiateMultipartUploadResult>", key)
	case r.Method == "PUT" && q.Has("partNumber"):
		s.parts[q.Get("partNumber")] = body
		w.Header().Set("ETag", `"`+q.Get("partNumber")+`"`)
	case r.Method == "POST":
		for i := 1; s.parts[fmt.Sprint(i)] != nil; i++ {
			s.objects[key] = append(s.objects[key], s.parts[fmt.Sprint(i)]...)
		}
		fmt.Fprint(w, "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
	case r.Method == "DELETE":
		w.WriteHeader(http.StatusNoContent)
	default:
		s.objects[key] = body
	}
}

func TestObjectsAreStoredInPartsAndReadBack(t *testing.T) {
	s := &server{objects: map[string][]byte{}, parts: map[string][]byte{}}
	web := httptest.NewServer(s)
	defer web.Close()
	store := bedrock.S3(web.URL)(&access.Principal{AccessKeyID: "AKIDEXAMPLE", Secret: "secret"})
	for name, size := range map[string]int{"empty": 0, "small": 100, "one-part": 8 << 20, "two-parts": 8<<20 + 1, "three": 24 << 20} {
		want := bytes.Repeat([]byte("x"), size)
		s.parts = map[string][]byte{}
		if err := store.Put(t.Context(), "bucket", name, bytes.NewReader(want)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := s.objects[name]; !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes stored, want %d", name, len(got), size)
		}
	}
	body, err := store.Open(t.Context(), "bucket", "small")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(body); err != nil || len(got) != 100 {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	if _, err := store.Open(t.Context(), "bucket", "none"); !errors.Is(err, bedrock.ErrAbsent) {
		t.Errorf("an absent object: %v", err)
	}
	if err := store.MayPut(t.Context(), "bucket", "new"); err != nil || s.objects["new"] != nil {
		t.Errorf("asking for the right to put: %v", err)
	}
	n := 0
	for o, err := range store.List(t.Context(), "bucket", "t") {
		if n++; err != nil || o.Size <= 8<<20 {
			t.Errorf("listed %v, %v", o, err)
		}
	}
	if n != 2 {
		t.Errorf("%d objects listed, want 2", n)
	}
}

func TestABodyThatFailsLeavesNothing(t *testing.T) {
	s := &server{objects: map[string][]byte{}, parts: map[string][]byte{}}
	web := httptest.NewServer(s)
	defer web.Close()
	store := bedrock.S3(web.URL)(&access.Principal{AccessKeyID: "AKIDEXAMPLE", Secret: "secret"})
	broken := errors.New("broken")
	for _, size := range []int{10, 20 << 20} {
		body := io.MultiReader(bytes.NewReader(make([]byte, size)), failing{broken})
		if err := store.Put(t.Context(), "bucket", "x", body); !errors.Is(err, broken) || s.objects["x"] != nil {
			t.Errorf("after %d bytes: %v", size, err)
		}
	}
	if !slices.ContainsFunc(s.calls, func(c string) bool { return strings.HasPrefix(c, "DELETE ") }) {
		t.Error("the upload in parts was not given up")
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestRefusalsForLackOfRightsAreTold(t *testing.T) {
	s := &server{refuse: "AccessDenied"}
	web := httptest.NewServer(s)
	defer web.Close()
	store := bedrock.S3(web.URL)(&access.Principal{AccessKeyID: "AKIDEXAMPLE", Secret: "secret"})
	_, open := store.Open(t.Context(), "bucket", "x")
	put := store.Put(t.Context(), "bucket", "x", strings.NewReader("x"))
	for name, err := range map[string]error{"open": open, "put": put, "may put": store.MayPut(t.Context(), "bucket", "x")} {
		if !errors.Is(err, bedrock.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
