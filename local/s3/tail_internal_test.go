package s3

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

func TestTheEndOfABodyComesInOnePiece(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		body := make([]byte, random.IntN(6*tailBytes))
		for i := range body {
			body[i] = byte(random.Uint32())
		}
		var source io.Reader = bytes.NewReader(body)
		if random.IntN(2) == 0 {
			source = iotest.HalfReader(source)
		}
		r := &wholeTail{ReadCloser: io.NopCloser(source)}
		room := tailBytes + random.IntN(3*tailBytes)
		var got []byte
		last := 0
		for {
			p := make([]byte, room)
			n, err := r.Read(p)
			if n > 0 {
				got, last = append(got, p[:n]...), n
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, body) {
			t.Fatalf("%d bytes came as %d", len(body), len(got))
		}
		if last < min(len(body), tailBytes) {
			t.Errorf("the last piece of %d bytes has %d", len(body), last)
		}
	}
}
