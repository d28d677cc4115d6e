package parquet

import (
	"errors"
	"fmt"
)

// column reads a column of a row group.
type column struct {
	f     *File
	leaf  *leaf
	group int
	chunk chunk
	block int // bytes read at once
	total *int64
	held  int64 // of total

	buf  []byte // bytes read ahead, from at on
	at   int64  // where in the file reading stands
	left int64  // values of the chunk that were not read, those of the page included

	dictionary     []value
	dictionaryHeld int64
	page           int64 // values left in the page
	next           decoder
	reps, defs     hybrid
	rep, def       int
	peeked         bool
}

func (f *File) column(group, n, block int, total *int64) *column {
	k := f.groups[group].chunks[n]
	return &column{f: f, leaf: f.leaves[n], group: group, chunk: k, block: block, total: total, at: k.start, left: k.values}
}

func (c *column) broken(err error) error {
	return broken("column %q of row group %d: %v", c.leaf.path, c.group+1, err)
}

// hold notes what the column keeps in memory.
func (c *column) hold(bytes int64) error {
	*c.total += bytes - c.held
	c.held = bytes
	if *c.total > MaxHeld {
		return broken("the pages at row group %d take more than %d bytes together, unpacked; write smaller pages or fewer rows into a row group", c.group+1, MaxHeld)
	}
	return nil
}

// fill reads at least want bytes ahead, fewer only at the chunk's end.
func (c *column) fill(want int) error {
	if len(c.buf) >= want {
		return nil
	}
	from := c.at + int64(len(c.buf))
	more := min(int64(max(want-len(c.buf), c.block)), c.chunk.end-from)
	if more <= 0 {
		return nil
	}
	grown := make([]byte, len(c.buf)+int(more))
	n := copy(grown, c.buf)
	if err := readFull(c.f.r, grown[n:], from); err != nil {
		return err
	}
	c.buf = grown
	return nil
}

// drop goes n bytes on, over what was not read too.
func (c *column) drop(n int64) {
	c.at += n
	c.buf = c.buf[min(n, int64(len(c.buf))):]
}

// pageHead is the header of a page.
type pageHead struct {
	kind             int64
	unpacked, packed int64
	values           int64
	encoding         int64
	defEncoding      int64
	repEncoding      int64
	defSize, repSize int64
	compressed       bool
}

// Kinds of pages.
const (
	dataPage       = 0
	indexPage      = 1
	dictionaryPage = 2
	dataPage2      = 3
)

func (c *compact) pageHead() pageHead {
	h := pageHead{kind: -1, compressed: true}
	c.fields(func(id int16, kind byte) bool {
		switch id {
		case 1:
			h.kind = c.int(kind)
		case 2:
			h.unpacked = c.int(kind)
		case 3:
			h.packed = c.int(kind)
		case 5, 7, 8:
			if kind != typeStruct {
				return false
			}
			version := id
			c.fields(func(id int16, kind byte) bool { return c.pageField(&h, version, id, kind) })
		default:
			return false
		}
		return true
	})
	return h
}

func (c *compact) pageField(h *pageHead, version, id int16, kind byte) bool {
	switch {
	case id == 1:
		h.values = c.int(kind)
	case version != 8 && id == 2, version == 8 && id == 4:
		h.encoding = c.int(kind)
	case version == 5 && id == 3:
		h.defEncoding = c.int(kind)
	case version == 5 && id == 4:
		h.repEncoding = c.int(kind)
	case version == 8 && id == 5:
		h.defSize = c.int(kind)
	case version == 8 && id == 6:
		h.repSize = c.int(kind)
	case version == 8 && id == 7:
		h.compressed = c.int(kind) != 0
	default:
		return false
	}
	return true
}

// header reads the next page's header and goes behind it.
func (c *column) header() (pageHead, error) {
	for want := 4 << 10; ; want *= 4 {
		if err := c.fill(want); err != nil {
			return pageHead{}, err
		}
		t := compact{b: c.buf}
		h := t.pageHead()
		if t.err == errShort && want < maxHeader && c.at+int64(len(c.buf)) < c.chunk.end {
			continue
		}
		if t.err != nil {
			return h, c.broken(fmt.Errorf("a page's header cannot be read: %w", t.err))
		}
		c.drop(int64(t.at))
		switch {
		case h.packed < 0 || h.packed > c.chunk.end-c.at || h.unpacked < 0:
			return h, c.broken(fmt.Errorf("a page is longer than its column"))
		case h.packed > MaxPage || h.unpacked > MaxPage:
			return h, c.broken(fmt.Errorf("a page has %d bytes, the limit is %d; write smaller pages or fewer rows into a row group", max(h.packed, h.unpacked), MaxPage))
		case h.values < 0 || h.values > maxPageValues:
			return h, c.broken(fmt.Errorf("a page has %d values, the limit is %d", h.values, maxPageValues))
		}
		return h, nil
	}
}

// load goes to the next page with values, over up to skip values in whole
// pages, and returns how many it has gone over.
func (c *column) load(skip int64) (skipped int64, err error) {
	c.page = 0
	for c.page == 0 {
		if c.left <= 0 {
			return skipped, nil
		}
		if c.at >= c.chunk.end {
			return skipped, c.broken(fmt.Errorf("it ends with %d values missing", c.left))
		}
		h, err := c.header()
		if err != nil {
			return skipped, err
		}
		switch h.kind {
		case dictionaryPage:
			err = c.readDictionary(h)
		case dataPage, dataPage2:
			if h.values > c.left {
				return skipped, c.broken(fmt.Errorf("its pages have more values than it says"))
			}
			if h.values <= skip-skipped && c.leaf.maxRep == 0 {
				c.drop(h.packed)
				c.left -= h.values
				if skipped += h.values; skipped == skip {
					return skipped, nil
				}
				continue
			}
			err = c.readPage(h)
		default:
			c.drop(h.packed)
		}
		if err != nil {
			return skipped, err
		}
	}
	return skipped, nil
}

// body reads and unpacks a page; the first raw bytes of it are not packed.
func (c *column) body(h pageHead, raw int64) ([]byte, error) {
	if raw < 0 || raw > h.packed || raw > h.unpacked {
		return nil, errShape
	}
	if err := c.hold(c.dictionaryHeld + h.packed + h.unpacked); err != nil {
		return nil, err
	}
	if err := c.fill(int(h.packed)); err != nil {
		return nil, err
	}
	if int64(len(c.buf)) < h.packed {
		return nil, errShort
	}
	packed := c.buf[:h.packed]
	codec := c.chunk.codec
	if !h.compressed {
		codec = codecNone
	}
	var b []byte
	var err error
	if h.packed == raw && h.unpacked == raw {
		b = []byte{} // nothing but levels
	} else {
		b, err = codecs[codec](packed[raw:], int(h.unpacked-raw))
	}
	if err != nil {
		return nil, fmt.Errorf("a page cannot be unpacked: %w", err)
	}
	if raw > 0 {
		b = append(packed[:raw:raw], b...)
	}
	c.drop(h.packed)
	if len(c.buf) == 0 {
		c.buf = nil
	}
	return b, c.hold(c.dictionaryHeld + h.unpacked)
}

func (c *column) readDictionary(h pageHead) error {
	if h.encoding != encPlain && h.encoding != encPlainDictionary || c.leaf.physical == physBoolean {
		return c.broken(fmt.Errorf("its dictionary is in an unknown encoding"))
	}
	b, err := c.body(h, 0)
	if err != nil {
		return c.explain(err)
	}
	next := c.leaf.plain(b)
	c.dictionary = c.dictionary[:0]
	for range h.values {
		v, err := next()
		if err != nil {
			return c.broken(fmt.Errorf("its dictionary cannot be read: %w", err))
		}
		c.dictionary = append(c.dictionary, v)
	}
	c.dictionaryHeld = int64(len(b)) + 32*h.values
	return c.hold(c.dictionaryHeld)
}

// explain names the column in errors of what was read; those of reading, and
// those that are explained, stay as they are.
func (c *column) explain(err error) error {
	var reading readError
	if errors.As(err, &reading) || errors.Is(err, ErrBroken) {
		return err
	}
	return c.broken(err)
}

func (c *column) readPage(h pageHead) error {
	l := c.leaf
	b, err := c.body(h, h.repSize+h.defSize)
	if err != nil {
		return c.explain(err)
	}
	levels := func(max int, encoding, size int64, inner *hybrid) error {
		if max == 0 {
			if h.kind == dataPage2 {
				b = b[size:]
			}
			return nil
		}
		if h.kind == dataPage {
			if encoding != encRLE {
				return fmt.Errorf("its levels are in an encoding that is no longer used")
			}
			if len(b) < 4 {
				return errShort
			}
			size = int64(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
			b = b[4:]
		}
		if size > int64(len(b)) {
			return errShort
		}
		*inner = hybrid{b: b[:size], width: width(max)}
		b = b[size:]
		return nil
	}
	if err := levels(l.maxRep, h.repEncoding, h.repSize, &c.reps); err != nil {
		return c.broken(err)
	}
	if err := levels(l.maxDef, h.defEncoding, h.defSize, &c.defs); err != nil {
		return c.broken(err)
	}
	n := h.values
	if l.maxDef > 0 && (h.encoding == encDeltaLength || h.encoding == encDeltaBytes) {
		// Nulls have no length: count what there is.
		defs := c.defs
		n = 0
		for range h.values {
			def, err := defs.next()
			if err != nil {
				return c.broken(err)
			}
			if int(def) == l.maxDef {
				n++
			}
		}
	}
	next, held, err := l.decode(h.encoding, b, int(n), c.dictionary)
	if err != nil {
		return c.broken(fmt.Errorf("a page cannot be read: %w", err))
	}
	c.next, c.page = next, h.values
	return c.hold(c.held + int64(held))
}

// width is how many bits levels up to max take.
func width(max int) (bits uint) {
	for ; max > 0; max >>= 1 {
		bits++
	}
	return bits
}

// peek reads the levels of the next value; false at the chunk's end.
func (c *column) peek() (bool, error) {
	if c.peeked {
		return true, nil
	}
	if c.page == 0 {
		if _, err := c.load(0); err != nil {
			return false, err
		}
		if c.page == 0 {
			return false, nil
		}
	}
	c.rep, c.def = 0, c.leaf.maxDef
	if c.leaf.maxRep > 0 {
		rep, err := c.reps.next()
		if err != nil || int(rep) > c.leaf.maxRep {
			return false, c.broken(errShape)
		}
		c.rep = int(rep)
	}
	if c.leaf.maxDef > 0 {
		def, err := c.defs.next()
		if err != nil || int(def) > c.leaf.maxDef {
			return false, c.broken(errShape)
		}
		c.def = int(def)
	}
	c.page--
	c.left--
	c.peeked = true
	return true, nil
}

// take reads the next value; it is null where its level is below the column's.
func (c *column) take() (v value, null bool, err error) {
	ok, err := c.peek()
	if err != nil {
		return v, false, err
	}
	if !ok {
		return v, false, c.broken(fmt.Errorf("it ends before its row group"))
	}
	c.peeked = false
	if c.def < c.leaf.maxDef {
		return v, true, nil
	}
	if v, err = c.next(); err != nil {
		return v, false, c.broken(err)
	}
	return v, false, nil
}

// skip goes over n rows.
func (c *column) skip(n int64) error {
	for n > 0 {
		if c.leaf.maxRep == 0 && !c.peeked && c.page == 0 {
			skipped, err := c.load(n)
			if err != nil {
				return err
			}
			if n -= skipped; n == 0 {
				return nil
			}
		}
		if _, _, err := c.take(); err != nil {
			return err
		}
		for c.leaf.maxRep > 0 {
			ok, err := c.peek()
			if err != nil {
				return err
			}
			if !ok || c.rep == 0 {
				break
			}
			if _, _, err := c.take(); err != nil {
				return err
			}
		}
		n--
	}
	return nil
}
