package cursor_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

func TestACursorWalksAndSticksToItsFirstError(t *testing.T) {
	var c cursor.Cursor
	for range 2 { // again after Reset
		c.Reset([]byte(` { "a" : [1, "x\n", {}], "b":{"n":12.0}, "t":true, "n":null, "s\u0041":"q" } `))
		if c.Kind() != '{' || !c.EnterObject() {
			t.Fatal(c.Err())
		}
		if name, ok := c.Member(); !ok || string(name) != "a" {
			t.Fatalf("%s %v", name, c.Err())
		}
		mark := c.Mark()
		if !c.EnterArray() || !c.Element() {
			t.Fatal(c.Err())
		}
		if n, ok := c.Int(); !ok || n != 1 {
			t.Errorf("%d", n)
		}
		if s, ok := c.String(); !c.Element() && ok || string(s) != `x\n` {
			t.Errorf("%s", s)
		}
		c.Skip()
		if c.Element() {
			t.Error("an element too many")
		}
		if got := string(c.Since(mark)); got != `[1, "x\n", {}]` {
			t.Errorf("since: %s", got)
		}
		c.Member()
		if c.EnterArray() {
			t.Error("an object entered as an array")
		}
		c.Member()
		if _, ok := c.Int(); ok {
			t.Error("true is a number")
		}
		c.Member()
		if s, ok := c.String(); ok {
			t.Errorf("null is the string %s", s)
		}
		if name, ok := c.Member(); !ok || string(name) != "sA" {
			t.Errorf("name %s", name)
		}
		if got := string(c.Raw()); got != `"q"` {
			t.Errorf("raw: %s", got)
		}
		if _, ok := c.Member(); ok {
			t.Error("a member too many")
		}
		c.End()
		if c.Err() != nil {
			t.Error(c.Err())
		}
	}
	c.Reset([]byte(`{"a":1]`))
	c.EnterObject()
	for _, ok := c.Member(); ok; _, ok = c.Member() {
		c.Skip()
	}
	first := c.Err()
	c.Skip()
	c.End()
	if first == nil || c.Err() != first || c.Kind() != 0 || c.Raw() != nil || c.Element() {
		t.Errorf("errors %v, %v", first, c.Err())
	}
}

func TestNumbersThatCount(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "17": 17, "12.0": 12, "1e2": 100, "999999999999999999": 999999999999999999,
		"-1": -1, "1.5": -1, "1e30": -1, "99999999999999999999": -1, `"1"`: -1, "[1]": -1, "null": -1,
	} {
		var c cursor.Cursor
		c.Reset([]byte(text))
		n, ok := c.Int()
		c.End()
		if ok != (want >= 0) || ok && n != want || c.Err() != nil {
			t.Errorf("%s: %d, %v, %v", text, n, ok, c.Err())
		}
	}
}

func TestTheZeroCursorIsAnEmptyText(t *testing.T) {
	var c cursor.Cursor
	if c.Kind() != 0 || c.Mark() != 0 || c.Element() || c.Since(0) != nil {
		t.Error("something is there")
	}
	c.End()
	if c.Err() == nil {
		t.Error("no error")
	}
	c = cursor.Cursor{}
	if c.EnterObject() || c.Err() == nil {
		t.Error("entered")
	}
}

func TestQuoting(t *testing.T) {
	for _, s := range []string{"", "plain", "a\"b\\c\n\x01é😀</script>"} {
		q := cursor.AppendQuoted([]byte(">"), s)
		if got := cursor.Unquote(q[1:]); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	if got := cursor.Unquote([]byte(`\ud800x`)); got != "\uFFFDx" {
		t.Errorf("%q", got)
	}
}

func FuzzTheCursorTakesWhatIsStrictJSON(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, ` {"a":[1,{"b":null}],"a":"\ud800"} `, `{"a":1]`, `[1 2]`, `{"a" 1}`, `{"a":01}`, `{"a":NaN}`, `{1:2}`, "\"\x01\"", "\"\xff\"", `"a" "b"`, `{"a":1,}`, `tru`, "", "\ufeff{}",
		strings.Repeat("[", 200) + strings.Repeat("]", 200),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		_, err := d.ReadValue()
		if err == nil {
			_, rest := d.ReadToken()
			if rest == nil || rest.Error() != "EOF" {
				err = errRest
			}
		}
		valid := err == nil && utf8.Valid(text)
		var c cursor.Cursor
		c.Reset(text)
		mark := c.Mark()
		walk(&c)
		c.End()
		if (c.Err() == nil) != valid {
			t.Fatalf("valid %v (%v), cursor %v", valid, err, c.Err())
		}
		if valid && !bytes.Equal(bytes.TrimSpace(c.Since(mark)), bytes.Trim(text, " \t\r\n")) {
			t.Fatalf("since the mark: %q", c.Since(mark))
		}
	})
}

var errRest = errors.New("more than one value")

// walk visits everything.
func walk(c *cursor.Cursor) {
	switch c.Kind() {
	case '{':
		c.EnterObject()
		for _, ok := c.Member(); ok; _, ok = c.Member() {
			walk(c)
		}
	case '[':
		c.EnterArray()
		for c.Element() {
			walk(c)
		}
	case '"':
		c.String()
	default:
		c.Skip()
	}
}
