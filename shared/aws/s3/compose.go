package s3

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/bedrock-batch/bedrock-batch/shared/aws/fault"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// span is a range of bytes of a piece.
type span struct {
	piece    *batch.Object
	off, end int64
}

func (s span) len() int64 { return s.end - s.off }

// section is one part of a composed object: a single span that the service
// copies, or spans whose bytes are streamed together through here.
type section struct {
	spans []span
	copy  bool
}

func (s section) len() (n int64) {
	for _, span := range s.spans {
		n += span.len()
	}
	return n
}

// plan divides the pieces into sections: what is large is copied, small
// neighbours are streamed together, and a small rest before a large piece
// takes as much of that piece as makes it a legal part. All sections but the
// last hold at least minPart, none more than maxPart.
func plan(pieces []batch.Object, part int64) []section {
	var (
		sections []section
		small    section // under way
		held     int64   // its length
	)
	flush := func() {
		if held > 0 {
			sections = append(sections, small)
		}
		small, held = section{}, 0
	}
	for i := range pieces {
		rest := span{piece: &pieces[i], end: pieces[i].Size}
		for rest.len() > 0 {
			if held == 0 && rest.len() >= minPart {
				// Halves of what exceeds maxPart are far above minPart.
				n := rest.len()
				if n > maxPart {
					n = min(maxPart, n/2)
				}
				sections = append(sections, section{spans: []span{{rest.piece, rest.off, rest.off + n}}, copy: true})
				rest.off += n
				continue
			}
			room := part - held
			if rest.len() >= minPart {
				if held >= minPart {
					flush()
					continue
				}
				room = minPart - held // the remainder is better copied
			}
			n := min(rest.len(), room)
			small.spans = append(small.spans, span{rest.piece, rest.off, rest.off + n})
			held += n
			rest.off += n
			if held == part {
				flush()
			}
		}
	}
	flush()
	return sections
}

// Compose implements batch.Files. Pieces are taken at their Version and, where
// they have one, with their ETag: one that was overwritten since is
// batch.ErrPrecondition.
func (b *Bucket) Compose(ctx context.Context, key string, pieces []batch.Object) error {
	sections := plan(pieces, b.set.PartBytes)
	if len(sections) == 0 {
		_, err := b.put(ctx, key, nil)
		return err
	}
	if len(sections) > maxParts {
		return fmt.Errorf("compose %s: %d pieces make %d parts, over %d: %w", b.uri(key), len(pieces), len(sections), maxParts, batch.ErrInvalid)
	}
	if len(sections) == 1 && !sections[0].copy {
		buf := b.buffer()
		defer b.free(buf)
		data := (*buf)[:sections[0].len()]
		if err := b.gather(ctx, sections[0], data); err != nil {
			return fmt.Errorf("compose %s: %w", b.uri(key), err)
		}
		_, err := b.put(ctx, key, data)
		return err
	}
	up, err := b.begin(ctx, key, false)
	if err != nil {
		return err
	}
	var size int64
	for _, s := range sections {
		size += s.len()
		if err = up.add(func(ctx context.Context, number int32) (types.CompletedPart, error) {
			return up.section(ctx, number, s)
		}, func() {}); err != nil {
			break
		}
	}
	if err == nil {
		_, err = up.complete(size)
	}
	if err != nil {
		up.abort()
		return err
	}
	return nil
}

// section makes one part of a section.
func (u *upload) section(ctx context.Context, number int32, s section) (types.CompletedPart, error) {
	b := u.bucket
	if !s.copy {
		buf := b.buffer()
		defer b.free(buf)
		data := (*buf)[:s.len()]
		if err := b.gather(ctx, s, data); err != nil {
			return types.CompletedPart{}, fmt.Errorf("compose %s: %w", b.uri(u.key), err)
		}
		return u.send(ctx, number, data, nil)
	}
	from := s.spans[0]
	in := &s3.UploadPartCopyInput{
		Bucket: &b.name, Key: &u.key, UploadId: &u.id, PartNumber: &number,
		CopySource:        aws.String(copySource(b.name, from.piece.Key, from.piece.Version)),
		CopySourceIfMatch: quote(from.piece.ETag),
	}
	if from.len() != from.piece.Size {
		in.CopySourceRange = aws.String("bytes=" + strconv.FormatInt(from.off, 10) + "-" + strconv.FormatInt(from.end-1, 10))
	}
	out, err := b.api.UploadPartCopy(ctx, in)
	if err != nil {
		return types.CompletedPart{}, u.fault(ctx, err, "copy %s into %s", b.versioned(from.piece.Key, from.piece.Version), b.uri(u.key))
	}
	part := types.CompletedPart{PartNumber: &number}
	if out.CopyPartResult != nil {
		part.ETag = out.CopyPartResult.ETag
	}
	return part, nil
}

// gather reads the spans of a section into data, which is exactly as long.
func (b *Bucket) gather(ctx context.Context, s section, data []byte) error {
	for _, from := range s.spans {
		src := &source{
			bucket: b, key: from.piece.Key, version: from.piece.Version, etag: from.piece.ETag,
			name: b.versioned(from.piece.Key, from.piece.Version),
		}
		body := &ranged{ctx: ctx, src: src, off: from.off, end: from.end}
		_, err := io.ReadFull(body, data[:from.len()])
		body.close()
		if err != nil {
			if fault.Code(err) == "Overwritten" {
				return fmt.Errorf("piece %s: %w", src.name, &batch.ServiceError{
					Class: batch.ErrPrecondition, Code: "PreconditionFailed", Message: "the piece was overwritten", Status: 412,
				})
			}
			return err
		}
		data = data[from.len():]
	}
	return nil
}
