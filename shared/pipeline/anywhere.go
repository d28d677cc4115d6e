package pipeline

import (
	"context"
	"fmt"
	"io"
)

// anywhere is an upload that is read in pieces from any place of it, for
// formats whose files are not read from front to back. Each piece is a request.
func (r *run) anywhere(ctx context.Context, u Upload) io.Reader {
	return io.NewSectionReader(&pieces{run: r, ctx: ctx, upload: u}, 0, u.Size)
}

type pieces struct {
	*run
	ctx    context.Context
	upload Upload
}

// ReadAt reads a piece whole.
func (p *pieces) ReadAt(b []byte, off int64) (int, error) {
	body, err := p.input.Open(p.ctx, p.upload.Key, version(p.upload), off, off+int64(len(b)))
	if err != nil {
		return 0, fmt.Errorf("read upload %s: %w", p.upload.Key, err)
	}
	defer body.Close()
	n, err := io.ReadFull(body, b)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF // the object is shorter than it was
	}
	return n, err
}
