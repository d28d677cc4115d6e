package batchtest

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// The cases of Files that compose.

func composeNone(t *testing.T, b batch.Bucket) {
	key := folder(t) + "f"
	must(t, b.Compose(t.Context(), key, nil))
	same(t, read(t, b, key, "", 0, batch.Whole), nil)
}

func composeSizes(t *testing.T, b batch.Bucket) {
	const mib = 1 << 20
	sizes := []int{0, 1, mib, 5*mib - 1, 5 * mib, 5*mib + 1, 11 * mib}
	f := folder(t)
	pieces := make(map[int]batch.Object)
	bodies := make(map[int][]byte)
	for _, n := range sizes {
		bodies[n] = pattern(n, byte(n%251))
		pieces[n] = write(t, b, fmt.Sprint(f, "piece-", n), bodies[n])
	}
	for i, c := range [][]int{
		{0}, {1}, {0, 0, 0}, {1, 1, 1}, {5 * mib}, {11 * mib},
		{1, 5 * mib}, {5 * mib, 1}, {5 * mib, 5 * mib}, {5*mib - 1, 5*mib - 1},
		{1, 11 * mib, 1}, {1, 5*mib - 1, 5 * mib, 0, 5*mib + 1, 1},
		{5*mib - 1, 5*mib + 1}, {mib, 5 * mib, mib, 5 * mib, mib},
		{11 * mib, mib, mib, mib, 11 * mib, mib},
	} {
		key := fmt.Sprint(f, "whole-", i)
		var list []batch.Object
		var want []byte
		for _, n := range c {
			list = append(list, pieces[n])
			want = append(want, bodies[n]...)
		}
		if err := b.Compose(t.Context(), key, list); err != nil {
			t.Fatalf("compose of pieces of %v bytes: %v", c, err)
		}
		if got := read(t, b, key, "", 0, batch.Whole); !bytes.Equal(got, want) {
			t.Fatalf("pieces of %v bytes are %d bytes that differ from their concatenation of %d", c, len(got), len(want))
		}
		must(t, b.Delete(t.Context(), key))
	}
}

func composeMany(t *testing.T, b batch.Bucket) {
	f := folder(t)
	var pieces []batch.Object
	var want []byte
	for i := range 60 {
		body := pattern(200_000+i, byte(i))
		pieces = append(pieces, write(t, b, fmt.Sprintf("%spiece-%d", f, i), body))
		want = append(want, body...)
	}
	must(t, b.Compose(t.Context(), f+"whole", pieces))
	same(t, read(t, b, f+"whole", "", 0, batch.Whole), want)
}

func composeTwice(t *testing.T, b batch.Bucket) {
	f := folder(t)
	body := pattern(6<<20, 8)
	pieces := []batch.Object{write(t, b, f+"a", body), write(t, b, f+"b", []byte("end"))}
	for range 2 {
		must(t, b.Compose(t.Context(), f+"whole", pieces))
		same(t, read(t, b, f+"whole", "", 0, batch.Whole), append(body[:len(body):len(body)], "end"...))
	}
}

func composeKeys(t *testing.T, b batch.Bucket) {
	f := folder(t)
	body := pattern(5<<20, 9)
	for _, name := range strangers {
		piece := write(t, b, f+name, body)
		must(t, b.Compose(t.Context(), f+"whole of "+name, []batch.Object{piece, piece}))
		o, err := b.Stat(t.Context(), f+"whole of "+name, "")
		must(t, err)
		equal(t, "size", o.Size, int64(10<<20))
		must(t, b.Delete(t.Context(), f+name, f+"whole of "+name))
	}
}

func composeAbsent(t *testing.T, b batch.Bucket) {
	f := folder(t)
	for _, size := range []int64{10, 6 << 20} {
		there := write(t, b, f+"there", pattern(6<<20, 10))
		err := b.Compose(t.Context(), f+"whole", []batch.Object{there, {Key: f + "absent", Size: size}})
		is(t, err, batch.ErrNotFound)
		_, err = b.Stat(t.Context(), f+"whole", "")
		is(t, err, batch.ErrNotFound)
	}
}

func composeOverwritten(t *testing.T, b batch.Bucket) {
	f := folder(t)
	for _, n := range []int{10, 6 << 20} {
		old := write(t, b, f+"piece", pattern(n, 11))
		write(t, b, f+"piece", pattern(n, 12))
		old.Version = ""
		is(t, b.Compose(t.Context(), f+"whole", []batch.Object{old, old}), batch.ErrPrecondition)
		_, err := b.Stat(t.Context(), f+"whole", "")
		is(t, err, batch.ErrNotFound)
	}
}
