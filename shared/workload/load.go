package workload

import (
	"context"
	"errors"

	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
)

// Getter reads an object of the input bucket whole. batch.ErrNotFound where
// there is none.
type Getter func(ctx context.Context, key string) ([]byte, error)

// Found is where the settings of an upload come from.
type Found struct {
	// Folder is the folder of the nearest workload.yaml, without a slash at
	// the end and "" for the root; the upload's own folder if there is none.
	Folder string
	// Own says that there is a workload.yaml at all.
	Own bool
}

// Parse reads the text of a workload.yaml; file is its name in errors. All
// problems are reported at once, as Problems.
func Parse(file string, data []byte) (Workload, error) {
	return Workload{}, errors.New("not written")
}

// Merge lays over on top of base, key by key; maps are merged key by key too.
func Merge(base, over Workload) Workload { return over }

// Load merges the workload.yaml files from the bucket's root down to the
// folder of key over def. It returns Problems for files that are wrong and
// the errors of get as they are.
func Load(ctx context.Context, get Getter, key string, def Workload) (Workload, Found, error) {
	return def, Found{}, errors.New("not written")
}

// Check validates the merged settings for uploads of format f: that a model
// and the source of a prompt are there, and that the keys go together.
func (w *Workload) Check(f dataset.Format) error { return nil }

// Unsupported names the settings and the format that this version cannot
// serve yet; nil if it can serve all.
func Unsupported(w Workload, f dataset.Format) error { return nil }
