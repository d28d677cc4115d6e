package access

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// conditionKeys are the request's condition keys, by lower-case name.
type conditionKeys map[string][]string

// condition is one operator on one key.
type condition struct {
	operator string
	key      string
	values   []pattern
	negated  bool
	ifExists bool
	forAny   bool
	forAll   bool
	// null is set for the operator Null: true wants the key absent.
	null *bool
	test test
}

// test tells whether a request's value fits a policy's value.
type test func(want pattern, keys conditionKeys, have string) bool

// valid checks a policy's value when it is loaded.
type valid func(value string) error

type operator struct {
	test    test
	valid   valid
	negated bool
}

var operators = map[string]operator{
	"StringEquals":              {test: stringEquals},
	"StringNotEquals":           {test: stringEquals, negated: true},
	"StringEqualsIgnoreCase":    {test: stringEqualsFold},
	"StringNotEqualsIgnoreCase": {test: stringEqualsFold, negated: true},
	"StringLike":                {test: stringLike},
	"StringNotLike":             {test: stringLike, negated: true},
	// ArnEquals and ArnLike behave alike in IAM.
	"ArnEquals":    {test: arnLike, valid: validARN},
	"ArnLike":      {test: arnLike, valid: validARN},
	"ArnNotEquals": {test: arnLike, valid: validARN, negated: true},
	"ArnNotLike":   {test: arnLike, valid: validARN, negated: true},
	"Bool":         {test: stringEqualsFold, valid: validBool},

	"NumericEquals":            {test: numeric(func(c int) bool { return c == 0 }), valid: validNumber},
	"NumericNotEquals":         {test: numeric(func(c int) bool { return c == 0 }), valid: validNumber, negated: true},
	"NumericLessThan":          {test: numeric(func(c int) bool { return c < 0 }), valid: validNumber},
	"NumericLessThanEquals":    {test: numeric(func(c int) bool { return c <= 0 }), valid: validNumber},
	"NumericGreaterThan":       {test: numeric(func(c int) bool { return c > 0 }), valid: validNumber},
	"NumericGreaterThanEquals": {test: numeric(func(c int) bool { return c >= 0 }), valid: validNumber},

	"DateEquals":            {test: date(func(c int) bool { return c == 0 }), valid: validDate},
	"DateNotEquals":         {test: date(func(c int) bool { return c == 0 }), valid: validDate, negated: true},
	"DateLessThan":          {test: date(func(c int) bool { return c < 0 }), valid: validDate},
	"DateLessThanEquals":    {test: date(func(c int) bool { return c <= 0 }), valid: validDate},
	"DateGreaterThan":       {test: date(func(c int) bool { return c > 0 }), valid: validDate},
	"DateGreaterThanEquals": {test: date(func(c int) bool { return c >= 0 }), valid: validDate},

	"IpAddress":    {test: ipAddress, valid: validRange},
	"NotIpAddress": {test: ipAddress, valid: validRange, negated: true},
}

func parseConditions(raw map[string]map[string]oneOrMany[scalar], variables bool) ([]condition, error) {
	var out []condition
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		for _, key := range slices.Sorted(maps.Keys(raw[name])) {
			c, err := parseCondition(name, key, raw[name][key], variables)
			if err != nil {
				return nil, fmt.Errorf("condition %s %s: %w", name, key, err)
			}
			out = append(out, c)
		}
	}
	return out, nil
}

func parseCondition(name, key string, values []scalar, variables bool) (c condition, err error) {
	if err := knownKey(key); err != nil {
		return c, err
	}
	if len(values) == 0 {
		return c, fmt.Errorf("no value")
	}
	c.operator, c.key = name, strings.ToLower(key)
	bare, forAny := strings.CutPrefix(name, "ForAnyValue:")
	bare, forAll := strings.CutPrefix(bare, "ForAllValues:")
	bare, ifExists := strings.CutSuffix(bare, "IfExists")
	c.forAny, c.forAll, c.ifExists = forAny, forAll, ifExists
	if bare == "Null" {
		want, err := strconv.ParseBool(string(values[0]))
		if err != nil || len(values) != 1 || ifExists || forAny || forAll {
			return c, fmt.Errorf("Null wants one value, true or false, and stands alone")
		}
		c.null = &want
		return c, nil
	}
	op, ok := operators[bare]
	if !ok {
		return c, fmt.Errorf("unknown condition operator %q (known: Null %s, with ForAnyValue:, ForAllValues: and IfExists)",
			name, strings.Join(slices.Sorted(maps.Keys(operators)), " "))
	}
	c.test, c.negated = op.test, op.negated
	for _, v := range values {
		if op.valid != nil && !strings.Contains(string(v), "${") {
			if err := op.valid(string(v)); err != nil {
				return c, err
			}
		}
		p, err := parsePattern(string(v), variables)
		if err != nil {
			return c, err
		}
		c.values = append(c.values, p)
	}
	return c, nil
}

// holds evaluates the condition as IAM documents it, also for absent keys.
func (c condition) holds(keys conditionKeys) bool {
	have, present := keys[c.key]
	present = present && len(have) > 0
	if c.null != nil {
		return *c.null != present
	}
	if !present {
		// A negated operator is true of a key that is not there.
		return c.ifExists || c.forAll || c.negated && !c.forAny
	}
	fits := func(value string) bool {
		return slices.ContainsFunc(c.values, func(want pattern) bool { return c.test(want, keys, value) })
	}
	switch {
	case c.forAll:
		return !slices.ContainsFunc(have, func(v string) bool { return fits(v) == c.negated })
	case c.forAny:
		return slices.ContainsFunc(have, func(v string) bool { return fits(v) != c.negated })
	}
	return slices.ContainsFunc(have, fits) != c.negated
}

func text(want pattern, keys conditionKeys) (string, bool) {
	r, ok := want.expand(keys, false)
	return string(r), ok
}

func stringEquals(want pattern, keys conditionKeys, have string) bool {
	s, ok := text(want, keys)
	return ok && s == have
}

func stringEqualsFold(want pattern, keys conditionKeys, have string) bool {
	s, ok := text(want, keys)
	return ok && strings.EqualFold(s, have)
}

func stringLike(want pattern, keys conditionKeys, have string) bool { return want.matches(have, keys) }

// arnLike compares the six parts of an ARN one by one, so that a * cannot
// reach over a colon (except in the last part).
func arnLike(want pattern, keys conditionKeys, have string) bool {
	expanded, ok := want.expand(keys, true)
	if !ok {
		return false
	}
	wants, haves := splitARN(expanded), splitARN([]rune(have))
	if len(wants) != len(haves) {
		return false
	}
	for i := range wants {
		if !glob(wants[i], haves[i]) {
			return false
		}
	}
	return true
}

func splitARN(s []rune) (parts [][]rune) {
	for len(parts) < 5 {
		i := slices.Index(s, ':')
		if i < 0 {
			break
		}
		parts = append(parts, s[:i])
		s = s[i+1:]
	}
	return append(parts, s)
}

func numeric(ok func(int) bool) test {
	return func(want pattern, keys conditionKeys, have string) bool {
		s, known := text(want, keys)
		w, err1 := strconv.ParseFloat(s, 64)
		h, err2 := strconv.ParseFloat(have, 64)
		if !known || err1 != nil || err2 != nil {
			return false
		}
		switch {
		case h < w:
			return ok(-1)
		case h > w:
			return ok(1)
		}
		return ok(0)
	}
}

func date(ok func(int) bool) test {
	return func(want pattern, keys conditionKeys, have string) bool {
		s, known := text(want, keys)
		w, err1 := parseDate(s)
		h, err2 := parseDate(have)
		return known && err1 == nil && err2 == nil && ok(h.Compare(w))
	}
}

// parseDate reads ISO 8601 or seconds since 1970, the two forms of IAM.
func parseDate(s string) (time.Time, error) {
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(seconds, 0), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("date %q: want 2006-01-02T15:04:05Z or seconds since 1970", s)
}

func ipAddress(want pattern, keys conditionKeys, have string) bool {
	s, ok := text(want, keys)
	ip, err := netip.ParseAddr(have)
	if !ok || err != nil {
		return false
	}
	network, err := parseRange(s)
	return err == nil && network.Contains(ip.Unmap())
}

func parseRange(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

func validRange(s string) error { _, err := parseRange(s); return err }
func validDate(s string) error  { _, err := parseDate(s); return err }

func validNumber(s string) error {
	if _, err := strconv.ParseFloat(s, 64); err != nil {
		return fmt.Errorf("value %q: want a number", s)
	}
	return nil
}

func validBool(s string) error {
	if s != "true" && s != "false" {
		return fmt.Errorf("value %q: want true or false", s)
	}
	return nil
}

func validARN(s string) error {
	if s != "*" && strings.Count(s, ":") < 5 {
		return fmt.Errorf("value %q: want an ARN", s)
	}
	return nil
}
