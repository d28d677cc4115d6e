package scan

import "golang.org/x/sys/cpu"

// vectors: a processor without AVX2 has hardly been built since 2015, but may
// still be at work.
var vectors = cpu.X86.HasAVX2

// For each of 16 bytes.
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
