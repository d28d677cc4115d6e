package dataset

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// MaxAsideRaw is how many of a set-aside row's bytes its line in
// set-aside.jsonl shows.
const MaxAsideRaw = 64 << 10

// AppendAside appends the line for set-aside.jsonl, its line end included, of
// a row with Bad set: {"line","source"?,"code","reason","raw"|"rawBase64","cut"?}.
// Source is the key of the object that holds the row, where several were
// gathered, else empty.
func AppendAside(dst []byte, row *Row, source string) []byte {
	dst = append(dst, `{"line":`...)
	dst = strconv.AppendInt(dst, row.Line, 10)
	if source != "" {
		dst = append(dst, `,"source":"`...)
		dst = appendEscaped(dst, []byte(source))
		dst = append(dst, '"')
	}
	bad := row.Bad
	if bad == nil {
		bad = &Bad{}
	}
	dst = append(dst, `,"code":"`...)
	dst = appendEscaped(dst, []byte(bad.Code))
	dst = append(dst, `","reason":"`...)
	dst = appendEscaped(dst, []byte(bad.Reason))
	dst = append(dst, '"')
	raw, cut := row.Raw, row.Cut
	if raw == nil && len(row.members) > 0 { // it stands nowhere as one piece
		raw = append(row.AppendMembers([]byte{'{'}), '}')
	}
	if len(raw) > MaxAsideRaw {
		raw, cut = raw[:MaxAsideRaw], true
	}
	if cut {
		raw = wholeRunes(raw)
	}
	if utf8.Valid(raw) {
		dst = append(dst, `,"raw":"`...)
		dst = appendEscaped(dst, raw)
	} else {
		dst = append(dst, `,"rawBase64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, raw)
	}
	dst = append(dst, '"')
	if cut {
		dst = append(dst, `,"cut":true`...)
	}
	return append(dst, '}', '\n')
}

// wholeRunes drops the beginning of a rune at the end of b, so that a cut
// through the middle of one does not make text look like bytes.
func wholeRunes(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if start := b[len(b)-i]; utf8.RuneStart(start) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}
