//go:build amd64 || arm64

package scan

// classifyVector classifies so many blocks of 64 bytes, at least one.
//
//go:noescape
func classifyVector(text *byte, blocks int, into *block)

// validVector reports whether so many blocks of 16 bytes, at least one, are
// UTF-8, but for a letter at their end that is not whole.
//
//go:noescape
func validVector(text *byte, blocks int) bool
