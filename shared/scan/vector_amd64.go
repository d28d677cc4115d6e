package scan

import "golang.org/x/sys/cpu"

// vectors: a processor without shuffles of bytes has not been built for long,
// but may be asked for.
var vectors = cpu.X86.HasSSSE3

// Of the 16 bytes of a vector.
var (
	quotes      = repeat('"')
	backslashes = repeat('\\')
	letterR     = repeat('r')
	controls    = repeat(0x1f)
	lowHalf     = repeat(0x0f)
	highest     = repeat(0x80)
	ofThree     = repeat(0xe0 - 0x80)
	ofFour      = repeat(0xf0 - 0x80)
)

func repeat(b byte) (v [16]byte) {
	for i := range v {
		v[i] = b
	}
	return v
}
