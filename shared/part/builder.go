package part

import "errors"

// Builder cuts rows into parts. It is used by one goroutine.
type Builder struct{}

// NewBuilder makes a builder that writes into sink. Close it always.
func NewBuilder(q Quota, sink Sink, opt Options) (*Builder, error) {
	return nil, errors.New("not written")
}

// Add takes the next row. Errors are those of the sink and of temporary
// files; after one the builder is of no more use.
func (b *Builder) Add(item Item) error { return nil }

// End says that no row follows, and completes the last parts.
func (b *Builder) End() error { return nil }

// Close removes temporary files. It completes nothing and may be called
// twice, and before End.
func (b *Builder) Close() error { return nil }
