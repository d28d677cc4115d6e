package s3

import (
	"io"
	"os"
	"sync"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3api/middlewares"
)

// folders keeps a bucket's folders in place while an object is put into one.
// The store removes the folders that a deleted object leaves empty; an object
// linked at that moment would be refused as if its key were a folder. So the
// commit of an object holds the folders, and a delete that may remove some
// waits for the commits under way. Bodies are read without holding anything.
type folders struct{ mu sync.RWMutex }

// hold keeps all folders until the hold is released. One hold belongs to one
// call; taking or releasing it twice does nothing.
type hold struct {
	folders *folders
	taken   bool
}

func (h *hold) take() {
	if h.folders != nil && !h.taken {
		h.folders.mu.RLock()
		h.taken = true
	}
}

func (h *hold) release() {
	if h.taken {
		h.folders.mu.RUnlock()
		h.folders, h.taken = nil, false
	}
}

// emptying runs a delete that may remove folders.
func (f *folders) emptying(remove func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	remove()
}

// body takes the hold when all of it is read: the store's next step is to make
// the object's folder.
type body struct {
	io.Reader
	hold *hold
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.hold.take()
	}
	return n, err
}

// checkedBody is a body whose checksum comes after it; the store asks it.
type checkedBody struct {
	body
	middlewares.ChecksumReader
}

func (b *checkedBody) Read(p []byte) (int, error) { return b.body.Read(p) }

func holdAfter(r io.Reader, h *hold) io.Reader {
	if sums, ok := r.(middlewares.ChecksumReader); ok {
		return &checkedBody{body: body{Reader: r, hold: h}, ChecksumReader: sums}
	}
	return &body{Reader: r, hold: h}
}

// holdAfterParts joins the parts of an upload as the store does itself, and
// takes the hold after the last of them.
func holdAfterParts(in *awss3.CompleteMultipartUploadInput, h *hold) posix.CustomCopyFunc {
	left := 0
	if in.MultipartUpload != nil {
		left = len(in.MultipartUpload.Parts)
	}
	return func(from, to *os.File) (again bool, err error) {
		// After an error the store copies the rest of the part itself.
		_, err = io.Copy(to, from)
		if left--; left == 0 {
			h.take()
		}
		return true, err
	}
}
