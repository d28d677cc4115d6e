package template

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// number is a whole number, which CloudFormation lets be written as text.
type number int

func (n *number) UnmarshalJSON(b []byte) error {
	text := string(b)
	if json.Unmarshal(b, &text) != nil {
		text = string(b)
	}
	v, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%s is not a whole number", b)
	}
	*n = number(v)
	return nil
}

// decimal is a number, which CloudFormation lets be written as text.
type decimal float64

func (d *decimal) UnmarshalJSON(b []byte) error {
	text := string(b)
	if json.Unmarshal(b, &text) != nil {
		text = string(b)
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("%s is not a number", b)
	}
	*d = decimal(v)
	return nil
}

// truth is a truth value, which CloudFormation lets be written as text.
type truth bool

func (t *truth) UnmarshalJSON(b []byte) error {
	text := string(b)
	if json.Unmarshal(b, &text) != nil {
		text = string(b)
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("%s is not true or false", b)
	}
	*t = truth(v)
	return nil
}

// noEffect is the type of properties that are taken and change nothing on one
// machine (encryption at rest, tags, expiry, ...).
type noEffect struct{}

func (*noEffect) UnmarshalJSON([]byte) error { return nil }
