package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
	"github.com/bedrock-batch/bedrock-batch/shared/prompt"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

const (
	// recalledParts and recalledRows are how many parts' answers are looked at,
	// the youngest first, and how many rows of them: 32 bytes of memory each.
	recalledParts = 1000
	recalledRows  = 4_000_000
	// Answers that stand closer together than nearby are read at once, up to
	// runBytes. groupBytes bounds what is held of them.
	nearby     = 64 << 10
	runBytes   = 1 << 20
	groupBytes = 8 << 20
	// Few answers are wanted at a time where rows are large or come one by
	// one; the next ones are then likely to stand behind them.
	few      = 8
	aheadRun = 256 << 10
)

// Recall says how much was remembered when an upload was prepared.
type Recall struct {
	// Parts are those whose answers were looked at, Answers how many those
	// are.
	Parts   int   `json:"parts"`
	Answers int64 `json:"answers"`
	// More: there were more, older ones, which were not looked at.
	More bool `json:"more,omitempty"`
}

// memory are the answers that earlier submissions paid for under the same
// settings. It is used by one goroutine.
type memory struct {
	*submitRun
	submission string
	sources    []knownPart
	lost       []bool // of a source: it cannot be read
	places     []memo // by content, of equal ones the youngest first
	recall     Recall

	wanted []wantedAnswer
	runs   []answerRun
	last   answerRun // read before
	result answer.Result
	// odd are rows among those that have not been taken into a complete part
	// whose answer is not what was hoped for.
	odd []oddAnswer
}

// memo is where the answer to a content stands: offset and length as in an
// entry, in which source.
type memo struct {
	content
	place  uint64
	source uint32
}

func (m memo) off() int64  { return int64(m.place >> 24) }
func (m memo) size() int64 { return int64(m.place & longestKnown) }

type wantedAnswer struct {
	row int // in the batch
	run int // that holds it
	memo
}

// answerRun is a stretch of a source that holds wanted answers.
type answerRun struct {
	source   uint32
	off, end int64
	data     []byte // nil: it cannot be read
}

type oddAnswer struct {
	row  int64
	stop model.StopReason
}

// recall reads what is remembered; nil where the workload does not want it.
func (r *submitRun) recall(ctx context.Context, h *hold, w workload.Workload) (*memory, error) {
	if !w.PaysOnlyNew() {
		return nil, nil
	}
	prefix, err := knownPrefix(h.Submission, w)
	if err != nil {
		return nil, err
	}
	m := &memory{submitRun: r, submission: h.ID}
	if err := m.list(ctx, prefix); err != nil {
		return nil, err
	}
	m.lost = make([]bool, len(m.sources))
	m.places = make([]memo, m.recall.Answers)
	firsts := make([]int64, len(m.sources))
	for i, rows := 0, int64(0); i < len(m.sources); i++ {
		firsts[i] = rows
		rows += m.sources[i].rows
	}
	err = each(ctx, len(m.sources), r.settings.Parallel, func(ctx context.Context, i int) error {
		return m.load(ctx, i, m.places[firsts[i]:firsts[i]+m.sources[i].rows])
	})
	if err != nil {
		return nil, err
	}
	for i, lost := range m.lost {
		if lost {
			m.recall.Parts--
			m.recall.Answers -= m.sources[i].rows
		}
	}
	slices.SortFunc(m.places, func(a, b memo) int { return cmp.Or(a.compare(b.content), cmp.Compare(a.source, b.source)) })
	r.note(ctx, "answers recalled", h.ID, "parts", m.recall.Parts, "answers", m.recall.Answers, "more", m.recall.More)
	return m, nil
}

// list finds the parts whose answers are looked at.
func (m *memory) list(ctx context.Context, prefix string) error {
	for object, err := range m.answers.List(ctx, prefix, "") {
		if batch.Passing(err) || ctx.Err() != nil {
			return fmt.Errorf("list known answers: %w", err)
		}
		if err != nil {
			m.unreadable(ctx, prefix, err)
			return nil
		}
		found, ok := parseKnown(object)
		if !ok {
			continue
		}
		if len(m.sources) == recalledParts || m.recall.Answers+found.rows > recalledRows {
			m.recall.More = true
			return nil
		}
		m.sources = append(m.sources, found)
		m.recall.Answers += found.rows
		m.recall.Parts++
	}
	return nil
}

// load reads the entries of a source.
func (m *memory) load(ctx context.Context, i int, into []memo) error {
	from := m.sources[i]
	body, err := m.read(ctx, from.key, from.index, from.index+from.rows*entrySize)
	if err != nil || body == nil {
		m.lost[i] = true
		return err
	}
	for n := range into {
		entry := body[n*entrySize:]
		into[n] = memo{
			content: content{binary.BigEndian.Uint64(entry), binary.BigEndian.Uint64(entry[8:])},
			place:   binary.BigEndian.Uint64(entry[16:]), source: uint32(i),
		}
	}
	return nil
}

// read reads a stretch of what is remembered. It is nil, and told, where that
// cannot be read for good: its rows are paid again.
func (m *memory) read(ctx context.Context, key string, off, end int64) ([]byte, error) {
	body, err := m.answers.Open(ctx, key, "", off, end)
	if err == nil {
		defer body.Close()
		data := make([]byte, end-off)
		if _, err = io.ReadFull(body, data); err == nil {
			return data, nil
		}
	}
	if batch.Passing(err) || ctx.Err() != nil {
		return nil, fmt.Errorf("read known answers %s: %w", key, err)
	}
	m.unreadable(ctx, key, err)
	return nil, nil
}

func (m *memory) unreadable(ctx context.Context, key string, err error) {
	if errors.Is(err, batch.ErrNotFound) {
		return // it has reached its age since it was listed
	}
	m.note(ctx, "known answers not read", m.submission, "key", key, "error", err)
}

// find finds where the answer to a content stands.
func (m *memory) find(c content) (memo, bool) {
	i, found := slices.BinarySearchFunc(m.places, c, func(p memo, c content) int { return p.compare(c) })
	for ; found && i < len(m.places) && m.places[i].content == c; i++ {
		p := m.places[i]
		if p.size() > contentText && !m.lost[p.source] && p.off()+p.size() <= m.sources[p.source].index {
			return p, true
		}
	}
	return memo{}, false
}

// summon makes the contents of a batch's records.
func (b *rendered) summon() {
	b.contents = b.contents[:0]
	for i := range b.rows {
		var c content
		if r := &b.rows[i]; !r.aside {
			if modelInput, ok := inputOf(b.out[r.start:r.end]); ok {
				c = contentOf(modelInput)
			}
		}
		b.contents = append(b.contents, c)
	}
}

// look puts, in a batch whose contents are made, the results of rows that are
// known into the place of their records.
func (m *memory) look(ctx context.Context, b *rendered, from place) error {
	m.wanted = m.wanted[:0]
	for i := range b.rows {
		if b.rows[i].aside {
			continue
		}
		if p, ok := m.find(b.contents[i]); ok {
			m.wanted = append(m.wanted, wantedAnswer{row: i, memo: p})
		}
	}
	slices.SortFunc(m.wanted, func(a, b wantedAnswer) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.place, b.place))
	})
	for rest := m.wanted; len(rest) > 0; {
		group, err := m.fetch(ctx, rest)
		if err != nil {
			return err
		}
		for _, w := range rest[:group] {
			m.use(b, w, from)
		}
		rest = rest[group:]
	}
	// In the order of their rows: these are what is counted by part.
	slices.SortFunc(m.odd, func(a, b oddAnswer) int { return cmp.Compare(a.row, b.row) })
	return nil
}

// fetch reads as many of the wanted answers as may be held at once, and tells
// how many.
func (m *memory) fetch(ctx context.Context, wanted []wantedAnswer) (n int, err error) {
	m.runs = m.runs[:0]
	var sum int64
	for ; n < len(wanted) && sum < groupBytes; n++ {
		w := &wanted[n]
		off, end := w.off(), w.off()+w.size()
		if l := len(m.runs); l > 0 {
			if run := &m.runs[l-1]; run.source == w.source && off-run.end < nearby && end-run.off <= runBytes {
				sum += max(end-run.end, 0)
				run.end, w.run = max(run.end, end), l-1
				continue
			}
		}
		w.run = len(m.runs)
		m.runs = append(m.runs, answerRun{source: w.source, off: off, end: end})
		sum += end - off
	}
	if len(wanted) <= few {
		for i := range m.runs {
			run := &m.runs[i]
			run.end = max(run.end, min(run.off+aheadRun, m.sources[run.source].index))
		}
	}
	err = each(ctx, len(m.runs), m.settings.Parallel, func(ctx context.Context, i int) (err error) {
		run := &m.runs[i]
		if l := m.last; l.data != nil && l.source == run.source && l.off <= run.off && run.off < l.end {
			// What is wanted of it was most likely read ahead.
			if covered(wanted[:n], l, *run) {
				*run = l
				return nil
			}
		}
		run.data, err = m.read(ctx, m.sources[run.source].key, run.off, run.end)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, run := range m.runs {
		if run.data == nil {
			m.lost[run.source] = true
		}
	}
	if len(m.runs) > 0 {
		m.last = m.runs[len(m.runs)-1]
	}
	return n, nil
}

// covered reports whether what is wanted of a run stands in what was read.
func covered(wanted []wantedAnswer, read, run answerRun) bool {
	for _, w := range wanted {
		if w.source == run.source && w.off() >= run.off && w.off() < run.end && w.off()+w.size() > read.end {
			return false
		}
	}
	return true
}

// use makes the result of a row from a known answer. An answer that does not
// name the row's content is none, and the row is asked about.
func (m *memory) use(b *rendered, w wantedAnswer, from place) {
	run := &m.runs[w.run]
	if run.data == nil {
		return
	}
	line := run.data[w.off()-run.off:][:w.size()]
	var text [contentText]byte
	tail, ok := bytes.CutPrefix(line, w.content.appendText(text[:0]))
	if !ok || !bytes.HasPrefix(tail, []byte(`,"`)) || !bytes.HasSuffix(tail, []byte("}\n")) {
		return
	}
	r := &b.rows[w.row]
	start := len(b.out)
	b.out = answer.AppendKnown(b.out, r.entry, from.source, tail[:len(tail)-1], m.sources[w.source].submission)
	if m.result.Read(b.out[start:]) != nil {
		b.out = b.out[:start]
		return
	}
	r.start, r.end, r.known = start, len(b.out), true
	switch m.result.Stop {
	case model.MaxTokens, model.Refusal, model.ContentFiltered:
		m.odd = append(m.odd, oddAnswer{r.entry.Row, m.result.Stop})
	}
}

// counts are those of the known rows of a complete part.
func (m *memory) counts(p part.Part) *KnownRows {
	k := &KnownRows{Rows: int64(p.Known)}
	for len(m.odd) > 0 && m.odd[0].row <= p.LastRow {
		switch m.odd[0].stop {
		case model.MaxTokens:
			k.Truncated++
		case model.Refusal:
			k.Refused++
		case model.ContentFiltered:
			k.Filtered++
		}
		m.odd = m.odd[1:]
	}
	return k
}

// tell notes in the submission how much was remembered.
func (m *memory) tell(s *Submission) {
	if m != nil {
		recall := m.recall
		s.Recall = &recall
	}
}

const (
	// Rows that do not come in batches are looked up so many at a time, or so
	// many bytes of records.
	gatheredRows  = 1024
	gatheredBytes = 1 << 20
)

// copyNew is copy with a memory: rows are looked up some at a time.
func (p *preparing) copyNew(ctx context.Context, rows dataset.Reader, renderer *prompt.Renderer, builder *part.Builder, from place) error {
	b := &rendered{}
	at, err := from.tell(rows.Position())
	if err != nil {
		return err
	}
	flush := func() error {
		b.summon()
		err := p.memory.look(ctx, b, from)
		if err == nil {
			at, err = p.addAll(b, at, builder, from)
		}
		b.empty()
		return err
	}
	for n := 0; ; n++ {
		if n%lookEvery == 0 && p.sliceOver() {
			return errSliceOver
		}
		row, err := rows.Next()
		if err != nil {
			if flushed := flush(); flushed != nil {
				return flushed
			}
			if err == io.EOF {
				return nil
			}
			return p.readError(err, from)
		}
		if row.Row += from.base; row.Row > maxRows {
			return tooManyRows
		}
		r := renderedRow{start: len(b.out), next: rows.Position(), entry: part.Entry{
			Row: row.Row, Off: row.Off, Len: row.End - row.Off, Source: from.n, ID: bytes.Clone(row.ID),
		}}
		if p.rows != nil {
			r.raw = bytes.Clone(row.Raw)
		}
		bad := row.Bad
		if bad == nil {
			if b.out, bad, err = p.record(ctx, b.out, row, renderer, from); err != nil {
				return err
			}
		}
		b.add(r, row, bad, from)
		if len(b.rows) == gatheredRows || len(b.out) >= gatheredBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}

// indexes are the indexes of a part's records and of its known rows as one.
type indexes struct {
	open  closers
	from  [2]*part.IndexReader // nil: at its end
	entry [2]part.Entry
	id    [2][]byte
}

// openIndex opens the index of all rows of the part that have results.
func (j *joining) openIndex(ctx context.Context) (*indexes, error) {
	x := &indexes{}
	for i, one := range []struct {
		rows    int64
		attempt int
	}{{int64(j.p.Records), 1}, {j.p.known(), knownAttempt}} {
		if one.rows == 0 {
			continue
		}
		body, err := x.open.add(j.output.Open(ctx, indexKey(j.s.ID, j.p.N, one.attempt), "", 0, batch.Whole))
		if err == nil {
			x.from[i] = part.NewIndexReader(body)
			err = x.advance(i)
		}
		if err != nil {
			x.close()
			return nil, err
		}
	}
	return x, nil
}

func (x *indexes) close() { x.open.close() }

// advance goes to the next entry of one of the indexes.
func (x *indexes) advance(i int) error {
	entry, err := x.from[i].Next()
	if err == io.EOF {
		x.from[i] = nil
		return nil
	}
	x.entry[i] = entry
	return err
}

// next is the next entry; its ID is valid until the next call.
func (x *indexes) next() (part.Entry, error) {
	i := 0
	if x.from[0] == nil || x.from[1] != nil && x.entry[1].Row < x.entry[0].Row {
		i = 1
	}
	if x.from[i] == nil {
		return part.Entry{}, io.EOF
	}
	entry := x.entry[i]
	x.id[i] = append(x.id[i][:0], entry.ID...) // it goes when the index does
	if entry.ID != nil {
		entry.ID = x.id[i]
	}
	return entry, x.advance(i)
}
