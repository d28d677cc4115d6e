package pattern_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/local/events/pattern"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name, pattern, event string
		want                 bool
	}{
		{"an exact string", `{"source":["aws.bedrock"]}`, `{"source":"aws.bedrock"}`, true},
		{"another string", `{"source":["aws.bedrock"]}`, `{"source":"aws.s3"}`, false},
		{"one of several", `{"a":["x","y"]}`, `{"a":"y"}`, true},
		{"all fields are wanted", `{"a":["x"],"b":["y"]}`, `{"a":"x"}`, false},
		{"a nested field", `{"detail":{"status":["Completed"]}}`, `{"detail":{"status":"Completed","x":1}}`, true},
		{"an exact number", `{"n":[300]}`, `{"n":300}`, true},
		{"a number written otherwise is another", `{"n":[300]}`, `{"n":300.0}`, false},
		{"a number is not its text", `{"n":[1]}`, `{"n":"1"}`, false},
		{"a boolean", `{"b":[true]}`, `{"b":true}`, true},
		{"null", `{"b":[null]}`, `{"b":null}`, true},
		{"null is not absent", `{"b":[null]}`, `{}`, false},
		{"the empty string is not null", `{"b":[""]}`, `{"b":null}`, false},
		{"an element of an array", `{"a":["x"]}`, `{"a":["w","x"]}`, true},
		{"no element of an array", `{"a":["x"]}`, `{"a":["w"]}`, false},
		{"one object of an array holds all", `{"a":{"b":[1],"c":[2]}}`, `{"a":[{"b":1,"c":2}]}`, true},
		{"fields of two objects of an array do not add up", `{"a":{"b":[1],"c":[2]}}`, `{"a":[{"b":1},{"c":2}]}`, false},
		{"prefix", `{"a":[{"prefix":"in"}]}`, `{"a":"inbox"}`, true},
		{"prefix misses", `{"a":[{"prefix":"in"}]}`, `{"a":"bin"}`, false},
		{"prefix wants a string", `{"a":[{"prefix":"1"}]}`, `{"a":12}`, false},
		{"prefix ignoring case", `{"a":[{"prefix":{"equals-ignore-case":"IN"}}]}`, `{"a":"inbox"}`, true},
		{"suffix", `{"a":[{"suffix":".jsonl"}]}`, `{"a":"x.jsonl"}`, true},
		{"suffix misses", `{"a":[{"suffix":".jsonl"}]}`, `{"a":"x.jsonl.out"}`, false},
		{"suffix ignoring case", `{"a":[{"suffix":{"equals-ignore-case":".PNG"}}]}`, `{"a":"x.png"}`, true},
		{"equals-ignore-case", `{"a":[{"equals-ignore-case":"aLICE"}]}`, `{"a":"Alice"}`, true},
		{"wildcard in the middle", `{"a":[{"wildcard":"dir/*.jpg"}]}`, `{"a":"dir/x/y.jpg"}`, true},
		{"wildcard does not overlap", `{"a":[{"wildcard":"ab*ba"}]}`, `{"a":"aba"}`, false},
		{"wildcard matches nothing too", `{"a":[{"wildcard":"ab*"}]}`, `{"a":"ab"}`, true},
		{"escaped star", `{"a":[{"wildcard":"a\\*b"}]}`, `{"a":"a*b"}`, true},
		{"escaped star is no wildcard", `{"a":[{"wildcard":"a\\*b"}]}`, `{"a":"axb"}`, false},
		{"exists", `{"a":[{"exists":true}]}`, `{"a":null}`, true},
		{"exists, absent", `{"a":[{"exists":true}]}`, `{}`, false},
		{"does not exist", `{"a":[{"exists":false}]}`, `{}`, true},
		{"does not exist, present", `{"a":[{"exists":false}]}`, `{"a":1}`, false},
		{"does not exist below something absent", `{"a":{"b":[{"exists":false}]}}`, `{"c":1}`, true},
		{"only leaves exist", `{"a":[{"exists":true}]}`, `{"a":{"b":1}}`, false},
		{"an empty array does not exist", `{"a":[{"exists":false}]}`, `{"a":[]}`, true},
		{"value or absent", `{"a":["x",{"exists":false}]}`, `{}`, true},
		{"numeric equal", `{"n":[{"numeric":["=",3.018e2]}]}`, `{"n":301.8}`, true},
		{"numeric range", `{"n":[{"numeric":[">",0,"<=",5]}]}`, `{"n":5}`, true},
		{"numeric range, below", `{"n":[{"numeric":[">",0,"<=",5]}]}`, `{"n":0}`, false},
		{"numeric wants a number", `{"n":[{"numeric":[">",0]}]}`, `{"n":"5"}`, false},
		{"cidr", `{"ip":[{"cidr":"10.0.0.0/24"}]}`, `{"ip":"10.0.0.255"}`, true},
		{"cidr misses", `{"ip":[{"cidr":"10.0.0.0/24"}]}`, `{"ip":"10.0.1.0"}`, false},
		{"cidr of version 6", `{"ip":[{"cidr":"2001:db8::/32"}]}`, `{"ip":"2001:db8:1::1"}`, true},
		{"cidr wants an address", `{"ip":[{"cidr":"10.0.0.0/24"}]}`, `{"ip":"x"}`, false},
		{"anything-but a string", `{"a":[{"anything-but":"x"}]}`, `{"a":"y"}`, true},
		{"anything-but, the same", `{"a":[{"anything-but":"x"}]}`, `{"a":"x"}`, false},
		{"anything-but wants something", `{"a":[{"anything-but":"x"}]}`, `{}`, false},
		{"anything-but of a list", `{"a":[{"anything-but":["x","y"]}]}`, `{"a":"y"}`, false},
		{"anything-but numbers", `{"a":[{"anything-but":[1,2]}]}`, `{"a":2.0}`, false},
		{"anything-but holds for another type", `{"a":[{"anything-but":["x"]}]}`, `{"a":1}`, true},
		{"anything-but a prefix", `{"a":[{"anything-but":{"prefix":"init"}}]}`, `{"a":"initial"}`, false},
		{"anything-but a list of prefixes", `{"a":[{"anything-but":{"prefix":["a","b"]}}]}`, `{"a":"c"}`, true},
		{"anything-but a suffix", `{"a":[{"anything-but":{"suffix":".txt"}}]}`, `{"a":"a.csv"}`, true},
		{"anything-but ignoring case", `{"a":[{"anything-but":{"equals-ignore-case":["Alice","Bob"]}}]}`, `{"a":"BOB"}`, false},
		{"anything-but a wildcard", `{"a":[{"anything-but":{"wildcard":"*/lib/*"}}]}`, `{"a":"x/lib/y"}`, false},
		{"$or, first branch", `{"a":["x"],"$or":[{"b":["y"]},{"c":[{"numeric":["<",3]}]}]}`, `{"a":"x","b":"y"}`, true},
		{"$or, second branch", `{"a":["x"],"$or":[{"b":["y"]},{"c":[{"numeric":["<",3]}]}]}`, `{"a":"x","c":1}`, true},
		{"$or, no branch", `{"a":["x"],"$or":[{"b":["y"]},{"c":[{"numeric":["<",3]}]}]}`, `{"a":"x","c":4}`, false},
		{"$or inside", `{"d":{"$or":[{"b":["y"]},{"c":["z"]}]}}`, `{"d":{"c":"z"}}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := pattern.Compile([]byte(c.pattern))
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Match([]byte(c.event))
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("pattern %s on event %s: %v, want %v", c.pattern, c.event, got, c.want)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, c := range []struct{ name, pattern, want string }{
		{"an unknown operator by name", `{"a":[{"regex":"x"}]}`, `"regex"`},
		{"a bare value", `{"a":{"b":"x"}}`, `"a.b"`},
		{"an empty object", `{}`, "empty object"},
		{"an empty list", `{"a":[]}`, "empty array"},
		{"two operators in one", `{"a":[{"prefix":"x","suffix":"y"}]}`, "exactly one"},
		{"an unknown comparison", `{"a":[{"numeric":["!=",1]}]}`, `"!="`},
		{"a number out of range", `{"a":[{"numeric":[">",6e9]}]}`, "range"},
		{"an empty range", `{"a":[{"numeric":[">",5,"<",1]}]}`, "bottom"},
		{"a comparison without number", `{"a":[{"numeric":[">"]}]}`, "pairs"},
		{"consecutive wildcards", `{"a":[{"wildcard":"a**"}]}`, "consecutive"},
		{"an unknown escape", `{"a":[{"wildcard":"a\\x"}]}`, "escape"},
		{"a malformed range of addresses", `{"a":[{"cidr":"10.0.0.0"}]}`, "malformed"},
		{"a mixed list", `{"a":[{"anything-but":["x",1]}]}`, "either"},
		{"an operator unknown inside anything-but", `{"a":[{"anything-but":{"cidr":"10.0.0.0/8"}}]}`, `"cidr"`},
		{"$or with one branch", `{"$or":[{"a":["x"]}]}`, "two"},
		{"a key given twice", `{"a":["x"],"a":["y"]}`, "duplicate"},
		{"broken JSON", `{"a":`, "JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := pattern.Compile([]byte(c.pattern))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Compile(%s): error %v, want one that says %q", c.pattern, err, c.want)
			}
		})
	}
}

func TestOptionsNarrowTheLanguage(t *testing.T) {
	if _, err := pattern.Compile([]byte(`{"a":{"b":["x"]}}`), pattern.Flat()); err == nil {
		t.Error("Flat accepted a nested key")
	}
	if _, err := pattern.Compile([]byte(`{"a":[{"wildcard":"x*"}]}`), pattern.Without("wildcard")); err == nil {
		t.Error("Without accepted the operator")
	}
}

// The wildcard matcher is compared with the regular expression that says the
// same.
func TestWildcardAgreesWithRegexp(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var w, re strings.Builder
		re.WriteString("^")
		star := false
		for range rnd.IntN(7) {
			switch k := rnd.IntN(4); {
			case k == 0 && !star:
				w.WriteString("*")
				re.WriteString(".*")
				star = true
			case k == 1:
				w.WriteString(`\*`)
				re.WriteString(`\*`)
				star = false
			default:
				ch := string("ab"[rnd.IntN(2)])
				w.WriteString(ch)
				re.WriteString(ch)
				star = false
			}
		}
		re.WriteString("$")
		var v strings.Builder
		for range rnd.IntN(8) {
			v.WriteByte("ab*"[rnd.IntN(3)])
		}
		arg, _ := json.Marshal(w.String())
		p, err := pattern.Compile(fmt.Appendf(nil, `{"a":[{"wildcard":%s}]}`, arg))
		if err != nil {
			t.Fatal(err)
		}
		got := p.MatchValue(map[string]any{"a": v.String()})
		if want := regexp.MustCompile(re.String()).MatchString(v.String()); got != want {
			t.Fatalf("wildcard %q on %q: %v, want %v", w.String(), v.String(), got, want)
		}
	}
}

// Patterns without arrays of objects mean: for each path, some scalar of the
// event at that path is among the values. The matcher is compared with that
// sentence, evaluated over the flattened event.
func TestMatchAgreesWithTheFlattenedEvent(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	names := []string{"a", "b", "c"}
	scalar := func() any {
		return []any{"x", "y", json.Number("1"), json.Number("2"), true, nil}[rnd.IntN(6)]
	}
	var event func(depth int) map[string]any
	event = func(depth int) map[string]any {
		m := map[string]any{}
		for _, n := range names {
			switch k := rnd.IntN(5); {
			case k == 0:
			case k == 1 && depth > 0:
				m[n] = event(depth - 1)
			case k == 2:
				l := []any{}
				for range rnd.IntN(3) {
					l = append(l, scalar())
				}
				m[n] = l
			default:
				m[n] = scalar()
			}
		}
		return m
	}
	var pat func(depth int) map[string]any
	pat = func(depth int) map[string]any {
		m := map[string]any{}
		for len(m) == 0 {
			for _, n := range names {
				switch k := rnd.IntN(6); {
				case k < 3:
				case k == 3 && depth > 0:
					m[n] = pat(depth - 1)
				case k == 4:
					m[n] = []any{map[string]any{"exists": rnd.IntN(2) == 0}}
				default:
					m[n] = []any{scalar(), scalar()}
				}
			}
		}
		return m
	}
	matches := 0
	for range 20000 {
		ev, pt := event(2), pat(2)
		flat := map[string][]any{}
		flatten("", ev, flat)
		want := reference("", pt, flat)
		doc, _ := json.Marshal(pt)
		p, err := pattern.Compile(doc)
		if err != nil {
			t.Fatal(err)
		}
		evDoc, _ := json.Marshal(ev)
		got, err := p.Match(evDoc)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("pattern %s on %s: %v, want %v", doc, evDoc, got, want)
		}
		if got {
			matches++
		}
	}
	if matches < 1000 {
		t.Errorf("only %d of 20000 pairs matched: the test sees too little", matches)
	}
}

func flatten(path string, v any, out map[string][]any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			flatten(path+"/"+k, e, out)
		}
	case []any:
		for _, e := range v {
			flatten(path, e, out)
		}
	default:
		out[path] = append(out[path], v)
	}
}

func reference(path string, p map[string]any, flat map[string][]any) bool {
	for k, want := range p {
		at := path + "/" + k
		if m, ok := want.(map[string]any); ok {
			if !reference(at, m, flat) {
				return false
			}
			continue
		}
		hit := false
		for _, w := range want.([]any) {
			if m, ok := w.(map[string]any); ok {
				hit = hit || m["exists"].(bool) == (len(flat[at]) > 0)
				continue
			}
			for _, v := range flat[at] {
				hit = hit || v == w
			}
		}
		if !hit {
			return false
		}
	}
	return true
}

func FuzzCompile(f *testing.F) {
	f.Add([]byte(`{"a":[{"anything-but":{"prefix":"x"}}]}`), []byte(`{"a":"y"}`))
	f.Fuzz(func(t *testing.T, p, e []byte) {
		c, err := pattern.Compile(p)
		if err != nil {
			return
		}
		_, _ = c.Match(e)
	})
}
