package parquet

import "strings"

// Physical types.
const (
	physBoolean = iota
	physInt32
	physInt64
	physInt96
	physFloat
	physDouble
	physBytes
	physFixed
)

// What a column's values mean beyond their physical type.
type meaning int

const (
	meansNothing meaning = iota
	meansText
	meansJSON
	meansBSON
	meansDecimal
	meansDate
	meansTime
	meansTimestamp
	meansUnsigned
	meansUUID
	meansHalf
	meansList
	meansMap
	meansNull
)

// element is a column or a group of columns as the footer has it.
type element struct {
	physical   int64 // -1: a group
	length     int64
	repetition int64
	name       string
	children   int64
	converted  int64 // -1: not given
	scale      int64
	logical    int16 // the number of the union's member, 0: not given
	unit       int16 // 1 milli, 2 micro, 3 nano
	utc        bool
	bits       int64
	signed     bool
}

func (c *compact) element(kind byte) element {
	e := element{physical: -1, converted: -1, signed: true}
	if kind != typeStruct {
		c.fail(errShape)
		return e
	}
	c.fields(func(id int16, kind byte) bool {
		switch id {
		case 1:
			e.physical = c.int(kind)
		case 2:
			e.length = c.int(kind)
		case 3:
			e.repetition = c.int(kind)
		case 4:
			e.name = string(c.binary(kind))
		case 5:
			e.children = c.int(kind)
		case 6:
			e.converted = c.int(kind)
		case 7:
			e.scale = c.int(kind)
		case 10:
			if kind != typeStruct {
				return false
			}
			c.fields(func(id int16, kind byte) bool {
				e.logical = id
				if kind != typeStruct {
					return false
				}
				c.logical(&e)
				return true
			})
		default:
			return false
		}
		return true
	})
	return e
}

// logical reads the parameters of a logical type.
func (c *compact) logical(e *element) {
	c.fields(func(id int16, kind byte) bool {
		switch {
		case e.logical == 5 && id == 1:
			e.scale = c.int(kind)
		case (e.logical == 7 || e.logical == 8) && id == 1:
			e.utc = c.int(kind) != 0
		case (e.logical == 7 || e.logical == 8) && id == 2 && kind == typeStruct:
			c.fields(func(id int16, _ byte) bool { e.unit = id; return false })
		case e.logical == 10 && id == 1:
			e.bits = c.int(kind)
		case e.logical == 10 && id == 2:
			e.signed = c.int(kind) != 0
		default:
			return false
		}
		return true
	})
}

// meaning is what the logical type, or its predecessor the converted type, says.
func (e *element) meaning() meaning {
	switch e.logical {
	case 1, 4:
		return meansText
	case 2:
		return meansMap
	case 3:
		return meansList
	case 5:
		return meansDecimal
	case 6:
		return meansDate
	case 7:
		return meansTime
	case 8:
		return meansTimestamp
	case 10:
		if !e.signed {
			return meansUnsigned
		}
		return meansNothing
	case 11:
		return meansNull
	case 12:
		return meansJSON
	case 13:
		return meansBSON
	case 14:
		return meansUUID
	case 15:
		return meansHalf
	}
	switch e.converted {
	case 0, 4:
		return meansText
	case 1, 2:
		return meansMap
	case 3:
		return meansList
	case 5:
		return meansDecimal
	case 6:
		return meansDate
	case 7:
		e.unit, e.utc = 1, true
		return meansTime
	case 8:
		e.unit, e.utc = 2, true
		return meansTime
	case 9:
		e.unit, e.utc = 1, true
		return meansTimestamp
	case 10:
		e.unit, e.utc = 2, true
		return meansTimestamp
	case 11, 12, 13, 14:
		return meansUnsigned
	case 19:
		return meansJSON
	case 20:
		return meansBSON
	}
	return meansNothing
}

// node is a column or a group of columns.
type node struct {
	name           string
	repetition     int64 // 0 required, 1 optional, 2 repeated
	maxDef, maxRep int
	means          meaning
	children       []*node
	leaf           *leaf // nil: a group
	lo, hi         int   // its leaves
}

// leaf is a column that holds values.
type leaf struct {
	index          int
	path           string
	physical       int64
	length         int
	maxDef, maxRep int
	means          meaning
	scale          int
	unit           int16
	utc            bool
}

func (f *File) buildSchema(elements []element) error {
	if len(elements) == 0 {
		return broken("its footer has no schema")
	}
	elements[0].repetition = 0
	root, rest, err := f.build(elements, nil, 0, 0, 0)
	if err != nil {
		return err
	}
	switch {
	case len(rest) > 0:
		return broken("its schema has more columns than it says")
	case root.leaf != nil || len(f.leaves) == 0:
		return broken("it has no columns")
	}
	f.root = root
	return nil
}

func (f *File) build(elements []element, path []string, def, rep, depth int) (*node, []element, error) {
	if len(elements) == 0 {
		return nil, nil, broken("its schema has fewer columns than it says")
	}
	if depth > maxNesting {
		return nil, nil, broken("its columns are nested deeper than %d", maxNesting)
	}
	e := &elements[0]
	elements = elements[1:]
	if depth > 0 {
		path = append(path[:len(path):len(path)], e.name)
	}
	switch e.repetition {
	case 0:
	case 1:
		def++
	case 2:
		def++
		rep++
	default:
		return nil, nil, broken("column %q is neither required, optional nor repeated", strings.Join(path, "."))
	}
	n := &node{name: e.name, repetition: e.repetition, maxDef: def, maxRep: rep, means: e.meaning(), lo: len(f.leaves)}
	if e.children > 0 || e.physical < 0 {
		if e.children <= 0 || e.children > int64(len(elements)) {
			return nil, nil, broken("column %q has %d members", strings.Join(path, "."), e.children)
		}
		for range e.children {
			child, rest, err := f.build(elements, path, def, rep, depth+1)
			if err != nil {
				return nil, nil, err
			}
			n.children, elements = append(n.children, child), rest
		}
		n.hi = len(f.leaves)
		return n, elements, nil
	}
	l := &leaf{
		index: len(f.leaves), path: strings.Join(path, "."), physical: e.physical, length: int(e.length),
		maxDef: def, maxRep: rep, means: n.means, scale: int(e.scale), unit: e.unit, utc: e.utc,
	}
	if e.physical > physFixed || e.physical == physFixed && (e.length <= 0 || e.length > MaxPage) {
		return nil, nil, broken("column %q has an unknown type", l.path)
	}
	if l.means == meansDecimal && (l.scale < 0 || l.scale > 1000) {
		return nil, nil, broken("column %q has decimals of scale %d", l.path, l.scale)
	}
	n.leaf = l
	f.leaves = append(f.leaves, l)
	n.hi = len(f.leaves)
	return n, elements, nil
}
