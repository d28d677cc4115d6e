package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/model"
	"github.com/bedrock-batch/bedrock-batch/shared/prompt"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

const (
	// maxLooks is how often settings are looked for before an upload without
	// a model is rejected, and lookAgain the time between.
	maxLooks  = 3
	lookAgain = 30 * time.Second
)

func (r *run) marked(ctx context.Context, id string) (marker, error) {
	body, _, err := r.output.Get(ctx, openKey(id))
	if err != nil {
		return marker{}, fmt.Errorf("read marker of submission %s: %w", id, err)
	}
	var u marker
	if err := json.Unmarshal(body, &u); err != nil {
		return marker{}, fmt.Errorf("read marker of submission %s: %w", id, err)
	}
	return u, nil
}

// resolve finds out what is to be done with the upload: is it still the
// newest, which workload applies, what format it has. Where it cannot be run
// the submission's end is decided. delay is not noDelay if settings are to be
// looked for again.
func (r *submitRun) resolve(ctx context.Context, h *hold) (delay time.Duration, err error) {
	if h.Kind == "upload" {
		ended, err := r.superseded(ctx, h)
		if err != nil || ended {
			return noDelay, err
		}
	}
	var own workload.Workload // a request's
	if h.Kind == KindRequest {
		if own, err = r.unpack(ctx, h); err != nil || h.Ending != nil {
			return noDelay, err
		}
	}
	// What is run is looked at: the upload itself, or the first object of a
	// folder's round.
	first, err := r.first(ctx, h.Submission)
	if err != nil {
		return noDelay, err
	}
	w, found, err := r.found(ctx, h.Submission, first.Key, own)
	if batch.Passing(err) || errors.Is(err, batch.ErrAccess) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return noDelay, err
	}
	if err != nil {
		return noDelay, h.reject(ctx, "%v", err)
	}
	var seen recognised
	if first.Size > 0 || h.Kind == "folder" {
		if seen, err = r.recognise(ctx, h.Submission, w, first); err != nil {
			return noDelay, err
		}
	}
	if w.Model = prompt.ModelFor(w, seen.model); w.Model == "" {
		if h.Inline {
			return noDelay, h.reject(ctx, "no model: neither the request's workload nor the deployment's default names one")
		}
		if h.Looks >= maxLooks {
			return noDelay, h.reject(ctx, "no model: neither a %s at or above %q nor the deployment's default names one; put the settings first, then the upload again", workload.FileName, h.Upload.Key)
		}
		return lookAgain, h.change(ctx, func(s *Submission) error { s.Looks++; return nil })
	}
	w.RowModel = seen.model
	if w.Name == "" {
		if w.Name = path.Base("/" + found.Folder); w.Name == "/" || w.Name == "." {
			w.Name = "default"
		}
		if h.Inline {
			w.Name = "request"
		}
	}
	// Who filters notices by workload gets to know of a rejection too.
	reject := func(format string, args ...any) error {
		return h.progress(ctx, func(s *Submission) error {
			if s.Workload = w.Name; s.Ending == nil {
				s.Ending = &Ending{State: Rejected, Reason: fmt.Sprintf(format, args...)}
			}
			return nil
		})
	}
	id, err := model.Parse(w.Model)
	if err != nil {
		return noDelay, reject("%v", err)
	}
	if !r.settings.Allows(w.Model) {
		return noDelay, reject("model %s is not among this deployment's models (%d allowed); ask its operator, or name one of them", w.Model, len(r.settings.Models))
	}
	quotaKey := id.QuotaKey()
	if base, err := r.behind(ctx, h, id); err != nil {
		return noDelay, err
	} else if base.Base != "" {
		w.BaseModel = base.Raw
		if id.Resource == model.ApplicationProfile {
			quotaKey = base.QuotaKey() // a profile shares its model's slots
		}
	}
	if h.Upload.Size == 0 && h.Kind != "folder" {
		return noDelay, reject("the file is empty")
	}
	var most int64
	if w.Limits != nil && w.Limits.MaxBytes != nil {
		most = *w.Limits.MaxBytes
	}
	if limit := lower(most, r.settings.Caps.MaxBytes); limit > 0 && h.Upload.Size > limit {
		return noDelay, reject("the file has %d bytes, the limit is %d", h.Upload.Size, limit)
	}
	if seen.why != nil {
		return noDelay, reject("%v", seen.why)
	}
	format, compression, documents := seen.format, seen.compression, seen.documents
	asked := format // what the prompts are made of
	if documents {
		asked = dataset.Text
	}
	checked := asked
	if h.Kind == "folder" {
		// Its objects are of any format: one that cannot be rendered is set
		// aside when it is read, and costs no other.
		checked = dataset.Prompt
	}
	if err := w.Check(checked); err != nil {
		return noDelay, reject("%v", err)
	}
	if compression != "" && h.Upload.Size > r.settings.MaxCompressedBytes {
		return noDelay, reject("the compressed file has %d bytes, the limit for compressed files is %d; upload it uncompressed (no such limit) or in several files", h.Upload.Size, r.settings.MaxCompressedBytes)
	}
	if _, err := prompt.NewRenderer(w, asked); err != nil && h.Kind != "folder" {
		return noDelay, reject("%v", err)
	}
	if _, known := r.priceOf(&Submission{ModelID: w.Model, BaseModel: w.BaseModel}, true, 1, 1); w.Deadline != nil && !known {
		return noDelay, reject("deadline: no price is known for model %s, so that its cost on demand cannot be bounded; set one under prices in the deployment's settings", w.Model)
	}
	if q := r.quota(w, quotaKey); q.MaxRecords < 2*q.MinRecords {
		return noDelay, h.reject(ctx, "quotas: with at least %d records a job, the deployment's limit of %d is less than two jobs' worth; lower quotas.min_records", q.MinRecords, q.MaxRecords)
	}
	how := prompt.Invocation(w, format)
	if _, err := model.NewReader(how, prompt.FamilyOf(w)); err != nil {
		return noDelay, reject("%v", err)
	}
	body, err := json.Marshal(w)
	if err != nil {
		return noDelay, err
	}
	// Its settings are those it was accepted with, whatever comes later.
	if _, err := r.output.Put(ctx, workloadKey(h.ID), body, batch.Condition{}); err != nil {
		return noDelay, fmt.Errorf("write workload of submission %s: %w", h.ID, err)
	}
	return noDelay, h.progress(ctx, func(s *Submission) error {
		s.Workload, s.ModelID, s.QuotaKey = w.Name, w.Model, quotaKey
		s.Format, s.Compression, s.Invocation = format, compression, how
		s.Folder, s.Documents, s.BaseModel = found.Folder, documents, w.BaseModel
		s.Round = 1
		s.Deadline = deadlineOf(s, w)
		return nil
	})
}

// found merges the settings that hold for a key, and over them a request's own.
func (r *submitRun) found(ctx context.Context, s *Submission, key string, own workload.Workload) (workload.Workload, workload.Found, error) {
	if s.Inline {
		return workload.Merge(r.base, own), workload.Found{}, nil
	}
	w, found, err := workload.Load(ctx, r.getSettings, key, r.base)
	return workload.Merge(w, own), found, err
}

// first is the object by which a submission's settings are found.
func (r *submitRun) first(ctx context.Context, s *Submission) (Upload, error) {
	if s.Inline {
		return Upload{Key: promptsName, Size: s.Upload.Size}, nil
	}
	if s.Kind != "folder" {
		return s.Upload, nil
	}
	listing, err := r.readListing(ctx, s.Listing)
	if err != nil {
		return Upload{}, err
	}
	if len(listing) == 0 {
		return Upload{}, fmt.Errorf("the listing %s is empty", s.Listing)
	}
	return listing[0].Upload, nil
}

// maxFirst is how many of a folder's objects are looked at for the first that
// tells how its records are to be made.
const maxFirst = 50

// telling is the first object of a folder's round that can be recognised, so
// that a bad one does not decide for the others; the first of all if none can.
func (r *submitRun) telling(ctx context.Context, s *Submission, w workload.Workload) (recognised, error) {
	listing, err := r.readListing(ctx, s.Listing)
	if err != nil {
		return recognised{}, err
	}
	var other *recognised
	for _, g := range listing[:min(len(listing), maxFirst)] {
		if g.Size == 0 {
			continue
		}
		head, err := r.head(ctx, g.Upload)
		if errors.Is(err, batch.ErrNotFound) {
			continue
		}
		if err != nil {
			return recognised{}, err
		}
		format, compression, err := dataset.Recognise(g.Key, head, w.Format)
		if err != nil || compression != dataset.Plain {
			continue // set aside when it is read
		}
		seen := recognised{format: format, model: firstModel(head, format, compression)}
		if runnable(w, format) {
			return seen, nil
		}
		if other == nil {
			other = &seen // if all are like it, it tells what is wrong
		}
	}
	if other != nil {
		return *other, nil
	}
	return recognised{format: dataset.Text}, nil
}

// runnable reports whether records can be made of rows of a format.
func runnable(w workload.Workload, f dataset.Format) bool {
	w.Model = cmp.Or(w.Model, "any") // it may come from the rows
	if err := w.Check(f); err != nil {
		return false
	}
	_, err := prompt.NewRenderer(w, f)
	return err == nil
}

// recognised is what the first bytes of what is to be run tell.
type recognised struct {
	format      dataset.Format
	compression dataset.Compression
	// documents: its rows name documents that failed in an earlier run.
	documents bool
	// model is the one that the first row names, of rows in another service's
	// shape.
	model string
	// why is set where it cannot be read.
	why error
}

// recognise finds out the format of what is to be run. A folder's objects are
// recognised one by one when they are read; what its first says only chooses
// the shape of the records.
func (r *submitRun) recognise(ctx context.Context, s *Submission, w workload.Workload, first Upload) (seen recognised, err error) {
	if s.Kind == "folder" {
		return r.telling(ctx, s, w)
	}
	head, err := r.headOfRows(ctx, s)
	if errors.Is(err, batch.ErrNotFound) {
		seen.why, err = errors.New("the file was deleted before it could be read"), nil
	} else if err != nil {
		return seen, err
	} else {
		seen.format, seen.compression, seen.why = dataset.Recognise(first.Key, head, w.Format)
	}
	if seen.why == nil {
		seen.model = firstModel(head, seen.format, seen.compression)
	}
	seen.documents = !s.Inline && seen.compression == dataset.Plain && namesDocuments(head, seen.format)
	return seen, nil
}

// firstModel is the model that the first row of an upload in another service's
// shape names, as far as its first bytes show it.
func firstModel(head []byte, f dataset.Format, c dataset.Compression) string {
	if !prompt.NamesModels(f) {
		return ""
	}
	var source io.Reader = bytes.NewReader(head)
	if c != dataset.Plain {
		packed, err := dataset.Decompress(source, c, 0)
		if err != nil {
			return ""
		}
		defer packed.Close()
		source = packed
	}
	rows, err := dataset.New(f, source, dataset.Position{}, dataset.Options{})
	if err != nil {
		return ""
	}
	for {
		row, err := rows.Next()
		if err != nil {
			return "" // the end of what was read ahead, if nothing else
		}
		if name := prompt.RowModel(row); name != "" {
			return name
		}
	}
}

// superseded decides the end of an upload that is not the newest version of
// its key any more, before anything is paid for it.
func (r *submitRun) superseded(ctx context.Context, h *hold) (bool, error) {
	now, err := r.input.Stat(ctx, h.Upload.Key, "")
	switch {
	case errors.Is(err, batch.ErrNotFound):
		return true, h.reject(ctx, "the file was deleted before it could be read")
	case err != nil:
		return false, fmt.Errorf("look at upload %s: %w", h.Upload.Key, err)
	}
	if h.Upload.VersionID != "" && h.Upload.VersionID != "null" && now.Version != h.Upload.VersionID {
		return true, h.end(ctx, Ending{State: Superseded, Reason: "a newer version of the file came before anything was run; that one is answered"})
	}
	return false, nil
}

func (r *run) head(ctx context.Context, u Upload) ([]byte, error) {
	body, err := r.input.Open(ctx, u.Key, version(u), 0, min(u.Size, dataset.HeadSize))
	return readHead(body, err, u.Key)
}

func readHead(body io.ReadCloser, err error, what string) ([]byte, error) {
	if err != nil {
		return nil, fmt.Errorf("read upload %s: %w", what, err)
	}
	defer body.Close()
	head, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("read upload %s: %w", what, err)
	}
	return head, nil
}

// version is the version to read an upload at; a bucket without versions has
// only the current one.
func version(u Upload) string {
	if u.VersionID == "null" {
		return ""
	}
	return u.VersionID
}

func (h *hold) reject(ctx context.Context, format string, args ...any) error {
	return h.end(ctx, Ending{State: Rejected, Reason: fmt.Sprintf(format, args...)})
}

// behind finds the base model behind a profile or custom model; the zero ID
// where the id itself is all that is known. Who may not look goes on without:
// only native answers, quotas and prices need it.
func (r *submitRun) behind(ctx context.Context, h *hold, id model.ID) (model.ID, error) {
	if r.models == nil || id.Resource != model.ApplicationProfile && id.Resource != model.CustomModel {
		return model.ID{}, nil
	}
	arn, err := r.models.BaseModel(ctx, id.Raw)
	if batch.Passing(err) || ctx.Err() != nil {
		return model.ID{}, err
	}
	var base model.ID
	if err == nil {
		base, err = model.Parse(arn)
	}
	if err != nil {
		r.note(ctx, "base model not known", h.ID, "model", id.Raw, "error", err)
		return model.ID{}, nil
	}
	return base, nil
}

// lower is the lower of two limits of which 0 means none.
func lower[T int64 | float64](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// settingsOf reads the workload that a submission was accepted with.
func (r *run) settingsOf(ctx context.Context, id string) (workload.Workload, error) {
	var w workload.Workload
	body, _, err := r.output.Get(ctx, workloadKey(id))
	if err != nil {
		return w, fmt.Errorf("read workload of submission %s: %w", id, err)
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return w, fmt.Errorf("read workload of submission %s: %w", id, err)
	}
	return w, nil
}
