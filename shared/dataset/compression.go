package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// What can be wrong with a compressed upload.
var (
	// ErrTooLarge: it is larger than its limit once unpacked.
	ErrTooLarge = errors.New("too large once decompressed")
	// ErrCorrupt: it cannot be unpacked.
	ErrCorrupt = errors.New("broken compression")
)

// maxWindow bounds what zstd keeps in memory. All of its levels stay below it
// unless a longer window is asked for by name.
const maxWindow = 128 << 20

func compression(head []byte) Compression {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return Gzip
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return Zstd
	}
	return Plain
}

// Decompress reads what r holds packed. It gives ErrTooLarge once more than
// limit bytes have come out (0 for no limit), ErrCorrupt for packed bytes that
// are broken, and the errors of r as they are. Plain bytes pass unchanged.
// Closing it does not close r.
func Decompress(r io.Reader, c Compression, limit int64) (io.ReadCloser, error) {
	source := &source{r: r}
	u := &unpacked{source: source, limit: limit}
	switch c {
	case Plain:
		u.r = source
	case Gzip:
		unzip, err := gzip.NewReader(source)
		if err != nil {
			return nil, u.explain(err)
		}
		u.r, u.close = unzip, unzip.Close
	case Zstd:
		unzip, err := zstd.NewReader(source, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, u.explain(err)
		}
		u.r, u.close = unzip, func() error { unzip.Close(); return nil }
	default:
		return nil, fmt.Errorf("decompress: unknown compression %q", c)
	}
	return u, nil
}

// source remembers the error of the stream below, which is told apart from
// broken packing by it.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

type unpacked struct {
	source *source
	r      io.Reader
	close  func() error
	limit  int64
	out    int64
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	u.out += int64(n)
	if u.limit > 0 && u.out > u.limit {
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, u.limit)
	}
	if err != nil && err != io.EOF {
		err = u.explain(err)
	}
	return n, err
}

func (u *unpacked) explain(err error) error {
	if u.source.err != nil {
		return u.source.err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

func (u *unpacked) Close() error {
	if u.close == nil {
		return nil
	}
	return u.close()
}
