package answer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/bedrock-batch/bedrock-batch/shared/part"
)

// readIndex learns the rows of the part.
func (o *ordering) readIndex(ctx context.Context) error {
	err := o.entries(ctx, true, func(e part.Entry) error {
		if n := len(o.rows); n > 0 && e.Row <= o.rows[n-1] {
			return fmt.Errorf("read index: row %d stands behind row %d", e.Row, o.rows[n-1])
		}
		o.rows = append(o.rows, e.Row)
		return nil
	})
	n := len(o.rows)
	o.state = make([]outcome, n)
	o.line = make([]int64, n)
	o.lengths = make([]int32, n)
	o.at = make([]address, n)
	return err
}

// errEnough ends a walk over the index.
var errEnough = errors.New("enough")

// entries calls visit with each entry of the index. keep keeps an index that
// is not too large for the next time.
func (o *ordering) entries(ctx context.Context, keep bool, visit func(part.Entry) error) error {
	err := o.stream(ctx, keep, visit)
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (o *ordering) stream(ctx context.Context, keep bool, visit func(part.Entry) error) error {
	if o.index != nil {
		return walk(ctx, bytes.NewReader(o.index), visit)
	}
	r, err := o.job.Index(ctx)
	if err != nil {
		return fmt.Errorf("open index: %w", err)
	}
	var head []byte
	if keep {
		if head, err = io.ReadAll(io.LimitReader(r, sizes.index)); err == nil && int64(len(head)) < sizes.index {
			o.index = head
		}
	}
	if err == nil {
		err = walk(ctx, io.MultiReader(bytes.NewReader(head), r), visit)
	} else {
		err = fmt.Errorf("read index: %w", err)
	}
	// A stream left half way may complain about it.
	if cerr := r.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("close index: %w", cerr)
	}
	return err
}

// walk calls visit with each entry that r has, until it has had enough.
func walk(ctx context.Context, r io.Reader, visit func(part.Entry) error) error {
	entries := part.NewIndexReader(r)
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read index: %w", err)
		}
		if err := visit(e); err != nil {
			return err
		}
	}
}

// position finds a row in the index. Rows are numbered without gaps but for
// those set aside. Where these lie evenly, the row's share of the way from the
// first to the last is its place, or nearly.
func (o *ordering) position(row int64) (int, bool) {
	last := len(o.rows) - 1
	if last < 0 || row < o.rows[0] || row > o.rows[last] {
		return 0, false
	}
	at := last
	if way := o.rows[last] - o.rows[0]; way > 0 {
		at = int(float64(row-o.rows[0]) / float64(way) * float64(last))
	}
	for range nearly {
		switch found := o.rows[at]; {
		case found == row:
			return at, true
		case found < row:
			at++ // not beyond the last, which is no less
		default:
			at--
		}
	}
	return slices.BinarySearch(o.rows, row)
}

// nearly is how many places are looked at before all are searched.
const nearly = 8
