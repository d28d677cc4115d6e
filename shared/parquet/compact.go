package parquet

import (
	"encoding/binary"
	"errors"
)

// The types of Thrift's compact protocol.
const (
	typeTrue   = 1
	typeFalse  = 2
	typeByte   = 3
	typeI16    = 4
	typeI32    = 5
	typeI64    = 6
	typeDouble = 7
	typeBinary = 8
	typeList   = 9
	typeSet    = 10
	typeMap    = 11
	typeStruct = 12
)

var (
	// errShort: the bytes end within a value.
	errShort = errors.New("it ends in the middle")
	errShape = errors.New("it is damaged")
)

// compact reads Thrift's compact protocol. Its first error sticks; from then on
// everything reads as nothing.
type compact struct {
	b   []byte
	at  int
	err error
}

func (c *compact) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *compact) byte() byte {
	if c.err != nil || c.at >= len(c.b) {
		c.fail(errShort)
		return 0
	}
	c.at++
	return c.b[c.at-1]
}

func (c *compact) uvarint() uint64 {
	if c.err != nil {
		return 0
	}
	v, n := binary.Uvarint(c.b[c.at:])
	if n == 0 {
		c.fail(errShort)
		return 0
	}
	if n < 0 {
		c.fail(errShape)
		return 0
	}
	c.at += n
	return v
}

func (c *compact) zigzag() int64 {
	v := c.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// int reads an integer or truth value of a field of the type.
func (c *compact) int(kind byte) int64 {
	switch kind {
	case typeTrue:
		return 1
	case typeFalse:
		return 0
	case typeByte:
		return int64(int8(c.byte()))
	case typeI16, typeI32, typeI64:
		return c.zigzag()
	}
	c.fail(errShape)
	return 0
}

// binary reads bytes, which are those of the input.
func (c *compact) binary(kind byte) []byte {
	if kind != typeBinary {
		c.fail(errShape)
		return nil
	}
	n := c.uvarint()
	if c.err != nil {
		return nil
	}
	if n > uint64(len(c.b)-c.at) {
		c.fail(errShort)
		return nil
	}
	c.at += int(n)
	return c.b[c.at-int(n) : c.at]
}

// fields calls f with every field of a struct. f reads the field, or leaves it
// by returning false, and then it is skipped.
func (c *compact) fields(f func(id int16, kind byte) bool) {
	id := int16(0)
	for c.err == nil {
		head := c.byte()
		kind := head & 15
		if c.err != nil || kind == 0 {
			return
		}
		if delta := head >> 4; delta != 0 {
			id += int16(delta)
		} else {
			id = int16(c.zigzag())
		}
		if !f(id, kind) {
			c.skip(kind, 0)
		}
	}
}

// list calls f for every element of a list.
func (c *compact) list(kind byte, f func(kind byte)) {
	if kind != typeList && kind != typeSet {
		c.fail(errShape)
		return
	}
	n, element := c.listHead()
	for i := uint64(0); i < n && c.err == nil; i++ {
		f(element)
	}
}

func (c *compact) listHead() (n uint64, element byte) {
	head := c.byte()
	n, element = uint64(head>>4), head&15
	if n == 15 {
		n = c.uvarint()
	}
	if n > uint64(len(c.b)-c.at) { // every element takes a byte
		c.fail(errShort)
	}
	return n, element
}

func (c *compact) skip(kind byte, depth int) {
	if depth > maxNesting {
		c.fail(errShape)
	}
	if c.err != nil {
		return
	}
	switch kind {
	case typeTrue, typeFalse:
	case typeByte:
		c.byte()
	case typeI16, typeI32, typeI64:
		c.uvarint()
	case typeDouble:
		if len(c.b)-c.at < 8 {
			c.fail(errShort)
			return
		}
		c.at += 8
	case typeBinary:
		c.binary(kind)
	case typeList, typeSet:
		n, element := c.listHead()
		for i := uint64(0); i < n && c.err == nil; i++ {
			c.skipElement(element, depth)
		}
	case typeMap:
		n := c.uvarint()
		if n == 0 || c.err != nil {
			return
		}
		kinds := c.byte()
		if n > uint64(len(c.b)-c.at) {
			c.fail(errShort)
		}
		for i := uint64(0); i < n && c.err == nil; i++ {
			c.skipElement(kinds>>4, depth)
			c.skipElement(kinds&15, depth)
		}
	case typeStruct:
		c.fields(func(_ int16, kind byte) bool { c.skip(kind, depth+1); return true })
	default:
		c.fail(errShape)
	}
}

// skipElement skips a value in a collection, where truth values take a byte.
func (c *compact) skipElement(kind byte, depth int) {
	if kind == typeTrue || kind == typeFalse {
		c.byte()
		return
	}
	c.skip(kind, depth+1)
}
