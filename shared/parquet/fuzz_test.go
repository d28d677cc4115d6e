package parquet_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	library "github.com/parquet-go/parquet-go"

	"github.com/bedrock-batch/bedrock-batch/shared/parquet"
)

// FuzzFile: whatever the bytes, reading ends, in rows or in an error that says
// that the file is broken; what is read from the middle is what is read there
// from the beginning.
func FuzzFile(f *testing.F) {
	f.Add(write(f, 3, 2))
	f.Add(write(f, 4, 10, library.Compression(&library.Zstd), library.DataPageVersion(1), library.PageBufferSize(100)))
	f.Add(write(f, 2, 10, library.Compression(&library.Gzip), library.DataPageVersion(2)))
	f.Add([]byte("PAR1PAR1"))
	f.Fuzz(func(t *testing.T, body []byte) {
		file, err := parquet.Open(bytes.NewReader(body), int64(len(body)))
		if err != nil {
			if !errors.Is(err, parquet.ErrBroken) {
				t.Fatalf("open: %v", err)
			}
			return
		}
		all := read(t, file, 0)
		for from := 1; from < min(len(all), 3); from++ {
			for i, row := range read(t, file, int64(from)) {
				if row != all[from+i] {
					t.Fatalf("row %d read from %d on is %s, from the beginning %s", from+i, from, row, all[from+i])
				}
			}
		}
	})
}

// read reads up to a thousand rows.
func read(t *testing.T, file *parquet.File, from int64) (all []string) {
	t.Helper()
	rows := file.Rows(from, 10_000)
	for range 1000 {
		cells, _, err := rows.Next()
		switch {
		case err == io.EOF:
			return all
		case errors.Is(err, parquet.ErrTooLarge), errors.Is(err, parquet.ErrNotUTF8):
			all = append(all, err.Error())
			continue
		case errors.Is(err, parquet.ErrBroken):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, asJSON(t, object(t, cells)))
	}
	return all
}
