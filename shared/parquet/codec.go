package parquet

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// Numbers of the codecs.
const (
	codecNone   = 0
	codecSnappy = 1
	codecGzip   = 2
	codecZstd   = 6
)

var codecTitles = []string{"no compression", "Snappy", "gzip", "LZO", "Brotli", "LZ4", "Zstandard", "LZ4"}

// codecs unpack a page into exactly size bytes.
var codecs = map[int64]func(packed []byte, size int) ([]byte, error){
	codecNone: func(packed []byte, size int) ([]byte, error) {
		if len(packed) != size {
			return nil, errShape
		}
		return bytes.Clone(packed), nil
	},
	codecSnappy: func(packed []byte, size int) ([]byte, error) {
		if n, err := snappy.DecodedLen(packed); err != nil || n != size {
			return nil, errShape
		}
		return snappy.Decode(nil, packed)
	},
	codecGzip: func(packed []byte, size int) ([]byte, error) {
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, err
		}
		return exactly(r, size)
	},
	codecZstd: func(packed []byte, size int) ([]byte, error) {
		r, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(MaxPage))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return exactly(r, size)
	},
}

// exactly reads size bytes and the end. It takes memory for what there is.
func exactly(r io.Reader, size int) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(min(size, 1<<20))
	n, err := io.Copy(&b, io.LimitReader(r, int64(size)+1))
	if err != nil {
		return nil, err
	}
	if n != int64(size) {
		return nil, errShape
	}
	return b.Bytes(), nil
}

func codecName(codec int64) string {
	if codec >= 0 && codec < int64(len(codecTitles)) {
		return codecTitles[codec]
	}
	return "codec " + strconv.FormatInt(codec, 10)
}

func codecNames() string {
	var names []string
	for codec := range codecs {
		if codec != codecNone {
			names = append(names, codecTitles[codec])
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
