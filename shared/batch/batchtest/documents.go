package batchtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// Documents is the contract of batch.Documents. The bucket may be shared with
// other suites; it is written below contract/ only.
func Documents(t *testing.T, open func() batch.Documents) {
	for name, test := range map[string]func(*testing.T, batch.Documents){
		"get reads an object whole with its description":       getWhole,
		"get of an absent object is not found":                 getAbsent,
		"what get returned is the caller's own":                getOwn,
		"put writes an object whole and returns its new tag":   putWhole,
		"put writes an empty object":                           putEmpty,
		"put if absent writes only where nothing stands":       putIfAbsent,
		"put if match writes only over the tag it names":       putIfMatch,
		"put if match finds no match where nothing stands":     putIfMatchAbsent,
		"put with both conditions is invalid":                  putBoth,
		"of several puts if absent at once exactly one wins":   putIfAbsentRace,
		"of several puts if match at once exactly one wins":    putIfMatchRace,
		"delete removes objects and may be called twice":       deleteTwice,
		"delete takes more keys than one call of the service":  deleteMany,
		"delete of nothing does nothing":                       deleteNone,
		"list yields byte order below the prefix":              listOrder,
		"list starts after a key that need not exist":          listAfter,
		"list pages through more than a thousand objects":      listPages,
		"list may be left early":                               listEarly,
		"list of an empty prefix yields nothing":               listNothing,
		"list describes the objects":                           listDescribes,
		"reads and listings see every write that has returned": readAfterWrite,
		"keys may hold what users put into them":               strangeKeys,
		"a context that has ended ends every call":             documentsContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open()) })
	}
}

func getWhole(t *testing.T, d batch.Documents) {
	key := folder(t) + "doc.json"
	body := []byte(`{"a": 1}`)
	etag, err := d.Put(t.Context(), key, body, batch.Condition{})
	must(t, err)
	got, o, err := d.Get(t.Context(), key)
	must(t, err)
	same(t, got, body)
	equal(t, "key", o.Key, key)
	equal(t, "tag", o.ETag, etag)
	equal(t, "size", o.Size, int64(len(body)))
	equal(t, "fraction of the second of modification", o.Modified.Nanosecond(), 0)
	equal(t, "absence of a time of modification", o.Modified.IsZero(), false)
}

func getAbsent(t *testing.T, d batch.Documents) {
	_, _, err := d.Get(t.Context(), folder(t)+"absent")
	is(t, err, batch.ErrNotFound)
}

func getOwn(t *testing.T, d batch.Documents) {
	key := folder(t) + "doc"
	body := []byte("before")
	_, err := d.Put(t.Context(), key, body, batch.Condition{})
	must(t, err)
	copy(body, "XXXXXX")
	got, _, err := d.Get(t.Context(), key)
	must(t, err)
	same(t, got, []byte("before"))
	copy(got, "YYYYYY")
	again, _, err := d.Get(t.Context(), key)
	must(t, err)
	same(t, again, []byte("before"))
}

func putWhole(t *testing.T, d batch.Documents) {
	key := folder(t) + "doc"
	first, err := d.Put(t.Context(), key, []byte("a longer first body"), batch.Condition{})
	must(t, err)
	second, err := d.Put(t.Context(), key, []byte("second"), batch.Condition{})
	must(t, err)
	if first == second || first == "" {
		t.Fatalf("tags are %q and %q, want two", first, second)
	}
	if bytes.ContainsAny([]byte(second), `"`) {
		t.Fatalf("tag %s has quotes", second)
	}
	got, o, err := d.Get(t.Context(), key)
	must(t, err)
	same(t, got, []byte("second"))
	equal(t, "tag", o.ETag, second)
}

func putEmpty(t *testing.T, d batch.Documents) {
	key := folder(t) + "empty"
	_, err := d.Put(t.Context(), key, nil, batch.Condition{IfAbsent: true})
	must(t, err)
	got, o, err := d.Get(t.Context(), key)
	must(t, err)
	equal(t, "size", o.Size, 0)
	equal(t, "length", len(got), 0)
}

func putIfAbsent(t *testing.T, d batch.Documents) {
	key := folder(t) + "doc"
	_, err := d.Put(t.Context(), key, []byte("one"), batch.Condition{IfAbsent: true})
	must(t, err)
	_, err = d.Put(t.Context(), key, []byte("two"), batch.Condition{IfAbsent: true})
	is(t, err, batch.ErrPrecondition)
	got, _, err := d.Get(t.Context(), key)
	must(t, err)
	same(t, got, []byte("one"))
	must(t, d.Delete(t.Context(), key))
	_, err = d.Put(t.Context(), key, []byte("three"), batch.Condition{IfAbsent: true})
	must(t, err)
}

func putIfMatch(t *testing.T, d batch.Documents) {
	key := folder(t) + "doc"
	first, err := d.Put(t.Context(), key, []byte("one"), batch.Condition{})
	must(t, err)
	second, err := d.Put(t.Context(), key, []byte("two"), batch.Condition{IfMatch: first})
	must(t, err)
	_, err = d.Put(t.Context(), key, []byte("three"), batch.Condition{IfMatch: first})
	is(t, err, batch.ErrPrecondition)
	got, o, err := d.Get(t.Context(), key)
	must(t, err)
	same(t, got, []byte("two"))
	equal(t, "tag", o.ETag, second)
}

func putIfMatchAbsent(t *testing.T, d batch.Documents) {
	f := folder(t)
	etag, err := d.Put(t.Context(), f+"other", []byte("one"), batch.Condition{})
	must(t, err)
	_, err = d.Put(t.Context(), f+"absent", []byte("two"), batch.Condition{IfMatch: etag})
	is(t, err, batch.ErrPrecondition)
}

func putBoth(t *testing.T, d batch.Documents) {
	_, err := d.Put(t.Context(), folder(t)+"doc", nil, batch.Condition{IfAbsent: true, IfMatch: "x"})
	is(t, err, batch.ErrInvalid)
}

func putIfAbsentRace(t *testing.T, d batch.Documents) {
	race(t, d, folder(t)+"doc", func(string) batch.Condition { return batch.Condition{IfAbsent: true} })
}

func putIfMatchRace(t *testing.T, d batch.Documents) {
	key := folder(t) + "doc"
	etag, err := d.Put(t.Context(), key, []byte("start"), batch.Condition{})
	must(t, err)
	race(t, d, key, func(string) batch.Condition { return batch.Condition{IfMatch: etag} })
}

// race has many writers write at once. The service may answer a loser with
// another reason than a lost condition only if that is worth a new try.
func race(t *testing.T, d batch.Documents, key string, cond func(string) batch.Condition) {
	const writers = 16
	errs := make([]error, writers)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			_, errs[i] = d.Put(t.Context(), key, fmt.Appendf(nil, "writer %d", i), cond(key))
		})
	}
	group.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won >= 0:
			t.Fatalf("both %d and %d won", won, i)
		case err == nil:
			won = i
		default:
			is(t, err, batch.ErrPrecondition)
		}
	}
	if won < 0 {
		t.Fatal("nobody won")
	}
	got, _, err := d.Get(t.Context(), key)
	must(t, err)
	same(t, got, fmt.Appendf(nil, "writer %d", won))
}

func deleteTwice(t *testing.T, d batch.Documents) {
	f := folder(t)
	for _, name := range []string{"a", "b", "c"} {
		_, err := d.Put(t.Context(), f+name, []byte(name), batch.Condition{})
		must(t, err)
	}
	for range 2 {
		must(t, d.Delete(t.Context(), f+"a", f+"c", f+"never"))
		_, _, err := d.Get(t.Context(), f+"a")
		is(t, err, batch.ErrNotFound)
	}
	equal(t, "what is left", fmt.Sprint(keys(t, d, f, "")), fmt.Sprint([]string{f + "b"}))
}

func deleteMany(t *testing.T, d batch.Documents) {
	f := folder(t)
	var all []string
	for i := range 1005 {
		all = append(all, fmt.Sprintf("%s%04d", f, i))
	}
	for _, i := range []int{0, 999, 1000, 1004} {
		_, err := d.Put(t.Context(), all[i], nil, batch.Condition{})
		must(t, err)
	}
	must(t, d.Delete(t.Context(), all...))
	equal(t, "what is left", len(keys(t, d, f, "")), 0)
}

func deleteNone(t *testing.T, d batch.Documents) { must(t, d.Delete(t.Context())) }

func listOrder(t *testing.T, d batch.Documents) {
	f := folder(t)
	want := []string{"a-b", "a.b", "a/b", "a0", "ab", "b/c/d", "b/c0", "é"}
	for _, i := range []int{5, 2, 0, 7, 4, 1, 6, 3} {
		_, err := d.Put(t.Context(), f+want[i], []byte("x"), batch.Condition{})
		must(t, err)
	}
	got := keys(t, d, f, "")
	for i := range want {
		want[i] = f + want[i]
	}
	equal(t, "listing", fmt.Sprint(got), fmt.Sprint(want))
	equal(t, "narrower listing", fmt.Sprint(keys(t, d, f+"b/c", "")), fmt.Sprint(want[5:7]))
}

func listAfter(t *testing.T, d batch.Documents) {
	f := folder(t)
	for _, name := range []string{"a", "c", "e"} {
		_, err := d.Put(t.Context(), f+name, nil, batch.Condition{})
		must(t, err)
	}
	equal(t, "listing after a", fmt.Sprint(keys(t, d, f, f+"a")), fmt.Sprint([]string{f + "c", f + "e"}))
	equal(t, "listing after b", fmt.Sprint(keys(t, d, f, f+"b")), fmt.Sprint([]string{f + "c", f + "e"}))
	equal(t, "listing after e", len(keys(t, d, f, f+"e")), 0)
}

func listPages(t *testing.T, d batch.Documents) {
	f := folder(t)
	const n = 1003
	var group sync.WaitGroup
	errs := make([]error, 8)
	for lane := range errs {
		group.Go(func() {
			for i := lane; i < n && errs[lane] == nil; i += len(errs) {
				_, errs[lane] = d.Put(t.Context(), fmt.Sprintf("%s%05d", f, i), nil, batch.Condition{})
			}
		})
	}
	group.Wait()
	must(t, errors.Join(errs...))
	got := keys(t, d, f, "")
	equal(t, "number of objects", len(got), n)
	equal(t, "order", slices.IsSorted(got), true)
	equal(t, "last", got[n-1], fmt.Sprintf("%s%05d", f, n-1))
	must(t, d.Delete(t.Context(), got...))
}

func listEarly(t *testing.T, d batch.Documents) {
	f := folder(t)
	for _, name := range []string{"a", "b"} {
		_, err := d.Put(t.Context(), f+name, nil, batch.Condition{})
		must(t, err)
	}
	for o, err := range d.List(t.Context(), f, "") {
		must(t, err)
		equal(t, "first", o.Key, f+"a")
		break
	}
}

func listNothing(t *testing.T, d batch.Documents) {
	equal(t, "listing", len(keys(t, d, folder(t), "")), 0)
}

func listDescribes(t *testing.T, d batch.Documents) {
	key := folder(t) + "doc"
	etag, err := d.Put(t.Context(), key, []byte("12345"), batch.Condition{})
	must(t, err)
	for o, err := range d.List(t.Context(), key, "") {
		must(t, err)
		equal(t, "tag", o.ETag, etag)
		equal(t, "size", o.Size, 5)
		equal(t, "fraction of the second of modification", o.Modified.Truncate(time.Second), o.Modified)
	}
}

func readAfterWrite(t *testing.T, d batch.Documents) {
	f := folder(t)
	for i := range 20 {
		key := fmt.Sprintf("%s%02d", f, i)
		_, err := d.Put(t.Context(), key, fmt.Append(nil, i), batch.Condition{})
		must(t, err)
		equal(t, "number of objects", len(keys(t, d, f, "")), i+1)
		_, err = d.Put(t.Context(), f+"00", fmt.Append(nil, "now ", i), batch.Condition{})
		must(t, err)
		got, _, err := d.Get(t.Context(), f+"00")
		must(t, err)
		same(t, got, fmt.Append(nil, "now ", i))
	}
}

// strangers are names that S3 allows and that have to be escaped on the way.
var strangers = []string{
	"a b+c%d", "100%25", "x=1&y=2", "q?r#s", "semi;colon:comma,@$", `"quoted" <tag>`,
	"emoji 😀", "é combining é", "tilde~star*(paren)'s", "back\\slash|pipe^caret`",
}

func strangeKeys(t *testing.T, d batch.Documents) {
	f := folder(t)
	for _, name := range strangers {
		_, err := d.Put(t.Context(), f+name, []byte(name), batch.Condition{})
		must(t, err)
		got, o, err := d.Get(t.Context(), f+name)
		must(t, err)
		same(t, got, []byte(name))
		equal(t, "key", o.Key, f+name)
	}
	want := slices.Sorted(slices.Values(strangers))
	got := keys(t, d, f, "")
	equal(t, "number of objects", len(got), len(want))
	for i := range want {
		equal(t, "listed key", got[i], f+want[i])
	}
	equal(t, "listing after a strange key", len(keys(t, d, f, got[3])), len(want)-4)
	must(t, d.Delete(t.Context(), got...))
	equal(t, "what is left", len(keys(t, d, f, "")), 0)
}

func documentsContext(t *testing.T, d batch.Documents) {
	ctx, key := ended(t), folder(t)+"doc"
	_, _, err := d.Get(ctx, key)
	is(t, err, context.Canceled)
	_, err = d.Put(ctx, key, nil, batch.Condition{})
	is(t, err, context.Canceled)
	is(t, d.Delete(ctx, key), context.Canceled)
	for _, err := range d.List(ctx, key, "") {
		is(t, err, context.Canceled)
	}
	_, _, err = d.Get(t.Context(), key)
	is(t, err, batch.ErrNotFound)
}
