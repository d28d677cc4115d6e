package parquet

import "encoding/binary"

// thrift writes Thrift's compact protocol.
type thrift struct {
	b    []byte
	last []int16 // the field before, of every struct that is open
}

func (t *thrift) field(id int16, kind byte) {
	if len(t.last) == 0 {
		t.last = append(t.last, 0)
	}
	last := &t.last[len(t.last)-1]
	t.b = append(t.b, byte(id-*last)<<4|kind) // ids ascend by less than 16
	*last = id
}

func (t *thrift) int(id int16, kind byte, v int64) {
	t.field(id, kind)
	t.b = binary.AppendVarint(t.b, v)
}

func (t *thrift) bytes(id int16, v []byte) {
	t.field(id, typeBinary)
	t.element(v)
}

func (t *thrift) element(v []byte) {
	t.b = append(binary.AppendUvarint(t.b, uint64(len(v))), v...)
}

func (t *thrift) list(id int16, kind byte, n int) {
	t.field(id, typeList)
	if n < 15 {
		t.b = append(t.b, byte(n)<<4|kind)
		return
	}
	t.b = binary.AppendUvarint(append(t.b, 0xf0|kind), uint64(n))
}

// begin opens a struct that is a field, open one that is an element of a list.
func (t *thrift) begin(id int16) {
	t.field(id, typeStruct)
	t.open()
}

func (t *thrift) open() { t.last = append(t.last, 0) }

func (t *thrift) end() {
	t.stop()
	t.last = t.last[:len(t.last)-1]
}

func (t *thrift) stop() { t.b = append(t.b, 0) }

// path is where the column's values lie in the schema.
func (c Column) path() []string {
	if c.Kind == Reals {
		return []string{c.Name, "list", "element"}
	}
	return []string{c.Name}
}

// physical is the type of the column's values.
func (c Column) physical() int64 {
	switch c.Kind {
	case Int:
		return physInt64
	case Reals:
		return physDouble
	}
	return physBytes
}

// schemaElement writes an element of the schema. physical below 0 is a group.
func (t *thrift) schemaElement(name string, physical, repetition int64, children int, converted int64, logical int16) {
	t.open()
	if physical >= 0 {
		t.int(1, typeI32, physical)
	}
	if repetition >= 0 {
		t.int(3, typeI32, repetition)
	}
	t.bytes(4, []byte(name))
	if children > 0 {
		t.int(5, typeI32, int64(children))
	}
	if converted >= 0 {
		t.int(6, typeI32, converted)
	}
	if logical > 0 {
		t.begin(10)
		t.begin(logical)
		t.end()
		t.end()
	}
	t.end()
}

func (w *Writer) footer() []byte {
	t := &thrift{}
	t.int(1, typeI32, 1)
	elements := 1
	for _, c := range w.columns {
		elements += len(c.path())
	}
	t.list(2, typeStruct, elements)
	t.schemaElement("results", -1, -1, len(w.columns), -1, 0)
	for _, c := range w.columns {
		switch c.Kind {
		case Text:
			t.schemaElement(c.Name, physBytes, 1, 0, 0, 1)
		case Int:
			t.schemaElement(c.Name, physInt64, 1, 0, -1, 0)
		case Reals:
			t.schemaElement(c.Name, -1, 1, 1, 3, 3)
			t.schemaElement("list", -1, 2, 1, -1, 0)
			t.schemaElement("element", physDouble, 0, 0, -1, 0)
		}
	}
	t.int(3, typeI64, w.total)
	t.list(4, typeStruct, len(w.groups))
	for _, g := range w.groups {
		t.open()
		t.list(1, typeStruct, len(g.chunks))
		for i, k := range g.chunks {
			t.chunk(w.columns[i].Column, k)
		}
		t.int(2, typeI64, g.bytes)
		t.int(3, typeI64, g.rows)
		t.end()
	}
	t.bytes(6, []byte("bedrock-batch"))
	// The order of all values is that of their types: without this readers do
	// not use the statistics of texts.
	t.list(7, typeStruct, len(w.columns))
	for range w.columns {
		t.open()
		t.begin(1)
		t.end()
		t.end()
	}
	t.stop()
	return t.b
}

func (t *thrift) chunk(c Column, k writtenChunk) {
	t.open()
	t.int(2, typeI64, k.start)
	t.begin(3)
	t.int(1, typeI32, c.physical())
	t.list(2, typeI32, 2)
	t.b = binary.AppendVarint(binary.AppendVarint(t.b, encPlain), encRLE)
	path := c.path()
	t.list(3, typeBinary, len(path))
	for _, name := range path {
		t.element([]byte(name))
	}
	t.int(4, typeI32, codecSnappy)
	t.int(5, typeI64, k.values)
	t.int(6, typeI64, k.unpacked)
	t.int(7, typeI64, k.packed)
	t.int(9, typeI64, k.start)
	t.begin(12)
	t.int(3, typeI64, k.nulls)
	if k.known {
		t.bytes(5, k.most)
		t.bytes(6, k.least)
	}
	t.end()
	t.end()
	t.end()
}
