package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
)

// Family is a shape of native answers.
type Family string

// Shape is one way to read an answer. Each family's file registers one.
type Shape struct {
	// Family is its name, as a workload's family key gives it.
	Family Family
	// Models says whose answers these are, for the documentation.
	Models string
	// Owns reports whether the base model's native answers have this shape.
	Owns func(provider, base string) bool
	// Member reads the value of one member of modelOutput, or reports false
	// and leaves the cursor where it is.
	Member func(a *Answer, name []byte, c *cursor.Cursor) bool
	// Finish says what is wrong with a body that was read whole, if anything.
	Finish func(a *Answer) string
	// Embed appends the body that asks for the embedding of texts; nil for
	// families that answer in text. An error is told to whoever set up or
	// wrote the row.
	Embed func(dst []byte, base string, q *EmbedQuery) ([]byte, error)
}

// shapes are all that is known, by the files of this package.
var shapes = map[Family]*Shape{}

// Register adds a family. It is called while package variables are set up, so
// that a new family is one new file; a name that is taken is replaced.
func Register(s Shape) Family {
	shapes[s.Family] = &s
	return s.Family
}

// Families lists the known families in order of their names.
func Families() []Family {
	all := make([]Family, 0, len(shapes))
	for f := range shapes {
		if f != converse {
			all = append(all, f)
		}
	}
	slices.Sort(all)
	return all
}

// Models says whose answers are read as a family's, for the documentation.
func Models(f Family) string {
	if s, ok := shapes[f]; ok {
		return s.Models
	}
	return ""
}

// familyOf finds the family of a base model, the first by name of those that
// own it; empty if there is none.
func familyOf(provider, base string) Family {
	for _, f := range Families() {
		if s := shapes[f]; s.Owns != nil && s.Owns(provider, base) {
			return f
		}
	}
	return ""
}

// Reader reads answers of one shape. It is safe for use by several goroutines;
// the zero value is not usable.
type Reader struct{ shape *Shape }

// NewReader chooses the reader of a record's answer. With Converse the family
// does not matter. A family that is not known is [batch.ErrInvalid].
func NewReader(how batch.Invocation, f Family) (Reader, error) {
	if how == batch.Converse {
		return Reader{shapes[converse]}, nil
	}
	if s, ok := shapes[f]; ok && f != converse {
		return Reader{s}, nil
	}
	names := make([]string, 0, len(shapes))
	for _, n := range Families() {
		names = append(names, string(n))
	}
	if f == "" {
		return Reader{}, fmt.Errorf("the model's id does not tell its family; set family to one of %s, or use converse: %w", strings.Join(names, ", "), batch.ErrInvalid)
	}
	return Reader{}, fmt.Errorf("family %q is not known; known are %s: %w", f, strings.Join(names, ", "), batch.ErrInvalid)
}

// Read reads one answer's whole body. The answer keeps references into
// modelOutput. See [Reader.ReadFrom] for what is an error.
func (r Reader) Read(a *Answer, modelOutput []byte) error {
	var c cursor.Cursor
	c.Reset(modelOutput)
	err := r.ReadFrom(a, &c)
	c.End()
	if c.Err() != nil {
		return fmt.Errorf("modelOutput is not JSON: %w", c.Err())
	}
	return err
}

// ReadFrom reads the answer that stands at the cursor and leaves the cursor
// behind it, whatever the answer looks like. Broken JSON is the cursor's error.
// An error is returned, a [ShapeError], if the body is not in the shape of the
// family. A body that reports a failure of its own is no error:
// [Answer.Failure] is set.
func (r Reader) ReadFrom(a *Answer, c *cursor.Cursor) error {
	a.Reset()
	if !c.EnterObject() {
		return ShapeError("modelOutput is no object")
	}
	for name, ok := c.Member(); ok; name, ok = c.Member() {
		if !r.shape.Member(a, name, c) && !a.failureMember(name, c) {
			c.Skip()
		}
	}
	if c.Err() != nil || a.Failed {
		return nil
	}
	if wrong := r.shape.Finish(a); wrong != "" {
		if a.Failure.Message != "" {
			a.Failed = true
			return nil
		}
		return ShapeError(fmt.Sprintf("modelOutput is not in the shape of the %s family: %s", r.shape.Family, wrong))
	}
	return nil
}

// ShapeError says what a body lacks.
type ShapeError string

func (e ShapeError) Error() string { return string(e) }
