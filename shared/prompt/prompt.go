// Package prompt makes the modelInput of a record out of a row: the prompt
// template filled with the row's members, wrapped as a Converse request body;
// or, for native rows, the bytes as the user wrote them.
package prompt

import (
	"errors"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/dataset"
	"github.com/bedrock-batch/bedrock-batch/shared/workload"
)

// Renderer makes modelInputs. It is not safe for concurrent use.
type Renderer struct{}

// NewRenderer prepares the rendering of rows of format f under the settings w.
func NewRenderer(w workload.Workload, f dataset.Format) (*Renderer, error) {
	return nil, errors.New("not written")
}

// Append appends the row's modelInput to dst. A row that cannot be rendered
// leaves dst as it was and says why.
func (r *Renderer) Append(dst []byte, row *dataset.Row) ([]byte, *dataset.Bad) {
	return dst, nil
}

// Invocation is the shape of the records that rows of format f become.
func Invocation(w workload.Workload, f dataset.Format) batch.Invocation {
	return batch.Converse
}
