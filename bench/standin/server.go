// Package standin is as much of S3 as the benchmark needs, as cheap as HTTP
// allows: uploads are files that the kernel sends, large bodies that are
// written are counted and thrown away while it is timed. It runs in a process
// of its own, so that what it costs is not charged to what is measured.
package standin

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Stats is what the stand-in has been asked since its last reset.
type Stats struct {
	Requests map[string]int64
	// CPUSeconds is what the stand-in itself has used since it began.
	CPUSeconds float64
}

// Handler is a stand-in that holds nothing. Beside S3's operations it answers
// under /_/: save and reset, file (an object whose body is a local file), stats.
func Handler() http.Handler {
	s := &server{newStore()}
	mux := http.NewServeMux()
	mux.HandleFunc("/_/{what}", s.admin)
	mux.HandleFunc("/", s.serve)
	return mux
}

type server struct{ *store }

func (s *server) admin(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch r.PathValue("what") {
	case "save":
		s.save(q.Get("name"))
	case "reset":
		s.reset(q.Get("name"), q.Get("drain") != "")
	case "file":
		info, err := os.Stat(q.Get("path"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = s.put(q.Get("key"), &object{file: q.Get("path"), size: info.Size()}, false, "")
	case "stats":
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(Stats{s.requests, float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9})
	default:
		http.NotFound(w, r)
	}
}

// serve is one S3 request, addressed by path.
func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.URL.Path, "/")
	bucket, _, _ := strings.Cut(key, "/")
	q := r.URL.Query()
	if strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		fail(w, http.StatusNotImplemented, "NotImplemented", "bodies in signed chunks")
		return
	}
	switch {
	case r.Method == http.MethodGet && q.Has("list-type"):
		s.count("ListObjectsV2")
		s.listing(w, bucket, q)
	case r.Method == http.MethodGet:
		s.count("GetObject")
		s.read(w, r, key)
	case r.Method == http.MethodHead:
		s.count("HeadObject")
		s.read(w, r, key)
	case r.Method == http.MethodPut && q.Has("partNumber"):
		s.uploadPart(w, r, key, q)
	case r.Method == http.MethodPut:
		s.count("PutObject")
		o, err := s.take(key, r.Body, r.ContentLength)
		if err == nil {
			err = s.put(key, o, r.Header.Get("If-None-Match") == "*", r.Header.Get("If-Match"))
		}
		switch {
		case errors.Is(err, errCondition):
			fail(w, http.StatusPreconditionFailed, "PreconditionFailed", "at least one of the preconditions did not hold")
		case err != nil:
			fail(w, http.StatusBadRequest, "IncompleteBody", err.Error())
		default:
			w.Header().Set("ETag", o.etag)
		}
	case r.Method == http.MethodPost && q.Has("uploads"):
		s.count("CreateMultipartUpload")
		answer(w, struct {
			XMLName xml.Name `xml:"InitiateMultipartUploadResult"`
			ID      string   `xml:"UploadId"`
		}{ID: s.begin(key)})
	case r.Method == http.MethodPost && q.Has("uploadId"):
		s.count("CompleteMultipartUpload")
		_, _ = io.Copy(io.Discard, r.Body)
		o, ok := s.complete(q.Get("uploadId"))
		if !ok {
			fail(w, http.StatusNotFound, "NoSuchUpload", "no such upload")
			return
		}
		answer(w, struct {
			XMLName xml.Name `xml:"CompleteMultipartUploadResult"`
			ETag    string
		}{ETag: o.etag})
	case r.Method == http.MethodPost && q.Has("delete"):
		s.count("DeleteObjects")
		s.deletion(w, r, bucket)
	case r.Method == http.MethodDelete:
		s.count("AbortMultipartUpload")
		w.WriteHeader(http.StatusNoContent)
	default:
		fail(w, http.StatusNotImplemented, "NotImplemented", r.Method+" "+r.URL.String())
	}
}

func (s *server) read(w http.ResponseWriter, r *http.Request, key string) {
	o := s.get(key)
	if o == nil {
		fail(w, http.StatusNotFound, "NoSuchKey", "no such key")
		return
	}
	if want := r.Header.Get("If-Match"); want != "" && want != o.etag {
		fail(w, http.StatusPreconditionFailed, "PreconditionFailed", "another object stands there")
		return
	}
	from, end, status := int64(0), o.size, http.StatusOK
	if span, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		first, last, _ := strings.Cut(span, "-")
		from, _ = strconv.ParseInt(first, 10, 64)
		if n, err := strconv.ParseInt(last, 10, 64); err == nil {
			end = min(n+1, o.size)
		}
		if from >= o.size {
			fail(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "the range lies behind the object")
			return
		}
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, end-1, o.size))
	}
	h := w.Header()
	h.Set("ETag", o.etag)
	h.Set("Last-Modified", o.modified.Format(http.TimeFormat))
	h.Set("Content-Type", "binary/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(end-from, 10))
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_ = o.write(w, from, end)
	}
}

func (s *server) uploadPart(w http.ResponseWriter, r *http.Request, key string, q url.Values) {
	number, _ := strconv.Atoi(q.Get("partNumber"))
	source := r.Header.Get("X-Amz-Copy-Source")
	var o *object
	if source == "" {
		s.count("UploadPart")
		var err error
		if o, err = s.take(key, r.Body, r.ContentLength); err != nil {
			fail(w, http.StatusBadRequest, "IncompleteBody", err.Error())
			return
		}
	} else {
		s.count("UploadPartCopy")
		name, _ := url.PathUnescape(strings.TrimPrefix(source, "/"))
		from := s.get(name)
		if from == nil {
			fail(w, http.StatusNotFound, "NoSuchKey", "no such key")
			return
		}
		off, end := int64(0), from.size
		if span, ok := strings.CutPrefix(r.Header.Get("X-Amz-Copy-Source-Range"), "bytes="); ok {
			var last int64
			if _, err := fmt.Sscanf(span, "%d-%d", &off, &last); err != nil {
				fail(w, http.StatusBadRequest, "InvalidArgument", span)
				return
			}
			end = last + 1
		}
		o = &object{size: end - off, body: from.slice(off, end), drained: from.drained}
	}
	if !s.part(q.Get("uploadId"), number, o) {
		fail(w, http.StatusNotFound, "NoSuchUpload", "no such upload")
		return
	}
	w.Header().Set("ETag", o.etag)
	if source != "" {
		answer(w, struct {
			XMLName xml.Name `xml:"CopyPartResult"`
			ETag    string
		}{ETag: o.etag})
	}
}

// page is how many keys a listing tells at once.
const page = 1000

func (s *server) listing(w http.ResponseWriter, bucket string, q url.Values) {
	type content struct {
		Key          string
		ETag         string
		Size         int64
		LastModified string
	}
	out := struct {
		XMLName     xml.Name `xml:"ListBucketResult"`
		IsTruncated bool
		Next        string `xml:"NextContinuationToken,omitempty"`
		Contents    []content
	}{}
	after := q.Get("continuation-token")
	if after == "" {
		after = q.Get("start-after")
	}
	if after != "" {
		after = bucket + "/" + after
	}
	for _, full := range s.list(bucket+"/"+q.Get("prefix"), after) {
		if len(out.Contents) == page {
			out.IsTruncated, out.Next = true, out.Contents[page-1].Key
			break
		}
		if o := s.get(full); o != nil {
			out.Contents = append(out.Contents, content{strings.TrimPrefix(full, bucket+"/"), o.etag, o.size, o.modified.Format(time.RFC3339)})
		}
	}
	answer(w, out)
}

func (s *server) deletion(w http.ResponseWriter, r *http.Request, bucket string) {
	var in struct {
		Object []struct{ Key string }
	}
	if err := xml.NewDecoder(r.Body).Decode(&in); err != nil {
		fail(w, http.StatusBadRequest, "MalformedXML", err.Error())
		return
	}
	for _, o := range in.Object {
		s.remove(bucket + "/" + o.Key)
	}
	answer(w, struct {
		XMLName xml.Name `xml:"DeleteResult"`
	}{})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Del("Content-Length")
	w.WriteHeader(status)
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: code, Message: message})
}
