package parquet

import "encoding/binary"

// hybrid reads numbers in runs and packed bits: levels and places in a
// dictionary. Runs are counted down, never written out.
type hybrid struct {
	b      []byte
	width  uint
	run    uint64 // of the value
	value  uint32
	packed uint64 // values left in the packed run
	bits   uint64 // bits read and not yet used
	have   uint
}

func (h *hybrid) next() (uint32, error) {
	for {
		if h.run > 0 {
			h.run--
			return h.value, nil
		}
		if h.packed > 0 {
			h.packed--
			return h.unpack()
		}
		head, n := binary.Uvarint(h.b)
		if n <= 0 {
			return 0, errShort
		}
		h.b = h.b[n:]
		if head&1 == 1 {
			h.packed, h.bits, h.have = (head>>1)*8, 0, 0
			continue
		}
		size := int(h.width+7) / 8
		if len(h.b) < size {
			return 0, errShort
		}
		h.run, h.value = head>>1, 0
		for i := range size {
			h.value |= uint32(h.b[i]) << (8 * i)
		}
		h.b = h.b[size:]
	}
}

func (h *hybrid) unpack() (uint32, error) {
	for h.have < h.width {
		if len(h.b) == 0 {
			return 0, errShort
		}
		h.bits |= uint64(h.b[0]) << h.have
		h.b = h.b[1:]
		h.have += 8
	}
	v := uint32(h.bits & (1<<h.width - 1))
	h.bits >>= h.width
	h.have -= h.width
	return v, nil
}

// deltas reads numbers as differences in packed blocks.
type deltas struct {
	b       []byte
	left    uint64 // values
	value   int64  // the next one
	perMini uint64
	minis   int
	widths  []byte
	least   int64
	mini    []byte // the miniblock at hand
	inMini  uint64
	bits    uint64
	have    uint
	width   uint
	first   bool
}

// newDeltas reads the head of a block. No more than limit values may follow.
func newDeltas(b []byte, limit int) (*deltas, error) {
	d := &deltas{b: b}
	var head [3]uint64
	for i := range head {
		v, n := binary.Uvarint(d.b)
		if n <= 0 {
			return nil, errShort
		}
		head[i], d.b = v, d.b[n:]
	}
	first, n := binary.Varint(d.b)
	if n <= 0 {
		return nil, errShort
	}
	d.b, d.value, d.left = d.b[n:], first, head[2]
	block, minis := head[0], head[1]
	if minis == 0 || minis > 1024 || block == 0 || block > 1<<20 || block%minis != 0 || (block/minis)%8 != 0 || d.left > uint64(limit) {
		return nil, errShape
	}
	d.perMini, d.minis, d.first = block/minis, int(minis), true
	return d, nil
}

func (d *deltas) next() (int64, error) {
	if d.left == 0 {
		return 0, errShort
	}
	d.left--
	if d.first {
		d.first = false
		return d.value, nil
	}
	if d.inMini == 0 {
		if err := d.block(); err != nil {
			return 0, err
		}
	}
	d.inMini--
	v, err := d.unpack()
	d.value += d.least + int64(v)
	return d.value, err
}

// block goes to the next miniblock, and to the next block where there is none.
func (d *deltas) block() error {
	if len(d.widths) == 0 {
		least, n := binary.Varint(d.b)
		if n <= 0 || len(d.b)-n < d.minis {
			return errShort
		}
		d.least, d.widths, d.b = least, d.b[n:n+d.minis], d.b[n+d.minis:]
	}
	d.width, d.widths = uint(d.widths[0]), d.widths[1:]
	size := d.perMini * uint64(d.width) / 8
	if d.width > 64 {
		return errShape
	}
	if size > uint64(len(d.b)) { // the last one may be cut short
		if d.left+1 > d.perMini {
			return errShort
		}
		size = uint64(len(d.b))
	}
	d.mini, d.b = d.b[:size], d.b[size:]
	d.inMini, d.bits, d.have = d.perMini, 0, 0
	return nil
}

// unpack reads width bits of the miniblock, up to 64.
func (d *deltas) unpack() (uint64, error) {
	var v uint64
	for got := uint(0); got < d.width; {
		if d.have == 0 {
			if len(d.mini) == 0 {
				return 0, errShort
			}
			d.bits, d.have, d.mini = uint64(d.mini[0]), 8, d.mini[1:]
		}
		take := min(d.width-got, d.have)
		v |= (d.bits & (1<<take - 1)) << got
		d.bits >>= take
		d.have -= take
		got += take
	}
	return v, nil
}

// rest are the bytes behind the last block; all values must have been read.
func (d *deltas) rest() []byte {
	// The miniblocks of the last block that hold nothing take no bytes.
	return d.b
}
