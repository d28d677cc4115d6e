package dataset

import (
	"bytes"
	"io"
)

// window is the part of a stream that a reader looks at: data() are the bytes
// read and not yet consumed. It grows only as far as its users let a row grow.
type window struct {
	r          io.Reader
	buf        []byte
	start, end int
	// off is the offset in the upload of the first byte of data().
	off int64
	// err is the error that ended the stream, io.EOF included.
	err error
}

// A window begins small, as documents mostly are, and is made windowSize where
// more comes.
const (
	firstWindow = 16 << 10
	windowSize  = 256 << 10
)

func newWindow(r io.Reader, off int64) *window {
	return &window{r: r, off: off}
}

func (w *window) data() []byte { return w.buf[w.start:w.end] }

// consume drops the first n bytes of data().
func (w *window) consume(n int) {
	w.start += n
	w.off += int64(n)
}

// more reads at least one byte onto the end of data(), which may move. It
// returns the error that ended the stream.
func (w *window) more() error {
	if w.err != nil {
		return w.err
	}
	if w.end == len(w.buf) {
		if len(w.buf) >= windowSize && w.start >= len(w.buf)/2 {
			w.end = copy(w.buf, w.data())
			w.start = 0
		} else {
			grown := make([]byte, w.larger())
			w.end = copy(grown, w.data())
			w.start = 0
			w.buf = grown
		}
	}
	for range 100 {
		n, err := w.r.Read(w.buf[w.end:])
		w.end += n
		if err != nil {
			w.err = err
		}
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	w.err = io.ErrNoProgress
	return w.err
}

// larger is the next size of the buffer.
func (w *window) larger() int {
	switch n := len(w.buf); {
	case n == 0:
		return firstWindow
	case n < windowSize:
		return windowSize
	default:
		return 2 * n
	}
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// skipMark consumes a byte order mark at the very start of the upload.
func (w *window) skipMark() error {
	if w.off != 0 {
		return nil
	}
	for len(w.data()) < len(byteOrderMark) {
		if !bytes.HasPrefix(byteOrderMark, w.data()) {
			return nil
		}
		if err := w.more(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
	if bytes.HasPrefix(w.data(), byteOrderMark) {
		w.consume(len(byteOrderMark))
	}
	return nil
}

// line is a physical line found in a window.
type line struct {
	raw  []byte // without its end; the beginning only if cut
	off  int64
	size int64 // of the whole line, without its end
	next int64 // offset of the line after it
	cut  bool
}

// nextLine consumes a line. Of one longer than limit only the beginning is
// kept. The line is valid until the window is used again.
func (w *window) nextLine(limit int) (line, error) {
	scanned := 0
	for {
		data := w.data()
		if i := bytes.IndexByte(data[scanned:], '\n'); i >= 0 {
			return w.takeLine(scanned+i, scanned+i+1, limit), nil
		}
		scanned = len(data)
		if scanned > limit+1 { // one more for the CR of the line's end
			return w.skipLine(limit)
		}
		if err := w.more(); err == io.EOF {
			if scanned == 0 {
				return line{}, io.EOF
			}
			return w.takeLine(scanned, scanned, limit), nil
		} else if err != nil {
			return line{}, err
		}
	}
}

func (w *window) takeLine(size, whole, limit int) line {
	raw := trimCR(w.data()[:size])
	l := line{raw: raw, off: w.off, size: int64(len(raw)), next: w.off + int64(whole)}
	if len(raw) > limit {
		l.raw, l.cut = beginning(raw, limit), true
	}
	w.consume(whole)
	return l
}

// skipLine consumes a line that is too large without keeping it.
func (w *window) skipLine(limit int) (line, error) {
	l := line{off: w.off, cut: true, raw: bytes.Clone(beginning(w.data(), limit))}
	end := false
	var last byte
	for !end {
		data := w.data()
		i := bytes.IndexByte(data, '\n')
		if end = i >= 0; !end {
			i = len(data)
		}
		if i > 0 {
			last = data[i-1]
		}
		w.consume(i)
		l.size = w.off - l.off
		if end {
			w.consume(1)
		} else if err := w.more(); err == io.EOF {
			end = true
		} else if err != nil {
			return line{}, err
		}
	}
	if last == '\r' {
		l.size--
	}
	l.next = w.off
	return l, nil
}

// beginning is what is kept of a row over the limit: enough to show, and the
// same however much of it happens to be in memory.
func beginning(data []byte, limit int) []byte {
	return data[:min(len(data), limit, MaxAsideRaw+1)]
}

func trimCR(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\r' {
		return b[:n-1]
	}
	return b
}

// blank reports whether b is nothing but spaces, tabs and returns.
func blank(b []byte) bool {
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}
