package scan

import (
	"testing"
	"unicode/utf8"
)

// Every text of up to three bytes, and behind the first bytes of letters of
// four, those on both sides of each bound.
func TestUTF8IsWhatTheStandardLibrarySays(t *testing.T) {
	check := func(text []byte) {
		if got, want := valid(text), utf8.Valid(text); got != want {
			t.Fatalf("% x: valid %v, standard library %v", text, got, want)
		}
	}
	check(nil)
	text := make([]byte, 4)
	for a := range 256 {
		text[0] = byte(a)
		check(text[:1])
		for b := range 256 {
			text[1] = byte(b)
			check(text[:2])
			for c := range 256 {
				text[2] = byte(c)
				check(text[:3])
			}
		}
	}
	edges := []byte{0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xed, 0xf0, 0xf4, 0xff}
	for a := 0xe0; a < 256; a++ {
		text[0] = byte(a)
		for b := range 256 {
			text[1] = byte(b)
			for _, text[2] = range edges {
				for _, text[3] = range edges {
					check(text)
				}
			}
		}
	}
}
