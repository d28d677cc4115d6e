package pipeline

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// settler is a folder's document: who settles it, when it is looked at next,
// which round is being settled.
type settler struct {
	Version int       `json:"version"`
	Folder  string    `json:"folder"`
	Next    time.Time `json:"next,omitzero"`
	// Rounds is the number of the last finished round, Settling that of one
	// under way, 0 for none.
	Rounds   int       `json:"rounds"`
	Settling int       `json:"settling,omitempty"`
	Owner    string    `json:"owner,omitempty"`
	Until    time.Time `json:"until,omitzero"`
	Writer   string    `json:"writer"`
}

func (r *run) readSettler(ctx context.Context, folder string) (settler, string, error) {
	doc := settler{Folder: folder}
	body, object, err := r.output.Get(ctx, settlerKey(folder))
	if errors.Is(err, batch.ErrNotFound) {
		return doc, "", nil
	}
	if err != nil {
		return doc, "", fmt.Errorf("read settling of folder: %w", err)
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return doc, "", fmt.Errorf("read settling of folder: %w", err)
	}
	if doc.Version > firstVersion {
		return doc, "", fmt.Errorf("settling of folder: %w", ErrNewer)
	}
	return doc, object.ETag, nil
}

func (r *run) writeSettler(ctx context.Context, doc settler, etag string) (landed bool, next string, err error) {
	doc.Version, doc.Writer = firstVersion, r.writer()
	body, err := json.Marshal(doc)
	if err != nil {
		return false, "", err
	}
	cond := batch.Condition{IfMatch: etag}
	if etag == "" {
		cond = batch.Condition{IfAbsent: true}
	}
	next, err = r.output.Put(ctx, settlerKey(doc.Folder), body, cond)
	if err == nil {
		return true, next, nil
	}
	if !errors.Is(err, batch.ErrPrecondition) && !errors.Is(err, batch.ErrUnavailable) {
		return false, "", fmt.Errorf("write settling of folder: %w", err)
	}
	there, tag, err := r.readSettler(ctx, doc.Folder)
	if err != nil {
		return false, "", err
	}
	return there.Writer == doc.Writer, tag, nil
}

// Settle looks whether a folder has become quiet and makes a submission of it
// if it has.
func (s *Submit) Settle(ctx context.Context, in Invocation, folder string) error {
	r := s.begin(in)
	now := r.clock.Now()
	doc, etag, err := r.readSettler(ctx, folder)
	if err != nil {
		return err
	}
	if doc.Owner != "" && doc.Owner != in.ID && now.Before(doc.Until) {
		return r.send(ctx, r.uploads, Message{Do: DoSettle, Folder: folder}, doc.Until.Sub(now)+time.Second)
	}
	if doc.Settling == 0 {
		wait, err := r.quiet(ctx, folder)
		if err != nil || wait == noDelay {
			return err
		}
		if wait > 0 {
			return r.lookLater(ctx, doc, etag, wait)
		}
	}
	doc.Owner, doc.Until = in.ID, in.Deadline.Add(leaseGrace).UTC()
	if doc.Settling == 0 {
		doc.Settling = doc.Rounds + 1
	}
	landed, etag, err := r.writeSettler(ctx, doc, etag)
	if err != nil {
		return err
	}
	if !landed {
		return r.send(ctx, r.uploads, Message{Do: DoSettle, Folder: folder}, 5*time.Second)
	}
	left, err := r.settleRound(ctx, folder, doc.Settling)
	if err != nil {
		return err // the round is taken up again where it stands
	}
	for range tries {
		doc.Rounds, doc.Settling, doc.Owner, doc.Until, doc.Next = doc.Settling, 0, "", time.Time{}, time.Time{}
		landed, _, err := r.writeSettler(ctx, doc, etag)
		if err != nil {
			return err
		}
		if landed {
			break
		}
		if doc, etag, err = r.readSettler(ctx, folder); err != nil {
			return err
		}
		if doc.Owner != in.ID {
			break
		}
	}
	if left {
		return r.lookAtNow(ctx, folder)
	}
	return nil
}

// lookAtNow sends a settle message whatever the folder's document says.
func (r *submitRun) lookAtNow(ctx context.Context, folder string) error {
	return r.send(ctx, r.uploads, Message{Do: DoSettle, Folder: folder}, time.Second)
}

// lookLater puts the look off; of several messages for a folder one goes on.
func (r *submitRun) lookLater(ctx context.Context, doc settler, etag string, wait time.Duration) error {
	now := r.clock.Now()
	if doc.Next.After(now) && !doc.Next.Equal(r.in.Due) {
		return nil // another message is under way
	}
	doc.Next = now.Add(wait).UTC()
	landed, _, err := r.writeSettler(ctx, doc, etag)
	if err != nil || !landed {
		return err
	}
	return r.send(ctx, r.uploads, Message{Do: DoSettle, Folder: doc.Folder, Due: doc.Next}, wait)
}

// quiet is how long a folder must still be left alone; 0 if it can be settled,
// noDelay if there is nothing to settle.
func (r *submitRun) quiet(ctx context.Context, folder string) (time.Duration, error) {
	var newest batch.Object
	n := 0
	for object, err := range r.output.List(ctx, notesPrefix(folder), "") {
		if err != nil {
			return 0, fmt.Errorf("list notes of folder: %w", err)
		}
		if n == 0 || object.Modified.After(newest.Modified) {
			newest = object
		}
		n++
	}
	if n == 0 {
		return noDelay, nil
	}
	rule := &gatherRule{quiet: defaultQuiet}
	if note, err := r.readNote(ctx, newest.Key); err == nil {
		if found, err := r.rule(ctx, note.Key, true); err != nil {
			return 0, err
		} else if found != nil {
			rule = found
		} else {
			return 0, nil // not gathered any more: settled as it is
		}
	} else if !errors.Is(err, batch.ErrNotFound) {
		return 0, err
	}
	if rule.expect > 0 && n >= rule.expect {
		return 0, nil
	}
	return max(0, rule.quiet-r.clock.Now().Sub(newest.Modified)), nil
}

func (r *run) readNote(ctx context.Context, key string) (gathered, error) {
	var g gathered
	body, _, err := r.output.Get(ctx, key)
	if err != nil {
		return g, fmt.Errorf("read note: %w", err)
	}
	if err := json.Unmarshal(body, &g); err != nil {
		return g, fmt.Errorf("read note: %w", err)
	}
	return g, nil
}

// settleRound makes a submission of a folder's notes, as round n. It may be
// called again after a crash at any step: the listing, once written, is what
// the round holds. left: more notes stand there.
func (r *submitRun) settleRound(ctx context.Context, folder string, n int) (left bool, err error) {
	listing, err := r.readListing(ctx, roundKey(folder, n))
	if errors.Is(err, batch.ErrNotFound) {
		if listing, err = r.takeNotes(ctx, folder, n); err == nil && len(listing) > 0 {
			err = r.writeListing(ctx, roundKey(folder, n), listing)
			if errors.Is(err, batch.ErrPrecondition) {
				listing, err = r.readListing(ctx, roundKey(folder, n))
			}
		}
	}
	if err != nil {
		return false, err
	}
	if len(listing) > 0 {
		u := roundUpload(listing[0].Bucket, folder, n)
		for _, g := range listing {
			u.Size += g.Size
		}
		id := SubmissionID(u)
		if err := r.open(ctx, id, marker{Kind: "folder", Listing: roundKey(folder, n), Upload: u}); err != nil {
			return false, err
		}
		if err := r.send(ctx, r.uploads, Message{Do: DoContinue, Submission: id}, 0); err != nil {
			return false, err
		}
	}
	// Only now may the notes go: what they told is in the listing.
	var keys []string
	for _, g := range listing {
		if keys = append(keys, noteKey(folder, SubmissionID(g.Upload))); len(keys) == 1000 {
			if err := r.output.Delete(ctx, keys...); err != nil {
				return false, fmt.Errorf("remove notes: %w", err)
			}
			keys = keys[:0]
		}
	}
	if err := r.output.Delete(ctx, keys...); err != nil {
		return false, fmt.Errorf("remove notes: %w", err)
	}
	for _, err := range r.output.List(ctx, notesPrefix(folder), "") {
		if err != nil {
			return false, fmt.Errorf("list notes of folder: %w", err)
		}
		return true, nil
	}
	return false, nil
}

// takeNotes marks what the folder's notes tell as taken by round n and returns
// it in the order of the keys. Notes of versions that were taken before go,
// older versions of a key are marked and left out, notes that belong to a
// deeper folder by now are moved there.
func (r *submitRun) takeNotes(ctx context.Context, folder string, n int) ([]gathered, error) {
	var notes []gathered
	var gone []string
	moved := map[string]*gatherRule{}
	rules := map[string]*gatherRule{}
	read, err := r.readNotes(ctx, folder)
	if err != nil {
		return nil, err
	}
	var stay []gathered
	for _, note := range read {
		dir := keyPrefix(note.Key)
		rule, known := rules[dir]
		if !known {
			if rule, err = r.rule(ctx, note.Key, true); err != nil {
				return nil, err
			}
			rules[dir] = rule
		}
		id := SubmissionID(note.Upload)
		if rule != nil && rule.folder != folder {
			body, err := json.Marshal(gathered{Folder: rule.folder, Upload: note.Upload})
			if err != nil {
				return nil, err
			}
			if _, err := r.output.Put(ctx, noteKey(rule.folder, id), body, batch.Condition{}); err != nil {
				return nil, fmt.Errorf("move note of %s: %w", note.Key, err)
			}
			moved[rule.folder] = rule
			gone = append(gone, noteKey(folder, id))
			continue
		}
		stay = append(stay, note)
	}
	mine := make([]bool, len(stay))
	if err := each(ctx, len(stay), r.settings.Parallel, func(ctx context.Context, i int) (err error) {
		mine[i], err = r.takeVersion(ctx, SubmissionID(stay[i].Upload), folder, n)
		return err
	}); err != nil {
		return nil, err
	}
	for i, note := range stay {
		if !mine[i] {
			gone = append(gone, noteKey(folder, SubmissionID(note.Upload)))
			continue
		}
		note.Folder = ""
		notes = append(notes, note)
	}
	notes, older, err := r.newest(ctx, notes)
	if err != nil {
		return nil, err
	}
	for _, g := range older {
		gone = append(gone, noteKey(folder, SubmissionID(g.Upload)))
	}
	for other, rule := range moved {
		if err := r.lookAt(ctx, other, rule.quiet); err != nil {
			return nil, err
		}
	}
	for start := 0; start < len(gone); start += 1000 {
		if err := r.output.Delete(ctx, gone[start:min(start+1000, len(gone))]...); err != nil {
			return nil, fmt.Errorf("remove notes: %w", err)
		}
	}
	return notes, nil
}

// readNotes reads the folder's notes, as many as one round takes.
func (r *submitRun) readNotes(ctx context.Context, folder string) ([]gathered, error) {
	var keys []string
	for object, err := range r.output.List(ctx, notesPrefix(folder), "") {
		if err != nil {
			return nil, fmt.Errorf("list notes of folder: %w", err)
		}
		if keys = append(keys, object.Key); len(keys) == maxRound {
			break
		}
	}
	notes := make([]gathered, len(keys))
	there := make([]bool, len(keys))
	err := each(ctx, len(keys), r.settings.Parallel, func(ctx context.Context, i int) error {
		note, err := r.readNote(ctx, keys[i])
		if errors.Is(err, batch.ErrNotFound) {
			return nil
		}
		notes[i], there[i] = note, err == nil
		return err
	})
	if err != nil {
		return nil, err
	}
	kept := notes[:0]
	for i, note := range notes {
		if there[i] {
			kept = append(kept, note)
		}
	}
	return kept, nil
}

// takeVersion marks a version as taken by round n of a folder. false if an
// earlier round, or another folder's, has it.
func (r *submitRun) takeVersion(ctx context.Context, id, folder string, n int) (bool, error) {
	mark := []byte(roundKey(folder, n))
	_, err := r.output.Put(ctx, takenKey(id), mark, batch.Condition{IfAbsent: true})
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, batch.ErrPrecondition) && !errors.Is(err, batch.ErrUnavailable) {
		return false, fmt.Errorf("mark a version as taken: %w", err)
	}
	there, _, again := r.output.Get(ctx, takenKey(id))
	if errors.Is(again, batch.ErrNotFound) {
		return false, err // the lost write did not land: try again later
	}
	if again != nil {
		return false, fmt.Errorf("mark a version as taken: %w", again)
	}
	return bytes.Equal(there, mark), nil
}

// newest keeps, of several versions of a key, the one that stands in the
// bucket now (else the last noted), and sorts by key.
func (r *submitRun) newest(ctx context.Context, notes []gathered) (kept, older []gathered, err error) {
	sort.SliceStable(notes, func(i, j int) bool { return notes[i].Key < notes[j].Key })
	for i := 0; i < len(notes); {
		j := i + 1
		for j < len(notes) && notes[j].Key == notes[i].Key {
			j++
		}
		pick := j - 1
		if j-i > 1 {
			now, err := r.input.Stat(ctx, notes[i].Key, "")
			if err != nil && !errors.Is(err, batch.ErrNotFound) {
				return nil, nil, fmt.Errorf("look at %s: %w", notes[i].Key, err)
			}
			for k := i; k < j; k++ {
				if err == nil && notes[k].VersionID == now.Version {
					pick = k
				}
			}
		}
		for k := i; k < j; k++ {
			if k == pick {
				kept = append(kept, notes[k])
			} else {
				older = append(older, notes[k])
			}
		}
		i = j
	}
	return kept, older, nil
}

func (r *submitRun) writeListing(ctx context.Context, key string, listing []gathered) error {
	var body bytes.Buffer
	for _, g := range listing {
		line, err := json.Marshal(g)
		if err != nil {
			return err
		}
		body.Write(line)
		body.WriteByte('\n')
	}
	if _, err := r.output.Put(ctx, key, body.Bytes(), batch.Condition{IfAbsent: true}); err != nil {
		return fmt.Errorf("write listing: %w", err)
	}
	return nil
}

func (r *run) readListing(ctx context.Context, key string) ([]gathered, error) {
	body, _, err := r.output.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read listing: %w", err)
	}
	var listing []gathered
	lines := bufio.NewReader(bytes.NewReader(body))
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return listing, nil
		}
		var g gathered
		if err := json.Unmarshal(line, &g); err != nil {
			return nil, fmt.Errorf("read listing: %w", err)
		}
		listing = append(listing, g)
	}
}
