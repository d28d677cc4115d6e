package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/config"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// Gathering: objects of a folder become one submission. Each object leaves a
// note; when no note has come for the workload's quiet time, or as many as it
// expects are there, the folder is settled: the notes become the listing of a
// numbered round, and the round a submission. A version that a round took is
// marked for ever, so that it is never taken twice.

const (
	// defaultQuiet is the quiet time of documents whose workload sets none.
	defaultQuiet = time.Minute
	// settingsFresh is how long settings that were read while gathering are
	// believed; they are read again when the folder is settled.
	settingsFresh = 10 * time.Second
)

// gathered is one noted object. A listing holds one a line.
type gathered struct {
	Folder string `json:"folder,omitempty"` // in notes only
	Upload
}

func notesPrefix(folder string) string { return config.Gather + hashed(folder) + "/" }
func noteKey(folder, id string) string { return notesPrefix(folder) + id }
func takenKey(id string) string        { return config.Taken + id }
func settlerKey(folder string) string  { return config.Control + "gather/" + hashed(folder) }
func roundKey(folder string, n int) string {
	return fmt.Sprintf("%s%s/%06d.jsonl", config.Rounds, hashed(folder), n)
}

// roundUpload stands for a round where an upload stands for itself: its
// version is the round, so that its submission's id is that of folder and
// round.
func roundUpload(bucket, folder string, n int) Upload {
	return Upload{Bucket: bucket, Key: folder, VersionID: fmt.Sprintf("round-%06d", n)}
}

// gatherRule is how a folder is gathered.
type gatherRule struct {
	folder string
	quiet  time.Duration
	expect int
	skip   bool // the object is excluded
}

// document reports whether a key names a document by its ending.
func document(key string) bool { return dataset.NamedDocument(key) }

// rule finds out whether an object is gathered, and how; nil if it is an
// upload by itself.
func (r *submitRun) rule(ctx context.Context, key string, fresh bool) (*gatherRule, error) {
	w, found, err := r.settingsFor(ctx, key, fresh)
	if err != nil && (Later(err) || errors.Is(err, batch.ErrAccess) || ctx.Err() != nil) {
		return nil, err
	}
	rule := &gatherRule{folder: found.Folder}
	doc := document(key)
	if err != nil {
		// Unreadable settings reject a folder of documents once, not each.
		if !doc {
			return nil, nil
		}
		rule.quiet = defaultQuiet
		return rule, nil
	}
	if w.Format.Whole() {
		doc = true
	}
	if doc {
		rule.quiet = defaultQuiet
	}
	if g := w.Gather; g != nil {
		if g.Quiet != nil {
			rule.quiet = time.Duration(*g.Quiet)
		}
		if g.Expect != nil {
			rule.expect = *g.Expect
			if rule.quiet == 0 {
				rule.quiet = defaultQuiet
			}
		}
		name := strings.TrimPrefix(strings.TrimPrefix(key, found.Folder), "/")
		rule.skip = len(g.Include) > 0 && !workload.MatchAny(g.Include, name) || workload.MatchAny(g.Exclude, name)
	}
	if rule.quiet <= 0 {
		if rule.skip {
			return rule, nil
		}
		return nil, nil
	}
	return rule, nil
}

// remembered are settings read a moment ago.
type remembered struct {
	at    time.Time
	w     workload.Workload
	found workload.Found
	err   error
}

// settingsFor reads the settings of a key, remembering them for a moment by
// folder: thousands of documents come at once.
func (r *submitRun) settingsFor(ctx context.Context, key string, fresh bool) (workload.Workload, workload.Found, error) {
	dir := keyPrefix(key)
	now := r.clock.Now()
	r.Submit.mu.Lock()
	m, ok := r.Submit.memory[dir]
	r.Submit.mu.Unlock()
	if ok && !fresh && now.Sub(m.at) < settingsFresh {
		return m.w, m.found, m.err
	}
	w, found, err := workload.Load(ctx, r.getSettings, key, r.base)
	if err != nil && Later(err) {
		return w, found, err
	}
	r.Submit.mu.Lock()
	defer r.Submit.mu.Unlock()
	if r.Submit.memory == nil || len(r.Submit.memory) > 1000 {
		r.Submit.memory = map[string]remembered{}
	}
	r.Submit.memory[dir] = remembered{now, w, found, err}
	return w, found, err
}

func (r *submitRun) getSettings(ctx context.Context, key string) ([]byte, error) {
	body, _, err := r.input.Get(ctx, key)
	return body, err
}

// gather notes an object and sees to it that its folder is looked at.
func (r *submitRun) gather(ctx context.Context, rule *gatherRule, id string, u Upload) error {
	body, err := json.Marshal(gathered{Folder: rule.folder, Upload: u})
	if err != nil {
		return err
	}
	if _, err := r.output.Put(ctx, noteKey(rule.folder, id), body, batch.Condition{}); err != nil {
		return fmt.Errorf("note %s for its folder: %w", u.Key, err)
	}
	return r.lookAt(ctx, rule.folder, rule.quiet)
}

// lookAt sends the message that looks whether a folder has become quiet,
// unless one is under way.
func (r *submitRun) lookAt(ctx context.Context, folder string, quiet time.Duration) error {
	now := r.clock.Now()
	r.Submit.mu.Lock()
	due := r.Submit.due[folder]
	r.Submit.mu.Unlock()
	if due.After(now) {
		return nil
	}
	for range tries {
		doc, etag, err := r.readSettler(ctx, folder)
		if err != nil {
			return err
		}
		if !doc.Next.After(now) {
			doc.Next = now.Add(quiet).UTC()
			landed, _, err := r.writeSettler(ctx, doc, etag)
			if err != nil {
				return err
			}
			if !landed {
				continue
			}
			if err := r.send(ctx, r.uploads, Message{Do: DoSettle, Folder: folder, Due: doc.Next}, quiet); err != nil {
				return err
			}
		}
		r.Submit.mu.Lock()
		if r.Submit.due == nil || len(r.Submit.due) > 1000 {
			r.Submit.due = map[string]time.Time{}
		}
		r.Submit.due[folder] = doc.Next
		r.Submit.mu.Unlock()
		return nil
	}
	return r.send(ctx, r.uploads, Message{Do: DoSettle, Folder: folder}, quiet)
}

// wakeFolders sends a settle message for each folder whose notes have stood
// for a while.
func (r *submitRun) wakeFolders(ctx context.Context) error {
	after := ""
	for {
		var first batch.Object
		for object, err := range r.output.List(ctx, config.Gather, after) {
			if err != nil {
				return fmt.Errorf("list notes: %w", err)
			}
			first = object
			break
		}
		if first.Key == "" {
			return nil
		}
		after = first.Key[:strings.LastIndexByte(first.Key, '/')+1] + "\xff"
		if r.clock.Now().Sub(first.Modified) < r.settings.StaleAfter.Std() {
			continue
		}
		note, err := r.readNote(ctx, first.Key)
		if errors.Is(err, batch.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := r.send(ctx, r.uploads, Message{Do: DoSettle, Folder: note.Folder}, 0); err != nil {
			return err
		}
	}
}
