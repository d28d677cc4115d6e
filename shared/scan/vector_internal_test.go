package scan

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"unicode/utf8"
)

// BothWays runs a test as the processor can, and without vectors.
func BothWays(t *testing.T, test func(t *testing.T)) {
	t.Run("as the processor can", test)
	defer Without()()
	t.Run("without vectors", test)
}

// Without makes vectors unused until the function that it returns is called.
func Without() (back func()) {
	had := vectors
	vectors = false
	return func() { vectors = had }
}

// classified says what classifyVector does.
func classified(text []byte) (b block) {
	for i, c := range text[:64] {
		bit := uint64(1) << i
		switch {
		case c == '"':
			b.quotes |= bit
		case c == '\\':
			b.backslashes |= bit
		case c < 0x20:
			b.controls |= bit
		case c >= 0x80:
			b.beyond |= bit
		}
		if escapes[c] == 2 {
			b.letters |= bit
		}
	}
	return b
}

func TestBytesAreClassified(t *testing.T) {
	if !vectors {
		return // there is nothing to compare
	}
	check := func(text []byte) {
		n := len(text) / 64
		got := make([]block, n+1)
		got[n].quotes = 7
		classifyVector(&text[0], n, &got[0])
		for i := range n {
			if want := classified(text[64*i:]); got[i] != want {
				t.Fatalf("% x\n got %x\nwant %x", text[64*i:64*i+64], got[i], want)
			}
		}
		if got[n] != (block{quotes: 7}) {
			t.Fatalf("written beyond %d blocks", n)
		}
	}
	text := bytes.Repeat([]byte{'x'}, 3*64+1)
	for at := range 64 {
		for c := range 256 {
			text[at], text[64+at], text[129+at] = byte(c), byte(c), byte(c)
			check(text[:64])
			check(text[1:]) // not on a boundary
		}
		text[at], text[64+at], text[129+at] = 'x', 'x', 'x'
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		for i := range text {
			text[i] = byte(random.Uint32())
		}
		check(text[:64*(1+random.IntN(3))])
	}
}

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

// The same at each place in front of, across and behind the bounds of vectors.
func TestUTF8IsTheSameAtEachPlace(t *testing.T) {
	edges := []byte{0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff}
	text := bytes.Repeat([]byte{'x'}, 52)
	check := func(text []byte) {
		if got, want := valid(text), utf8.Valid(text); got != want {
			t.Fatalf("% x: valid %v, standard library %v", text, got, want)
		}
	}
	for _, a := range edges {
		for _, b := range edges {
			for _, c := range edges {
				for _, d := range edges {
					letters := []byte{a, b, c, d}
					for at := 12; at < 34; at++ {
						copy(text[at:], letters)
						check(text)
						check(text[:at+4]) // they end it
						check(text[:at+3])
						copy(text[at:], "xxxx")
					}
				}
			}
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	pieces := []string{"x", "é", "は", "😀", "\xc3", "\xe3\x81", "\xf0\x9f\x98", "\x80", "plain ASCII of some length"}
	for range 200_000 {
		text = text[:0]
		for range random.IntN(40) {
			n := len(pieces)
			if random.IntN(20) > 0 {
				n = 4 // mostly good
			}
			text = append(text, pieces[random.IntN(n)]...)
		}
		check(text)
	}
}
