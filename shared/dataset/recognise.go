package dataset

import (
	"errors"
	"io"
)

// HeadSize is how many of an upload's first bytes Recognise should be given
// (fewer where the upload is shorter).
const HeadSize = 64 << 10

// Why an upload cannot be read at all.
var (
	// ErrEmpty: there is nothing in it but white space.
	ErrEmpty = errors.New("the upload is empty")
	// ErrUnrecognised: neither name nor first bytes tell a format.
	ErrUnrecognised = errors.New("unknown format")
	// ErrTooLarge: a compressed upload is larger than its limit once unpacked.
	ErrTooLarge = errors.New("too large once decompressed")
	// ErrCorrupt: a compressed upload that cannot be unpacked.
	ErrCorrupt = errors.New("broken compression")
)

// Recognise tells format and compression from the upload's name (key), its
// first HeadSize bytes as stored, and the format that the workload declares
// (empty for none).
func Recognise(name string, head []byte, declared Format) (Format, Compression, error) {
	return declared, Plain, ErrUnrecognised
}

// Decompress reads what r holds packed. It gives ErrTooLarge once more than
// limit bytes have come out (0 for no limit), ErrCorrupt for packed bytes that
// are broken, and the errors of r as they are.
func Decompress(r io.Reader, c Compression, limit int64) (io.ReadCloser, error) {
	return nil, ErrUnrecognised
}
