package scan

import "math/bits"

// block says of 64 bytes which are what: bit i is byte i's.
type block struct {
	quotes, backslashes, controls, beyond uint64
	// letters are those that may stand behind a backslash, but for the u.
	letters uint64
}

// letters is, for each lower half of a byte, the letter that may stand behind
// a backslash and has it; but for the quote and the r, which share theirs with
// the b. The other entries have another lower half, and fit no byte.
var letters = [16]byte{0: 1, 2: 'b', 4: 't', 6: 'f', 12: '\\', 14: 'n', 15: '/'}

// ahead is how many blocks are classified by one call.
const ahead = 4

// blocks passes the inside of a string from i on, block by block: escapes and
// letters beyond ASCII cost no branches that no processor foresees, which are
// what takes the time eight by eight. It returns the place of the closing
// quote, or, with more, how far it came before less than a block was left. The
// highest bit of beyond is set if there are bytes beyond ASCII.
func blocks(text []byte, i int) (end int, beyond uint64, more, ok bool) {
	var found [ahead]block
	escaping := uint64(0) // 1 if the last byte was a backslash that escapes
	for most := 1; len(text)-i >= 64; most = ahead {
		n := min((len(text)-i)/64, most)
		classifyVector(&text[i], n, &found[0])
		for k := range n {
			b := &found[k&(ahead-1)]
			escaped := escaping
			if b.backslashes|escaping != 0 {
				escaped, escaping = escapedIn(b.backslashes, escaping)
			}
			quotes := b.quotes &^ escaped
			inside := (quotes - 1) &^ quotes // all, if there is no quote
			beyond |= b.beyond & inside
			if b.controls&inside != 0 || !coded(text[i:], escaped&inside&^b.letters) {
				return i, 0, false, false
			}
			if quotes != 0 {
				return i + bits.TrailingZeros64(quotes), high(beyond), false, true
			}
			i += 64
		}
	}
	return i - int(escaping), high(beyond), true, true
}

// coded reports whether at the places of us in text there are a u and four
// hexadecimal digits each.
func coded(text []byte, us uint64) bool {
	wrong := byte(0)
	for ; us != 0; us &= us - 1 {
		at := text[bits.TrailingZeros64(us):]
		if len(at) < 5 {
			return false
		}
		wrong |= at[0] ^ 'u' | hex[at[1]] | hex[at[2]] | hex[at[3]] | hex[at[4]]
	}
	return wrong == 0
}

// high is the highest bit if there is any.
func high(any uint64) uint64 {
	if any != 0 {
		return 1 << 63
	}
	return 0
}

// escapedIn marks the bytes that a backslash before them escapes. A backslash
// escapes unless it is escaped itself, which is a matter of odd and even along
// a run of them: adding a bit where a run begins carries it behind the run's
// end. first is 1 if the first byte is escaped; next is it for the next block.
func escapedIn(backslashes, first uint64) (escaped, next uint64) {
	const even = 0x5555555555555555
	backslashes &^= first
	behind := backslashes<<1 | first
	odd := backslashes &^ even &^ behind // runs that begin at odd places
	sum, next := bits.Add64(odd, backslashes, 0)
	return (even ^ sum<<1) & behind, next
}
