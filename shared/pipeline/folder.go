package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
	"github.com/bedrock-batch/bedrock-batch/shared/prompt"
)

// maxRound is the most objects of one round, so that its listing fits in
// memory; what is left makes the next round.
const maxRound = 100_000

// folderAt is a position in a folder: within which object, and the number of
// rows before it. It travels in the Context of a dataset.Position.
type folderAt struct {
	Object  int    `json:"object"`
	Base    int64  `json:"base"`
	Context []byte `json:"context,omitempty"`
}

// global makes a position of the folder of one within an object.
func (at folderAt) global(local dataset.Position) (dataset.Position, error) {
	at.Context = local.Context
	context, err := json.Marshal(at)
	if err != nil {
		return dataset.Position{}, err
	}
	return dataset.Position{Row: at.Base + max(local.Row, 1), Line: local.Line, Off: local.Off, Context: context}, nil
}

// local takes a folder's position apart.
func local(global dataset.Position) (folderAt, dataset.Position, error) {
	var at folderAt
	if len(global.Context) == 0 {
		return at, dataset.Position{}, nil
	}
	if err := json.Unmarshal(global.Context, &at); err != nil {
		return at, dataset.Position{}, fmt.Errorf("read position in a folder: %w", err)
	}
	return at, dataset.Position{Row: global.Row - at.Base, Line: global.Line, Off: global.Off, Context: at.Context}, nil
}

// folder reads the objects of a listing one after the other as one upload.
func (p *preparing) folder(ctx context.Context, builder *part.Builder) error {
	listing, err := p.readListing(ctx, p.h.Listing)
	if err != nil {
		return err
	}
	at, start, err := local(p.at)
	if err != nil {
		return err
	}
	ahead := readAhead(ctx, p, listing, at.Object)
	defer ahead.stop()
	renderers := map[dataset.Format]*prompt.Renderer{}
	for i := at.Object; i < len(listing); i++ {
		if p.sliceOver() {
			return errSliceOver
		}
		g := listing[i]
		if start.Off > 0 && start.Off >= g.Size {
			at, start = folderAt{Object: i + 1, Base: at.Base + start.Row - 1}, dataset.Position{}
			continue
		}
		at.Object = i
		o := &object{preparing: p, builder: builder, listed: g, n: i, at: at, renderers: renderers}
		body, err := ahead.open(i, start.Off)
		switch {
		case errors.Is(err, batch.ErrNotFound):
			err = o.unusable(start, "gone", "the object was deleted before it could be read")
		case err != nil:
			return fmt.Errorf("read %s: %w", g.Key, err)
		default:
			err = o.read(ctx, body, start)
			body.Close()
		}
		if err != nil {
			return err
		}
		at, start = folderAt{Object: i + 1, Base: o.at.Base + o.rows}, dataset.Position{}
	}
	return nil
}

// object is one object of a folder while it is read.
type object struct {
	*preparing
	builder   *part.Builder
	listed    gathered
	n         int
	at        folderAt
	rows      int64 // rows of this object, all of them
	renderers map[dataset.Format]*prompt.Renderer
}

func (o *object) read(ctx context.Context, body io.Reader, start dataset.Position) error {
	var format dataset.Format
	var head []byte
	if start.Off == 0 {
		head = make([]byte, min(o.listed.Size, dataset.HeadSize))
		n, err := io.ReadFull(body, head)
		if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
			return fmt.Errorf("read %s: %w", o.listed.Key, err)
		}
		head = head[:n]
		body = io.MultiReader(bytes.NewReader(head), body)
		var compression dataset.Compression
		format, compression, err = dataset.Recognise(o.listed.Key, head, o.w.Format)
		if errors.Is(err, dataset.ErrEmpty) {
			return o.unusable(start, dataset.CodeEmptyPrompt, "the object is empty")
		}
		if err != nil {
			return o.unusable(start, "unknown_format", err.Error())
		}
		if compression != dataset.Plain {
			return o.unusable(start, "compressed", "compressed files are not gathered; upload them below a folder whose workload sets gather.quiet to 0s, or uncompressed")
		}
	} else {
		// It was recognised when its first rows were read.
		var err error
		if head, err = o.headOf(ctx, o.listed); err != nil {
			return err
		}
		if format, _, err = dataset.Recognise(o.listed.Key, head, o.w.Format); err != nil {
			return o.unusable(start, "unknown_format", err.Error())
		}
	}
	asked, documents := format, namesDocuments(head, format)
	if documents {
		asked = dataset.Text
	}
	renderer := o.renderers[asked]
	if renderer == nil {
		if how := prompt.Invocation(o.w, asked); how != o.h.Invocation {
			return o.unusable(start, "mixed_invocation", fmt.Sprintf("the folder's records are %s, this object's would be %s; put it into a folder of its own", o.h.Invocation, how))
		}
		var err error
		if renderer, err = prompt.NewRenderer(o.w, asked); err != nil {
			return o.unusable(start, "not_renderable", err.Error())
		}
		o.renderers[asked] = renderer
	}
	if format.Anywhere() {
		body = o.anywhere(ctx, o.listed.Upload)
	}
	rows, err := dataset.New(format, body, start, dataset.Options{IDColumn: o.w.IDColumn})
	if err != nil {
		return o.unusable(start, "unknown_format", err.Error())
	}
	err = o.copy(ctx, rows, renderer, o.builder, place{
		source: o.listed.Key, n: o.n, base: o.at.Base, documents: documents,
		position: o.at.global,
	})
	if errors.Is(err, dataset.ErrHeader) {
		return o.unusable(start, "bad_header", err.Error())
	}
	if dataset.Unusable(err) { // what was read of it before has been taken
		return o.unusable(rows.Position(), "broken_file", err.Error())
	}
	o.rows = max(rows.Position().Row-1, 0)
	return err
}

func (o *object) headOf(ctx context.Context, g gathered) ([]byte, error) {
	return o.head(ctx, g.Upload)
}

// unusable sets a whole object aside as one row.
func (o *object) unusable(start dataset.Position, code, reason string) error {
	at, err := o.at.global(start)
	if err != nil {
		return err
	}
	next, err := folderAt{Object: o.n + 1, Base: o.at.Base + max(start.Row, 1)}.global(dataset.Position{})
	if err != nil {
		return err
	}
	o.rows = max(start.Row, 1)
	row := dataset.Row{Row: at.Row, Line: max(start.Line, 1), Bad: &dataset.Bad{Code: code, Reason: reason}}
	return o.builder.Add(part.Item{
		Aside: dataset.AppendAside(nil, &row, o.listed.Key), At: at, Next: next, Row: at.Row,
	})
}

// aheadBytes is the largest object that is read ahead whole, and aheadObjects
// how many of them at once.
const aheadBytes = 1 << 20

// ahead reads small objects before their turn comes: a folder holds thousands
// of them, each a request away.
type ahead struct {
	p       *preparing
	ctx     context.Context
	cancel  context.CancelFunc
	listing []gathered
	from    int
	queue   chan chan fetched // in the order of the listing
	wg      sync.WaitGroup
}

type fetched struct {
	n    int
	body []byte
	err  error
}

func readAhead(ctx context.Context, p *preparing, listing []gathered, from int) *ahead {
	a := &ahead{p: p, listing: listing, from: from}
	a.ctx, a.cancel = context.WithCancel(ctx)
	workers := p.settings.Parallel
	if workers <= 1 {
		return a
	}
	a.queue = make(chan chan fetched, workers)
	a.wg.Go(func() {
		defer close(a.queue)
		for i := from; i < len(listing); i++ {
			if listing[i].Size > aheadBytes {
				continue
			}
			one := make(chan fetched, 1)
			select {
			case a.queue <- one:
			case <-a.ctx.Done():
				return
			}
			a.wg.Go(func() {
				body, err := a.whole(listing[i])
				one <- fetched{i, body, err}
			})
		}
	})
	return a
}

func (a *ahead) whole(g gathered) ([]byte, error) {
	body, err := a.p.input.Open(a.ctx, g.Key, version(g.Upload), 0, batch.Whole)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

// open is the object's bytes from off on.
func (a *ahead) open(i int, off int64) (io.ReadCloser, error) {
	g := a.listing[i]
	if a.queue == nil || g.Size > aheadBytes {
		return a.p.input.Open(a.ctx, g.Key, version(g.Upload), off, batch.Whole)
	}
	for one := range a.queue {
		f := <-one
		if f.n < i {
			continue
		}
		if f.err != nil {
			return nil, f.err
		}
		return io.NopCloser(bytes.NewReader(f.body[min(off, int64(len(f.body))):])), nil
	}
	return nil, a.ctx.Err()
}

func (a *ahead) stop() {
	a.cancel()
	if a.queue != nil {
		for range a.queue {
		}
	}
	a.wg.Wait()
}
