package parquet

import (
	"encoding/binary"
)

// value is one value of a column: a number, the bits of a float, or bytes.
type value struct {
	i int64
	b []byte
}

// decoder reads the values of a page one after the other.
type decoder func() (value, error)

// Numbers of the encodings.
const (
	encPlain           = 0
	encPlainDictionary = 2
	encRLE             = 3
	encBitPacked       = 4
	encDelta           = 5
	encDeltaLength     = 6
	encDeltaBytes      = 7
	encRLEDictionary   = 8
	encSplit           = 9
)

// decode makes a decoder of a page's n values, nulls not counted. held is what
// it takes beside the page, in bytes.
func (l *leaf) decode(encoding int64, b []byte, n int, dictionary []value) (d decoder, held int, err error) {
	switch encoding {
	case encPlain:
		return l.plain(b), 0, nil
	case encPlainDictionary, encRLEDictionary:
		if len(b) == 0 {
			return func() (value, error) { return value{}, errShort }, 0, nil
		}
		if b[0] > 32 {
			return nil, 0, errShape
		}
		h := hybrid{b: b[1:], width: uint(b[0])}
		return func() (value, error) {
			i, err := h.next()
			if err != nil {
				return value{}, err
			}
			if int64(i) >= int64(len(dictionary)) {
				return value{}, errShape
			}
			return dictionary[i], nil
		}, 0, nil
	case encRLE:
		if l.physical != physBoolean || len(b) < 4 {
			return nil, 0, errShape
		}
		h := hybrid{b: b[4:], width: 1}
		return func() (value, error) {
			i, err := h.next()
			return value{i: int64(i)}, err
		}, 0, nil
	case encDelta:
		if l.physical != physInt32 && l.physical != physInt64 {
			return nil, 0, errShape
		}
		if n == 0 {
			return l.plain(nil), 0, nil
		}
		deltas, err := newDeltas(b, n)
		if err != nil {
			return nil, 0, err
		}
		narrow := l.physical == physInt32
		return func() (value, error) {
			i, err := deltas.next()
			if narrow {
				i = int64(int32(i))
			}
			return value{i: i}, err
		}, 0, nil
	case encDeltaLength, encDeltaBytes:
		if l.physical != physBytes && (l.physical != physFixed || encoding == encDeltaLength) {
			return nil, 0, errShape
		}
		if n == 0 {
			return l.plain(nil), 0, nil
		}
		return l.deltaBytes(encoding, b, n)
	case encSplit:
		return l.split(b)
	}
	return nil, 0, errShape
}

// width is how many bytes a value takes, 0 where it depends.
func (l *leaf) width() int {
	switch l.physical {
	case physInt32, physFloat:
		return 4
	case physInt64, physDouble:
		return 8
	case physInt96:
		return 12
	case physFixed:
		return l.length
	}
	return 0
}

// fixed makes a value of its bytes.
func (l *leaf) fixed(b []byte) value {
	switch l.physical {
	case physInt32:
		return value{i: int64(int32(binary.LittleEndian.Uint32(b)))}
	case physFloat:
		return value{i: int64(binary.LittleEndian.Uint32(b))}
	case physInt64, physDouble:
		return value{i: int64(binary.LittleEndian.Uint64(b))}
	}
	return value{b: b}
}

func (l *leaf) plain(b []byte) decoder {
	if width := l.width(); width > 0 {
		return func() (value, error) {
			if len(b) < width {
				return value{}, errShort
			}
			v := l.fixed(b[:width:width])
			b = b[width:]
			return v, nil
		}
	}
	if l.physical == physBoolean {
		bit := 0
		return func() (value, error) {
			if bit/8 >= len(b) {
				return value{}, errShort
			}
			v := value{i: int64(b[bit/8]>>(bit%8)) & 1}
			bit++
			return v, nil
		}
	}
	return func() (value, error) {
		if len(b) < 4 {
			return value{}, errShort
		}
		n := uint64(binary.LittleEndian.Uint32(b))
		if n > uint64(len(b)-4) {
			return value{}, errShort
		}
		v := value{b: b[4 : 4+n : 4+n]}
		b = b[4+n:]
		return v, nil
	}
}

// lengths reads all numbers of a block of differences, none below zero, and the
// bytes behind.
func lengths(b []byte, n int) ([]int32, []byte, error) {
	d, err := newDeltas(b, n)
	if err != nil {
		return nil, nil, err
	}
	if d.left != uint64(n) {
		return nil, nil, errShape
	}
	all := make([]int32, n)
	for i := range all {
		v, err := d.next()
		if err != nil {
			return nil, nil, err
		}
		if v < 0 || v > MaxPage {
			return nil, nil, errShape
		}
		all[i] = int32(v)
	}
	return all, d.rest(), nil
}

// deltaBytes reads byte arrays whose lengths stand together in front, with or
// without a beginning that is that of the value before.
func (l *leaf) deltaBytes(encoding int64, b []byte, n int) (decoder, int, error) {
	var prefixes []int32
	held := 4 * n
	if encoding == encDeltaBytes {
		// How many values there are, nulls not counted, is known here alone.
		var err error
		if prefixes, b, err = lengths(b, n); err != nil {
			return nil, 0, err
		}
		held *= 2
	}
	sizes, b, err := lengths(b, n)
	if err != nil {
		return nil, 0, err
	}
	i := 0
	var last []byte
	return func() (value, error) {
		if i >= len(sizes) {
			return value{}, errShort
		}
		size := int(sizes[i])
		if size > len(b) {
			return value{}, errShort
		}
		v := b[:size:size]
		b = b[size:]
		if prefixes != nil {
			prefix := int(prefixes[i])
			if prefix > len(last) || prefix+size > MaxPage {
				return value{}, errShape
			}
			v = append(append(make([]byte, 0, prefix+size), last[:prefix]...), v...)
			last = v
		}
		i++
		if l.physical == physFixed && len(v) != l.length {
			return value{}, errShape
		}
		return value{b: v}, nil
	}, held, nil
}

// split reads values whose first bytes stand together, then their second
// bytes, and so on.
func (l *leaf) split(b []byte) (decoder, int, error) {
	width := l.width()
	if width == 0 || l.physical == physInt96 || len(b)%width != 0 {
		return nil, 0, errShape
	}
	n, i := len(b)/width, 0
	return func() (value, error) {
		if i >= n {
			return value{}, errShort
		}
		one := make([]byte, width)
		for k := range one {
			one[k] = b[k*n+i]
		}
		i++
		return l.fixed(one), nil
	}, 0, nil
}
