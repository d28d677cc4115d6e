package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
	"github.com/bedrock-batch/bedrock-batch/shared/prompt"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// maxRows is the highest row number that a recordId of ten digits can tell.
const maxRows = 9_999_999_999

// unpacked is how many times its packed limit a compressed upload may have once
// unpacked: text packs to a tenth, a bomb to a thousandth.
const unpacked = 20

// lookEvery is after how many rows prepare looks at the time.
const lookEvery = 1024

// prepare reads the upload from its checkpoint on and writes parts, a
// checkpoint at each part's end. It ends with errSliceOver if the rest is for
// a later slice.
func (r *submitRun) prepare(ctx context.Context, h *hold) error {
	w, err := r.settingsOf(ctx, h.ID)
	if err != nil {
		return err
	}
	p := &preparing{submitRun: r, h: h, w: w, quota: r.quota(w, h.QuotaKey), counts: h.Rows}
	if h.Checkpoint == nil {
		// What an invocation that died left behind is written again.
		p.counts, p.parts = Rows{}, nil
		if err := p.forget(ctx); err != nil {
			return err
		}
	} else {
		p.at, p.first = h.Checkpoint.Position, h.Checkpoint.Part
	}
	if p.memory, err = r.recall(ctx, h, w); err != nil {
		return err
	}
	err = p.read(ctx)
	if errors.Is(err, batch.ErrNotFound) {
		return h.reject(ctx, "the file was deleted while it was being read")
	}
	var refused refusal
	if errors.As(err, &refused) {
		return h.reject(ctx, "%s", refused)
	}
	if err != nil {
		return err
	}
	return p.finish(ctx)
}

// forget takes the parts of an earlier reading out of the submission before
// their objects are written again, where that may make others of them: more may
// be known by now than was then.
func (p *preparing) forget(ctx context.Context) error {
	if !p.w.PaysOnlyNew() || len(p.h.Parts) == 0 {
		return nil
	}
	return p.h.change(ctx, func(s *Submission) error {
		s.Parts = s.Parts[:0]
		return nil
	})
}

// refusal is a reason to reject an upload that shows while it is read.
type refusal string

func (e refusal) Error() string { return string(e) }

// quota is what bounds the submission's parts: the workload's quotas tighten
// the deployment's.
func (r *run) quota(w workload.Workload, quotaKey string) part.Quota {
	q := r.settings.QuotasFor(quotaKey)
	out := part.Quota{MinRecords: q.MinRecords, MaxRecords: q.MaxRecords, MaxBytes: q.MaxFileBytes}
	if w.Quotas != nil {
		if v := w.Quotas.MinRecords; v != nil {
			out.MinRecords = max(out.MinRecords, *v)
		}
		if v := w.Quotas.MaxRecords; v != nil {
			out.MaxRecords = min(out.MaxRecords, *v)
		}
		if v := w.Quotas.MaxFileBytes; v != nil {
			out.MaxBytes = min(out.MaxBytes, *v)
		}
	}
	return out
}

// preparing is one slice of reading an upload.
type preparing struct {
	*submitRun
	h      *hold
	w      workload.Workload
	quota  part.Quota
	at     dataset.Position
	first  int
	counts Rows
	// parts are those of an upload that cannot be read from the middle: they
	// are stored all at once.
	parts []Part
	// rows are the rows of such an upload, written down so that they can be
	// found again.
	rows    batch.Writer
	rowsEnd int64
	// asked is the longest answer that a row asks for by itself.
	asked int64
	// others render named documents that are no text.
	others map[dataset.Format]*prompt.Renderer
	// memory is set where rows that are known are not paid again.
	memory *memory
}

// whole reports whether the upload must be read in one go.
func (p *preparing) whole() bool { return p.h.Compression != dataset.Plain }

func (p *preparing) read(ctx context.Context) error {
	sink := &sink{ctx: ctx, bucket: p.output, id: p.h.ID, attempt: 1, closed: p.closed}
	defer sink.abort()
	err := p.into(ctx, sink)
	// Where the rest fails or is for a later slice, the part before is whole.
	if serr := sink.settle(); err == nil {
		err = serr
	}
	return err
}

// into reads the upload into the sink.
func (p *preparing) into(ctx context.Context, sink *sink) error {
	asked := p.h.Format
	if p.h.Documents {
		asked = dataset.Text
	}
	renderer, err := prompt.NewRenderer(p.w, asked)
	if err != nil && p.h.Kind != "folder" { // whose objects have their own
		return refusal(err.Error())
	}
	builder, err := part.NewBuilder(p.quota, sink, part.Options{First: p.first, TempDir: p.tempDir})
	if err != nil {
		return err
	}
	defer builder.Close()
	if p.h.Kind == "folder" {
		if err := p.folder(ctx, builder); err != nil {
			return err
		}
		return builder.End()
	}
	source := p.anywhere(ctx, p.h.Upload)
	if !p.h.Format.Anywhere() {
		body, err := p.openRows(ctx, p.h.Submission, p.at.Off, batch.Whole)
		if err != nil {
			return fmt.Errorf("read upload %s: %w", p.h.Label(), err)
		}
		defer body.Close()
		source = body
	}
	if p.whole() {
		packed, err := dataset.Decompress(source, p.h.Compression, unpacked*p.settings.MaxCompressedBytes)
		if errors.Is(err, dataset.ErrCorrupt) || errors.Is(err, dataset.ErrTooLarge) {
			return refusal(err.Error())
		}
		if err != nil {
			return fmt.Errorf("read upload %s: %w", p.h.Label(), err)
		}
		defer packed.Close()
		source = packed
		if p.rows, err = p.output.Create(ctx, sourceKey(p.h.ID, 0)); err != nil {
			return fmt.Errorf("stage rows: %w", err)
		}
		defer p.rows.Abort()
	}
	if err := p.rowsOf(ctx, source, renderer, builder); err != nil {
		return err
	}
	if err := builder.End(); err != nil {
		return err
	}
	if p.rows != nil {
		if _, err := p.rows.Commit(); err != nil {
			return fmt.Errorf("stage rows: %w", err)
		}
	}
	return nil
}

// rowsOf turns the rows of an upload that is one object into items of the
// builder.
func (p *preparing) rowsOf(ctx context.Context, source io.Reader, renderer *prompt.Renderer, builder *part.Builder) error {
	opt := dataset.Options{IDColumn: p.w.IDColumn}
	from := place{n: part.NoSource, documents: p.h.Documents}
	if batches, ok := dataset.NewBatches(p.h.Format, source, p.at, opt); ok && !from.documents {
		return p.stream(ctx, batches, p.h.Format, builder, from)
	}
	rows, err := dataset.New(p.h.Format, source, p.at, opt)
	if err != nil {
		return refusal(err.Error())
	}
	columns, err := dataset.Columns(rows)
	if columns != nil && err == nil { // rows of other formats have none in common
		err = renderer.CheckColumns(columns)
	} else if err == io.EOF {
		err = nil // it holds no rows, and is told so when they are counted
	} else if err != nil && !dataset.Unusable(err) {
		return fmt.Errorf("read upload %s: %w", p.h.Label(), err)
	}
	if err != nil {
		return refusal(err.Error())
	}
	return p.copy(ctx, rows, renderer, builder, from)
}

// place is where in a submission an object's rows stand: its key and number in
// the listing, the number of rows before it, and how its positions are told.
// Of an upload that is one object only n is set, to part.NoSource.
type place struct {
	source string
	n      int
	base   int64
	// documents: its rows name documents that failed in an earlier run.
	documents bool
	position  func(dataset.Position) (dataset.Position, error)
}

func (at place) tell(local dataset.Position) (dataset.Position, error) {
	if at.position == nil {
		return local, nil
	}
	return at.position(local)
}

// copy turns rows into items of the builder until the object ends.
func (p *preparing) copy(ctx context.Context, rows dataset.Reader, renderer *prompt.Renderer, builder *part.Builder, from place) error {
	if p.memory != nil {
		return p.copyNew(ctx, rows, renderer, builder, from)
	}
	var record, aside, line []byte
	at, err := from.tell(rows.Position())
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if n%lookEvery == 0 && p.sliceOver() {
			return errSliceOver
		}
		row, err := rows.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return p.readError(err, from)
		}
		if row.Row += from.base; row.Row > maxRows {
			return tooManyRows
		}
		next, err := from.tell(rows.Position())
		if err != nil {
			return err
		}
		entry := part.Entry{Row: row.Row, Off: row.Off, Len: row.End - row.Off, Source: from.n, ID: row.ID}
		item := part.Item{At: at, Next: next, Row: row.Row}
		at = item.Next
		bad := row.Bad
		if bad == nil {
			if record, bad, err = p.record(ctx, record[:0], row, renderer, from); err != nil {
				return err
			}
		}
		if bad != nil {
			row.Bad = bad
			aside = dataset.AppendAside(aside[:0], row, from.source)
			item.Aside = aside
		} else {
			item.Record = record
			if p.rows != nil {
				if err := p.keep(&entry, row.Raw); err != nil {
					return err
				}
			}
			line = part.AppendEntry(line[:0], entry)
			item.Line = line
		}
		if err := builder.Add(item); err != nil {
			return err
		}
	}
}

// record appends a row's record with its line end, or says why it has none.
func (p *preparing) record(ctx context.Context, dst []byte, row *dataset.Row, renderer *prompt.Renderer, from place) (_ []byte, bad *dataset.Bad, err error) {
	start := len(dst)
	if from.documents {
		if dst, bad, err = p.appendDocument(ctx, appendRecordID(dst, row.Row), row, renderer); err != nil {
			return dst, nil, err
		}
		dst = append(dst, '}', '\n')
	} else {
		dst, bad = appendRecord(dst, row, renderer)
		p.asked = max(p.asked, renderer.MaxTokens())
	}
	if bad == nil && len(dst)-start > dataset.MaxRow+recordFrame {
		bad = tooLongRecord
	}
	return dst, bad, nil
}

// keep writes a row down where it can be found again at an offset.
func (p *preparing) keep(entry *part.Entry, raw []byte) error {
	entry.Off, entry.Len = p.rowsEnd, int64(len(raw))
	if _, err := p.rows.Write(raw); err != nil {
		return fmt.Errorf("stage rows: %w", err)
	}
	if _, err := p.rows.Write([]byte{'\n'}); err != nil {
		return fmt.Errorf("stage rows: %w", err)
	}
	p.rowsEnd += int64(len(raw)) + 1
	return nil
}

// appendRecordID begins a record's line: our own id, so that order and join
// are arithmetic.
func appendRecordID(dst []byte, row int64) []byte {
	dst = append(dst, `{"recordId":"r`...)
	for unit := int64(maxRows) / 10; unit > 0 && row <= unit; unit /= 10 {
		dst = append(dst, '0')
	}
	dst = strconv.AppendInt(dst, row, 10)
	return append(dst, `","modelInput":`...)
}

// recordFrame is what stands around the modelInput of a record.
const recordFrame = len(`{"recordId":"r0000000000","modelInput":}` + "\n")

func recordID(row int64) string { return fmt.Sprintf("r%010d", row) }

// closed stores a part and the position after it.
func (p *preparing) closed(ctx context.Context, b part.Part) error {
	fresh := Part{
		N: b.N, Attempt: 1, Records: b.Records, Bytes: b.Bytes, Aside: b.Aside,
		FirstRow: b.FirstRow, LastRow: b.LastRow, Source: Span(b.Source), How: ByJob, Status: PartStaged,
	}
	if b.Small || b.Records == 0 {
		fresh.How = OnDemand
	}
	if b.Known > 0 {
		fresh.Known = p.memory.counts(b)
	}
	p.counts.Total += int64(b.Records + b.Aside + b.Known)
	p.counts.SetAside += int64(b.Aside)
	p.counts.Known += int64(b.Known)
	if err := p.guard(b.N + 1); err != nil {
		return err
	}
	if p.whole() {
		p.parts = append(p.parts, fresh)
		return nil
	}
	checkpoint := &Checkpoint{Position: b.Resume, Part: b.N + 1}
	err := p.h.progress(ctx, func(s *Submission) error {
		if b.N == 0 {
			s.Parts = s.Parts[:0]
		}
		s.Parts = append(s.Parts[:min(len(s.Parts), b.N)], fresh)
		s.Checkpoint, s.Rows = checkpoint, p.counts
		p.memory.tell(s)
		s.MaxTokens = max(s.MaxTokens, p.asked)
		return nil
	})
	if err != nil {
		return err
	}
	p.note(ctx, "part staged", p.h.ID, "part", b.N, "records", b.Records, "bytes", b.Bytes)
	if err := p.report(ctx, p.h.Submission); err != nil {
		return err
	}
	if p.sliceOver() {
		return errSliceOver
	}
	return nil
}

// guard refuses an upload that grows beyond what the deployment or the
// workload allows.
func (p *preparing) guard(parts int) error {
	if parts > p.settings.MaxParts {
		return refusal(fmt.Sprintf("the file makes more than %d parts of at most %d records or %d bytes; split it into several files", p.settings.MaxParts, p.quota.MaxRecords, p.quota.MaxBytes))
	}
	var own int64
	if p.w.Limits != nil && p.w.Limits.MaxRecords != nil {
		own = *p.w.Limits.MaxRecords
	}
	if limit := lower(own, p.settings.Caps.MaxRecords); limit > 0 && p.counts.Total-p.counts.SetAside > limit {
		return refusal(fmt.Sprintf("the file has more than %d rows, the limit of its workload or deployment", limit))
	}
	return nil
}

// finish makes the prepared parts wait for their work, or decides the end of
// an upload that nothing can be run of.
func (p *preparing) finish(ctx context.Context) error {
	h := p.h
	if err := h.change(ctx, func(s *Submission) error {
		if p.whole() {
			s.Parts, s.Rows = append([]Part{}, p.parts...), p.counts
			p.memory.tell(s)
		}
		s.MaxTokens = max(s.MaxTokens, p.asked)
		s.Checkpoint = nil
		return nil
	}); err != nil {
		return err
	}
	records := p.counts.Total - p.counts.SetAside
	switch {
	case p.counts.Total == 0:
		return h.reject(ctx, "the file holds no rows")
	case records == 0:
		return h.reject(ctx, "none of the %d rows can be used; set-aside.jsonl says why for each", p.counts.Total)
	case p.w.Small == workload.Reject && records < int64(p.quota.MinRecords) && p.counts.Known == 0:
		return h.reject(ctx, "%d rows are fewer than the %d that a batch job takes, and the workload says small: reject", records, p.quota.MinRecords)
	}
	estimate, err := p.estimate(p.w, h.Submission)
	if err != nil {
		return err
	}
	if why := p.tooDear(p.w, estimate); why != "" {
		return h.reject(ctx, "%s", why)
	}
	// The marker first: a submission that waits without one waits for ever.
	if h.any(func(q *Part) bool { return q.How == ByJob }) {
		if err := p.markWaiting(ctx, h.Submission); err != nil {
			return err
		}
	}
	now := p.clock.Now().UTC()
	if err := h.progress(ctx, func(s *Submission) error {
		s.Prepared, s.WaitSince = true, &now
		for i := range s.Parts {
			q := &s.Parts[i]
			q.rise(PartWaiting)
			if q.Records == 0 || q.How == OnDemand && p.w.Small == workload.Reject {
				q.rise(PartEnded)
				q.EndedAt = &now
				if q.Records > 0 {
					q.Message = "too few rows for a batch job, and the workload says small: reject"
				}
			}
		}
		return nil
	}); err != nil {
		return err
	}
	p.note(ctx, "upload prepared", h.ID, "rows", h.Rows.Total, "setAside", h.Rows.SetAside, "known", h.Rows.Known, "parts", len(h.Parts))
	return p.report(ctx, h.Submission)
}

// sink writes the streams of parts as objects. A part is committed while the
// next one is being filled: its last bytes are on their way meanwhile.
type sink struct {
	ctx     context.Context
	bucket  batch.Files
	id      string
	attempt int
	closed  func(context.Context, part.Part) error
	writers []batch.Writer
	whole   *wholePart // not committed yet
}

type wholePart struct {
	part.Part
	writers []batch.Writer
}

func (s *sink) Open(n int, stream part.Stream) (io.Writer, error) {
	var key string
	switch stream {
	case part.Records:
		key = inputKey(s.id, n, s.attempt)
	case part.Index:
		key = indexKey(s.id, n, s.attempt)
	case part.Aside:
		key = asideKey(s.id, n)
	case part.Known:
		key = answersKey(s.id, n, knownAttempt, "results.jsonl")
	case part.KnownIndex:
		key = indexKey(s.id, n, knownAttempt)
	default:
		return nil, fmt.Errorf("part %d has an unknown stream %v", n, stream)
	}
	w, err := s.bucket.Create(s.ctx, key)
	if err != nil {
		return nil, fmt.Errorf("stage part %d: %w", n, err)
	}
	s.writers = append(s.writers, w)
	return w, nil
}

func (s *sink) Closed(p part.Part) error {
	for _, w := range s.writers {
		w.Finish()
	}
	before := s.whole
	s.whole, s.writers = &wholePart{p, s.writers}, nil
	err := s.commit(before)
	switch {
	case errors.Is(err, errSliceOver): // this part is whole as well
		if serr := s.settle(); serr != nil {
			return serr
		}
	case err != nil: // no part may stand behind one that is missing
		abortAll(s.whole.writers)
		s.whole = nil
	}
	return err
}

// settle commits the last part that was closed.
func (s *sink) settle() error {
	p := s.whole
	s.whole = nil
	return s.commit(p)
}

func (s *sink) commit(p *wholePart) error {
	if p == nil {
		return nil
	}
	defer abortAll(p.writers) // of those that were not reached
	for _, w := range p.writers {
		if _, err := w.Commit(); err != nil {
			return fmt.Errorf("stage part %d: %w", p.N, err)
		}
	}
	return s.closed(s.ctx, p.Part)
}

func (s *sink) abort() {
	abortAll(s.writers)
	if s.whole != nil {
		abortAll(s.whole.writers)
	}
}

func abortAll(writers []batch.Writer) {
	for _, w := range writers {
		w.Abort()
	}
}
