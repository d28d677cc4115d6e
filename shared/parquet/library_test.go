package parquet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	library "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"github.com/bedrock-batch/bedrock-batch/shared/parquet"
)

// everything is a row of every kind of column.
type everything struct {
	Text     string            `parquet:"text"`
	Plain    string            `parquet:"plain,plain"`
	Dict     string            `parquet:"dict,dict"`
	Delta    string            `parquet:"delta,delta"`
	Length   string            `parquet:"length,optional,delta"`
	Maybe    *string           `parquet:"maybe,optional,dict"`
	Small    int32             `parquet:"small,delta"`
	Big      int64             `parquet:"big,delta"`
	Unsigned uint64            `parquet:"unsigned"`
	Dozens   *int64            `parquet:"dozens,optional,dict"`
	Float    float32           `parquet:"float,split"`
	Double   float64           `parquet:"double"`
	Yes      bool              `parquet:"yes"`
	At       time.Time         `parquet:"at,timestamp(microsecond)"`
	Day      int32             `parquet:"day,date"`
	Price    int64             `parquet:"price,decimal(2:18)"`
	ID       [16]byte          `parquet:"id,uuid"`
	Tags     []string          `parquet:"tags,list"`
	Repeated []int64           `parquet:"repeated"`
	Shops    []shop            `parquet:"shops,list"`
	Words    map[string]string `parquet:"words"`
	Address  *address          `parquet:"address,optional"`
	JSON     string            `parquet:"json,json"`
	Bytes    []byte            `parquet:"bytes"`
	Numbers  []*float64        `parquet:"numbers,list"`
}

type shop struct {
	Name  string  `parquet:"name"`
	Stars []int32 `parquet:"stars,list"`
}

type address struct {
	Street string  `parquet:"street"`
	Number *int32  `parquet:"number,optional"`
	Places []int64 `parquet:"places"`
}

func rowOfEverything(i int) everything {
	text := fmt.Sprintf("row %d says \"%s\"\n", i, strings.Repeat("äß", i%7))
	e := everything{
		Text: text, Plain: text, Dict: fmt.Sprint("kind ", i%5), Delta: fmt.Sprint("same beginning ", i), Length: fmt.Sprint("x", i%2),
		Small: int32(i * 7919 % 1000), Big: int64(i)*int64(i)*1_000_003 - 5_000_000, Unsigned: math.MaxUint64 - uint64(i),
		Float: float32(i) / 8, Double: float64(i) * 1.1, Yes: i%3 == 0,
		At: time.Date(2026, 11, 26, 10, 0, 0, 123456000, time.UTC).Add(time.Duration(i) * time.Hour), Day: int32(20_000 + i), Price: int64(i) - 250,
		ID: [16]byte{1, 2, 3, 15: byte(i)}, JSON: fmt.Sprintf(`{"n": [%d, null]}`, i), Bytes: []byte{0xff, byte(i)}, Words: map[string]string{},
		Tags: []string{}, Repeated: []int64{}, Shops: []shop{}, Numbers: []*float64{},
	}
	if i%2 == 1 {
		maybe, dozen := fmt.Sprint("maybe ", i%11), int64(12*(i%4))
		e.Maybe, e.Dozens = &maybe, &dozen
	}
	for k := range i % 4 {
		e.Tags, e.Repeated = append(e.Tags, fmt.Sprint("tag ", k)), append(e.Repeated, int64(k*i))
		one := shop{Name: fmt.Sprint("shop ", k), Stars: []int32{}}
		for s := range k {
			one.Stars = append(one.Stars, int32(s))
		}
		e.Shops = append(e.Shops, one)
		f := float64(k) / 4
		e.Numbers = append(e.Numbers, &f, nil)
	}
	if i%3 > 0 {
		e.Words[fmt.Sprint("key ", i)] = "value"
		number := int32(i)
		e.Address = &address{Street: "Main", Places: []int64{}}
		if i%3 == 2 {
			e.Address.Number, e.Address.Places = &number, []int64{1, int64(i)}
		}
	}
	return e
}

// want is what the row is read as: JSON of the columns that are there.
func (e everything) want() map[string]any {
	m := map[string]any{
		"text": e.Text, "plain": e.Plain, "dict": e.Dict, "delta": e.Delta, "length": e.Length, "small": e.Small, "big": e.Big, "unsigned": e.Unsigned,
		"float": e.Float, "double": e.Double, "yes": e.Yes, "at": e.At.Format("2006-01-02T15:04:05.999999999Z"),
		"day": time.Unix(int64(e.Day)*86400, 0).UTC().Format(time.DateOnly), "price": json.RawMessage(fmt.Sprintf("%.2f", float64(e.Price)/100)),
		"id": fmt.Sprintf("01020300-0000-0000-0000-0000000000%02x", e.ID[15]), "tags": e.Tags, "repeated": e.Repeated, "json": json.RawMessage(strings.ReplaceAll(e.JSON, " ", "")),
		"bytes": e.Bytes, "words": e.Words, "numbers": e.Numbers,
	}
	shops := []any{}
	for _, s := range e.Shops {
		shops = append(shops, map[string]any{"name": s.Name, "stars": s.Stars})
	}
	m["shops"] = shops
	if e.Maybe != nil {
		m["maybe"], m["dozens"] = *e.Maybe, *e.Dozens
	}
	if e.Address != nil {
		m["address"] = map[string]any{"street": e.Address.Street, "number": e.Address.Number, "places": e.Address.Places}
	}
	return m
}

func write(t testing.TB, rows, perGroup int, options ...library.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := library.NewGenericWriter[everything](&b, options...)
	for i := range rows {
		if _, err := w.Write([]everything{rowOfEverything(i)}); err != nil {
			t.Fatal(err)
		}
		if (i+1)%perGroup == 0 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func object(t testing.TB, cells []parquet.Cell) map[string]any {
	t.Helper()
	m := map[string]any{}
	for _, c := range cells {
		switch {
		case c.Null:
		case c.Text:
			m[c.Name] = string(c.Raw)
		default:
			m[c.Name] = json.RawMessage(bytes.Clone(c.Raw))
		}
	}
	return m
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&plain); err != nil {
		t.Fatal(err)
	}
	if b, err = json.Marshal(plain); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRowsOfTheLibrarysFilesAreReadFromAnyRowOn(t *testing.T) {
	const rows = 120
	for _, codec := range []compress.Codec{&library.Uncompressed, &library.Snappy, &library.Gzip, &library.Zstd} {
		for _, version := range []int{1, 2} {
			for _, page := range []int{200, 1 << 20} {
				t.Run(fmt.Sprintf("%s pages of version %d and %d bytes", codec, version, page), func(t *testing.T) {
					body := write(t, rows, 45, library.Compression(codec), library.DataPageVersion(version), library.PageBufferSize(page))
					f, err := parquet.Open(bytes.NewReader(body), int64(len(body)))
					if err != nil {
						t.Fatal(err)
					}
					if f.NumRows() != rows || f.Columns()[0] != "text" {
						t.Fatalf("%d rows of %q", f.NumRows(), f.Columns())
					}
					for _, from := range []int{0, 1, 44, 45, 100, 120} {
						r := f.Rows(int64(from), 1<<20)
						for i := from; ; i++ {
							cells, _, err := r.Next()
							if err == io.EOF {
								if i != rows {
									t.Fatalf("from row %d on it ends at %d", from, i)
								}
								break
							}
							if err != nil {
								t.Fatalf("row %d from %d on: %v", i, from, err)
							}
							if got, want := asJSON(t, object(t, cells)), asJSON(t, rowOfEverything(i).want()); got != want {
								t.Fatalf("row %d from %d on: got\n%s\nwant\n%s", i, from, got, want)
							}
							if i%20 == 7 {
								if err := r.Skip(17); err != nil {
									t.Fatal(err)
								}
								if i += 17; i >= rows {
									break
								}
							}
						}
					}
				})
			}
		}
	}
}

func TestARowOverTheLimitCostsNoOther(t *testing.T) {
	body := write(t, 20, 100)
	f, err := parquet.Open(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int64
	for r := f.Rows(0, 1<<20); ; {
		_, size, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, size)
	}
	sorted := slices.Sorted(slices.Values(sizes))
	limit := sorted[10]
	for r, i := f.Rows(0, int(limit)), 0; ; i++ {
		cells, size, err := r.Next()
		if err == io.EOF {
			if i != 20 {
				t.Errorf("%d rows", i)
			}
			break
		}
		if sizes[i] > limit {
			if !errors.Is(err, parquet.ErrTooLarge) || size <= limit {
				t.Errorf("row %d of %d bytes: %d, %v", i, sizes[i], size, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, want := asJSON(t, object(t, cells)), asJSON(t, rowOfEverything(i).want()); got != want {
			t.Errorf("row %d: got\n%s\nwant\n%s", i, got, want)
		}
	}
}
