package parquet

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// append appends a value as people write it, and says whether that is text:
// else it is JSON.
func (l *leaf) append(dst []byte, v value) ([]byte, bool) {
	switch l.physical {
	case physBoolean:
		return strconv.AppendBool(dst, v.i != 0), false
	case physInt32, physInt64:
		return l.appendInt(dst, v.i)
	case physInt96:
		return appendTime(dst, time.Unix((int64(binary.LittleEndian.Uint32(v.b[8:]))-2440588)*86400, int64(binary.LittleEndian.Uint64(v.b))), true), true
	case physFloat:
		return appendFloat(dst, float64(math.Float32frombits(uint32(v.i))), 32)
	case physDouble:
		return appendFloat(dst, math.Float64frombits(uint64(v.i)), 64)
	}
	switch l.means {
	case meansText:
		return append(dst, v.b...), true
	case meansJSON:
		from := len(dst)
		dst = append(dst, v.b...)
		one := jsontext.Value(dst[from:])
		if !one.IsValid() || one.Compact() != nil {
			return append(dst[:from], v.b...), true
		}
		return dst[:from+len(one)], false
	case meansDecimal:
		return appendDecimal(dst, bigEndian(v.b), l.scale), false
	case meansUUID:
		if len(v.b) == 16 {
			h := hex.EncodeToString(v.b)
			return append(dst, h[:8]+"-"+h[8:12]+"-"+h[12:16]+"-"+h[16:20]+"-"+h[20:]...), true
		}
	case meansHalf:
		if len(v.b) == 2 {
			return appendFloat(dst, half(binary.LittleEndian.Uint16(v.b)), 32)
		}
	}
	if l.means == meansNothing && l.physical == physBytes && utf8.Valid(v.b) {
		return append(dst, v.b...), true // texts of writers that do not say so
	}
	return base64.StdEncoding.AppendEncode(dst, v.b), true
}

func (l *leaf) appendInt(dst []byte, i int64) ([]byte, bool) {
	switch l.means {
	case meansDecimal:
		return appendDecimal(dst, big.NewInt(i), l.scale), false
	case meansDate:
		return time.Unix(0, 0).UTC().AddDate(0, 0, int(int32(i))).AppendFormat(dst, time.DateOnly), true
	case meansTime:
		at := l.moment(i).UTC()
		dst = at.AppendFormat(dst, "15:04:05.999999999")
		if l.utc {
			dst = append(dst, 'Z')
		}
		return dst, true
	case meansTimestamp:
		return appendTime(dst, l.moment(i), l.utc), true
	case meansUnsigned:
		if l.physical == physInt32 {
			return strconv.AppendUint(dst, uint64(uint32(i)), 10), false
		}
		return strconv.AppendUint(dst, uint64(i), 10), false
	}
	return strconv.AppendInt(dst, i, 10), false
}

// moment is a number of units since 1970.
func (l *leaf) moment(i int64) time.Time {
	switch l.unit {
	case 1:
		return time.UnixMilli(i)
	case 2:
		return time.UnixMicro(i)
	}
	return time.Unix(0, i)
}

// appendTime appends a moment as RFC 3339 has it; one that is not said to be
// in UTC is a local one, without a zone.
func appendTime(dst []byte, at time.Time, utc bool) []byte {
	dst = at.UTC().AppendFormat(dst, "2006-01-02T15:04:05.999999999")
	if utc {
		dst = append(dst, 'Z')
	}
	return dst
}

// appendFloat appends the shortest text that stands for the number; what JSON
// has no number for is text.
func appendFloat(dst []byte, f float64, bits int) ([]byte, bool) {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...), true
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...), true
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...), true
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, bits), false
}

// half is a float of 16 bits.
func half(b uint16) float64 {
	sign, exponent, fraction := 1.0, int(b>>10&31), float64(b&1023)
	if b>>15 == 1 {
		sign = -1
	}
	switch {
	case exponent == 31 && fraction != 0:
		return math.NaN()
	case exponent == 31:
		return math.Inf(int(sign))
	case exponent == 0:
		return sign * math.Ldexp(fraction/1024, -14)
	}
	return sign * math.Ldexp(1+fraction/1024, exponent-15)
}

// bigEndian is a number in two's complement, the highest byte first.
func bigEndian(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

func appendDecimal(dst []byte, n *big.Int, scale int) []byte {
	if n.Sign() < 0 {
		dst = append(dst, '-')
	}
	digits := new(big.Int).Abs(n).String()
	for len(digits) <= scale {
		digits = "0" + digits
	}
	dst = append(dst, digits[:len(digits)-scale]...)
	if scale > 0 {
		dst = append(append(dst, '.'), digits[len(digits)-scale:]...)
	}
	return dst
}
