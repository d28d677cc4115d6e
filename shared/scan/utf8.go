package scan

// valid is utf8.Valid. It takes the same time for every text, many times less
// than that for letters with and without accents by turns, whose branches no
// processor foresees.
func valid(text []byte) bool {
	from := 0
	if n := len(text) / 16; vectors && n > 0 {
		if !validVector(&text[0], n) {
			return false
		}
		// The last letter may reach beyond the blocks, or not be whole.
		from = 16*n - 1
		for least := from - 3; from > least && text[from]&0xc0 == 0x80; {
			from--
		}
	}
	return bytewise(text[from:])
}

// What may be wrong with two bytes. The bits are arranged as in the paper: what
// cannot be wrong together may share one.
const (
	tooShort  = 1 << 0 // a first byte, and then no further one
	tooLong   = 1 << 1 // ASCII, and then a further byte
	overlong3 = 1 << 2
	tooLarge  = 1 << 3 // beyond U+10FFFF
	surrogate = 1 << 4
	overlong2 = 1 << 5
	tooLarge8 = 1 << 6 // the same, of F5 and more, whatever follows but 80 to 8F
	overlong4 = 1 << 6
	further   = 1 << 7 // two further bytes, which is right behind a first one of three or four
	anyLow    = tooShort | tooLong | further
)

// What may be wrong with a byte and the next one by the first one's higher
// half, by its lower half, and by the second one's higher half.
var (
	firstHigh = [16]byte{
		tooLong, tooLong, tooLong, tooLong, tooLong, tooLong, tooLong, tooLong,
		further, further, further, further,
		tooShort | overlong2,
		tooShort,
		tooShort | overlong3 | surrogate,
		tooShort | tooLarge | tooLarge8 | overlong4,
	}
	firstLow = [16]byte{
		0: anyLow | overlong2 | overlong3 | overlong4,
		1: anyLow | overlong2,
		2: anyLow, 3: anyLow,
		4: anyLow | tooLarge,
		5: large, 6: large, 7: large, 8: large, 9: large, 10: large, 11: large, 12: large,
		13: large | surrogate,
		14: large, 15: large,
	}
	secondHigh = [16]byte{
		tooShort, tooShort, tooShort, tooShort, tooShort, tooShort, tooShort, tooShort,
		tooLong | further | overlong2 | overlong3 | overlong4 | tooLarge8,
		tooLong | further | overlong2 | overlong3 | tooLarge,
		tooLong | further | overlong2 | surrogate | tooLarge,
		tooLong | further | overlong2 | surrogate | tooLarge,
		tooShort, tooShort, tooShort, tooShort,
	}
)

const large = anyLow | tooLarge | tooLarge8

// bytewise is valid byte by byte: a state is a place in a word, a byte's word
// holds at each of these places the state that follows, so a step is a look-up,
// which waits for nothing, and a shift.
func bytewise(text []byte) bool {
	state := uint64(whole)
	for _, b := range text {
		state = steps[b] >> (state & 63)
	}
	return state&63 == whole
}

// The states of reading UTF-8, six bits apart.
const (
	whole  = 6 * iota // a letter has ended
	broken            // and stays so
	one               // one more byte of 80 to BF is missing
	two
	three
	afterE0 // two more, the first of which is A0 or more: nothing is written longer than needed
	afterED // two more, the first of which is 9F or less: no surrogates
	afterF0 // three more, the first of which is 90 or more
	afterF4 // three more, the first of which is 8F or less: nothing beyond U+10FFFF
)

var steps = func() (table [256]uint64) {
	for b := range table {
		next := func(state, then uint64, least, most int) {
			if b < least || b > most {
				then = broken
			}
			table[b] |= then << state
		}
		next(broken, broken, 0, 255)
		next(one, whole, 0x80, 0xbf)
		next(two, one, 0x80, 0xbf)
		next(three, two, 0x80, 0xbf)
		next(afterE0, one, 0xa0, 0xbf)
		next(afterED, one, 0x80, 0x9f)
		next(afterF0, two, 0x90, 0xbf)
		next(afterF4, two, 0x80, 0x8f)
		switch {
		case b < 0x80: // whole
		case b < 0xc2, b > 0xf4:
			table[b] |= broken
		case b < 0xe0:
			table[b] |= one
		case b == 0xe0:
			table[b] |= afterE0
		case b == 0xed:
			table[b] |= afterED
		case b < 0xf0:
			table[b] |= two
		case b == 0xf0:
			table[b] |= afterF0
		case b < 0xf4:
			table[b] |= three
		default:
			table[b] |= afterF4
		}
	}
	return table
}()
