//go:build !amd64 && !arm64

package scan

var vectors = false

func classifyVector(*byte, int, *block) { panic("no vectors") }
func validVector(*byte, int) bool       { panic("no vectors") }
