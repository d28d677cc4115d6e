package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
	"github.com/bedrock-batch/bedrock-batch/shared/prompt"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// knownAttempt is the attempt whose answers were there before the first.
const knownAttempt = 0

// content stands for what is asked: a hash of the modelInput as it is sent. Two
// that are equal are never to be met by chance, as the hash is cryptographic.
type content struct{ high, low uint64 }

func contentOf(modelInput []byte) content {
	h := sha256.Sum256(modelInput)
	return content{binary.BigEndian.Uint64(h[:8]), binary.BigEndian.Uint64(h[8:16])}
}

func (c content) compare(d content) int {
	return cmp.Or(cmp.Compare(c.high, d.high), cmp.Compare(c.low, d.low))
}

// appendText appends the content as it stands before its answer.
func (c content) appendText(dst []byte) []byte {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], c.high)
	binary.BigEndian.PutUint64(raw[8:], c.low)
	return hex.AppendEncode(dst, raw[:])
}

const contentText = 32

// What is remembered of a part is one object: a line for each answered row,
// the content as text and then the answer as it stands in the results behind
// what says who the row is; behind the lines an entry for each of them, sorted
// by content. So what is found in the entries is known by the answer too.
const (
	// entrySize is that of an entry: the content, the line's place in 5 bytes,
	// its length in 3.
	entrySize = 16 + 8
	// longestKnown is the longest line, and mostBytes how many bytes of lines
	// entries can tell.
	longestKnown = 1<<24 - 1
	mostBytes    = 1 << 40
)

// knownForm is raised when answers are remembered or rendered in another way: what
// was remembered in the old one is then not found any more.
const knownForm = 1

// knownPrefix is where answers are remembered that were given under the same
// settings: everything beside the modelInput that decides what is answered, and
// in which form it stands in the results.
func knownPrefix(s *Submission, w workload.Workload) (string, error) {
	under := struct {
		Form       int              `json:"form"`
		Model      string           `json:"model"`
		Base       string           `json:"base"`
		Invocation batch.Invocation `json:"invocation"`
		Family     string           `json:"family"`
		Raw        bool             `json:"raw"`
		JSON       json.RawMessage  `json:"json,omitempty"`
	}{Form: knownForm, Model: s.ModelID, Base: s.BaseModel, Invocation: s.Invocation, Family: string(prompt.FamilyOf(w)), Raw: w.Raw()}
	shape, err := w.Schema()
	if err != nil {
		return "", fmt.Errorf("read the schema of submission %s: %w", s.ID, err)
	}
	if shape != nil {
		under.JSON = json.RawMessage(w.Output.JSON)
	}
	text, err := json.Marshal(under)
	if err != nil {
		return "", fmt.Errorf("name the settings of submission %s: %w", s.ID, err)
	}
	h := sha256.Sum256(text)
	return config.Known + hex.EncodeToString(h[:16]) + "/", nil
}

// knownPart is the object that holds the answers of one part.
type knownPart struct {
	key        string
	submission string
	rows       int64 // its entries
	index      int64 // where they begin
}

// knownName names a part's answers, the youngest first.
func knownName(at time.Time, submission string, n, attempt int, rows int64) string {
	return fmt.Sprintf("%016x-%s-%d-%d-%d", ^uint64(at.UnixMilli()), submission, n, attempt, rows)
}

// parseKnown reads what knownName wrote; ok is false for what is none of ours.
func parseKnown(object batch.Object) (m knownPart, ok bool) {
	fields := strings.Split(object.Key[strings.LastIndexByte(object.Key, '/')+1:], "-")
	if len(fields) != 5 || len(fields[1]) == 0 {
		return m, false
	}
	rows, err := strconv.ParseInt(fields[4], 10, 64)
	m = knownPart{key: object.Key, submission: fields[1], rows: rows, index: object.Size - rows*entrySize}
	return m, err == nil && rows > 0 && m.index > 0
}

// remember writes the answers of a gathered part down for later submissions,
// where the workload wants that. It may be done again. What goes wrong with it
// for good costs no answer of this submission: it is told, and the rows are paid
// again when they come again.
func (r *collectRun) remember(ctx context.Context, s *Submission, w workload.Workload, p Part, answered int64, source func(int) (string, error)) error {
	if !w.PaysOnlyNew() || answered == 0 {
		return nil
	}
	err := r.writeKnown(ctx, s, w, p, answered, source)
	if err == nil || batch.Passing(err) || ctx.Err() != nil {
		return err
	}
	r.note(ctx, "answers not remembered", s.ID, "part", p.N, "attempt", p.Attempt, "error", err)
	return nil
}

func (r *collectRun) writeKnown(ctx context.Context, s *Submission, w workload.Workload, p Part, answered int64, source func(int) (string, error)) error {
	prefix, err := knownPrefix(s, w)
	if err != nil {
		return err
	}
	index, err := r.output.Open(ctx, indexKey(s.ID, p.N, p.Attempt), "", 0, batch.Whole)
	if err != nil {
		return err
	}
	defer index.Close()
	records, err := openLines(ctx, r.output, inputKey(s.ID, p.N, p.Attempt))
	if err != nil {
		return err
	}
	defer records.Close()
	results, err := openLines(ctx, r.output, answersKey(s.ID, p.N, p.Attempt, "results.jsonl"))
	if err != nil {
		return err
	}
	defer results.Close()
	file, err := r.answers.Create(ctx, prefix+knownName(*p.EndedAt, s.ID, p.N, p.Attempt, answered))
	if err != nil {
		return err
	}
	defer file.Abort()
	k := &keeping{file: file, source: source, entries: make([]byte, 0, answered*entrySize)}
	if err := k.walk(part.NewIndexReader(index), records, results); err != nil {
		return err
	}
	if int64(len(k.entries)) != answered*entrySize {
		return fmt.Errorf("%d answers found again of %d", len(k.entries)/entrySize, answered)
	}
	if err := k.writeEntries(); err != nil {
		return err
	}
	_, err = file.Commit()
	return err
}

// keeping writes one part's answers down.
type keeping struct {
	file    io.Writer
	source  func(int) (string, error)
	entries []byte
	at      int64
	line    []byte
	head    []byte
}

// walk walks the part's rows, its records and its results side by side: all are
// in row order, and a result may be missing.
func (k *keeping) walk(index *part.IndexReader, records, results *lines) error {
	result, end := results.next()
	for {
		entry, err := index.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		record, err := records.next()
		if err != nil {
			return fmt.Errorf("read the record of row %d: %w", entry.Row, err)
		}
		if end != nil && end != io.EOF {
			return end
		}
		if end != nil || !bytes.HasPrefix(result, resultPrefix(entry.Row)) {
			continue // it has no answer
		}
		if err := k.keep(entry, record, result); err != nil {
			return err
		}
		result, end = results.next()
	}
	return nil
}

// keep writes one answer.
func (k *keeping) keep(entry part.Entry, record, result []byte) error {
	modelInput, ok := inputOf(record)
	if !ok {
		return errors.New("a staged record is not in the shape that it was written in")
	}
	key := ""
	if entry.Source != part.NoSource && k.source != nil {
		var err error
		if key, err = k.source(entry.Source); err != nil {
			return err
		}
	}
	k.head = answer.AppendHead(k.head[:0], entry, key)
	tail, ok := bytes.CutPrefix(bytes.TrimSuffix(result, []byte{'\n'}), k.head)
	if !ok || len(tail) == 0 || tail[len(tail)-1] != '}' {
		return fmt.Errorf("the result of row %d does not begin as it was written", entry.Row)
	}
	c := contentOf(modelInput)
	k.line = append(append(c.appendText(k.line[:0]), tail...), '\n')
	length := len(k.line)
	if length > longestKnown || k.at+int64(length) > mostBytes {
		length = 0 // found, and not believed
	} else if _, err := k.file.Write(k.line); err != nil {
		return err
	}
	k.entries = binary.BigEndian.AppendUint64(k.entries, c.high)
	k.entries = binary.BigEndian.AppendUint64(k.entries, c.low)
	k.entries = binary.BigEndian.AppendUint64(k.entries, uint64(k.at)<<24|uint64(length))
	k.at += int64(length)
	return nil
}

// writeEntries writes the entries in the order of their contents.
func (k *keeping) writeEntries() error {
	order := make([]int32, len(k.entries)/entrySize)
	for i := range order {
		order[i] = int32(i)
	}
	entry := func(i int32) []byte { return k.entries[int(i)*entrySize : int(i+1)*entrySize] }
	slices.SortFunc(order, func(a, b int32) int { return bytes.Compare(entry(a), entry(b)) })
	for _, i := range order {
		if _, err := k.file.Write(entry(i)); err != nil {
			return err
		}
	}
	return nil
}

// recordHead is what stands before the modelInput of a record.
const recordHead = len(`{"recordId":"r0000000000","modelInput":`)

// inputOf is the modelInput of a record's line, which we wrote ourselves.
func inputOf(line []byte) ([]byte, bool) {
	body, ok := bytes.CutSuffix(line, []byte("}\n"))
	if !ok || len(body) < recordHead {
		return nil, false
	}
	return body[recordHead:], true
}
