package standin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// object is one object. It never changes once it stands in the store.
type object struct {
	etag     string
	size     int64
	modified time.Time
	file     string   // the body is this file
	body     [][]byte // the body in pieces; nil if it was drained
	drained  bool     // its bytes were counted and thrown away
}

// upload is a multipart upload under way.
type upload struct {
	key   string
	parts map[int]*object
}

// store holds the objects of all buckets by bucket/key.
type store struct {
	mu      sync.Mutex
	objects map[string]*object
	uploads map[string]*upload
	saved   map[string]map[string]*object
	// drain: large bodies are not kept.
	drain bool
	// requests counts calls by operation since the last reset.
	requests map[string]int64
	last     int64
}

func newStore() *store {
	return &store{objects: map[string]*object{}, uploads: map[string]*upload{}, saved: map[string]map[string]*object{}, requests: map[string]int64{}}
}

func (s *store) count(operation string) {
	s.mu.Lock()
	s.requests[operation]++
	s.mu.Unlock()
}

func (s *store) get(key string) *object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[key]
}

// name gives an object its entity tag and time.
func (s *store) name(o *object) {
	s.last++
	o.etag, o.modified = fmt.Sprintf(`"%016x"`, s.last), time.Now().UTC()
}

// errCondition: a conditional write that does not hold.
var errCondition = errors.New("precondition failed")

func (s *store) put(key string, o *object, ifNone bool, ifMatch string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	there := s.objects[key]
	if ifNone && there != nil || ifMatch != "" && (there == nil || there.etag != ifMatch) {
		return errCondition
	}
	s.name(o)
	s.objects[key] = o
	return nil
}

func (s *store) remove(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		delete(s.objects, key)
	}
}

// list gives the keys of a bucket below prefix that come after after, sorted.
func (s *store) list(prefix, after string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for key := range s.objects {
		if strings.HasPrefix(key, prefix) && key > after {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (s *store) begin(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	id := fmt.Sprintf("u%d", s.last)
	s.uploads[id] = &upload{key: key, parts: map[int]*object{}}
	return id
}

func (s *store) part(id string, number int, o *object) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[id]
	if u == nil {
		return false
	}
	s.name(o)
	u.parts[number] = o
	return true
}

func (s *store) complete(id string) (*object, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[id]
	if u == nil {
		return nil, false
	}
	delete(s.uploads, id)
	whole := &object{}
	for _, n := range slices.Sorted(maps.Keys(u.parts)) {
		p := u.parts[n]
		whole.size += p.size
		whole.body = append(whole.body, p.body...)
		whole.drained = whole.drained || p.drained
	}
	s.name(whole)
	s.objects[u.key] = whole
	return whole, true
}

// save remembers all objects under a name; reset goes back to them.
func (s *store) save(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved[name] = maps.Clone(s.objects)
}

func (s *store) reset(name string, drain bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects, s.drain = map[string]*object{}, drain
	maps.Copy(s.objects, s.saved[name])
	clear(s.uploads)
	clear(s.requests)
}

// large are the objects whose bodies nobody reads again while it is timed:
// records, and results on their way to their last place.
func large(key string) bool {
	return strings.Contains(key, "/in/") || strings.HasSuffix(key, "results.jsonl") || strings.HasSuffix(key, "joined.jsonl") ||
		strings.HasSuffix(key, ".csv") || strings.HasPrefix(key, "copy/")
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// take reads a body.
func (s *store) take(key string, r io.Reader, length int64) (*object, error) {
	_, name, _ := strings.Cut(key, "/")
	s.mu.Lock()
	drain := s.drain && large(name)
	s.mu.Unlock()
	if !drain {
		var b bytes.Buffer
		b.Grow(int(max(length, 0)) + bytes.MinRead)
		n, err := b.ReadFrom(r)
		return &object{size: n, body: [][]byte{b.Bytes()}}, err
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	var n int64
	for {
		k, err := r.Read(*buf)
		n += int64(k)
		if err == io.EOF {
			return &object{size: n, drained: true}, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// zeros stand for bytes that were drained: small pieces of results are read
// again to be sent as one part of a composed object.
var zeros = make([]byte, 256<<10)

// write writes the bytes from off up to end.
func (o *object) write(w io.Writer, off, end int64) error {
	switch {
	case o.file != "":
		f, err := os.Open(o.file)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.Seek(off, io.SeekStart); err != nil {
			return err
		}
		_, err = io.CopyN(w, f, end-off) // sendfile
		return err
	case o.drained:
		for n := end - off; n > 0; n -= int64(len(zeros)) {
			if _, err := w.Write(zeros[:min(n, int64(len(zeros)))]); err != nil {
				return err
			}
		}
		return nil
	}
	for _, piece := range o.slice(off, end) {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// slice is a range of a body that is in memory.
func (o *object) slice(off, end int64) (pieces [][]byte) {
	var at int64
	for _, piece := range o.body {
		from, to := max(off-at, 0), min(end-at, int64(len(piece)))
		if from < to {
			pieces = append(pieces, piece[from:to])
		}
		at += int64(len(piece))
	}
	return pieces
}
