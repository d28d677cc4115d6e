package deployed

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/bedrockbatch"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
	"github.com/bedrock-batch/bedrock-batch/shared/request"
)

// Request sends a request message: prompts, or an object of the input bucket,
// with settings of their own. It returns the id of the submission that it will
// be, for WaitRequest and Cancel. A request without an ID gets a new one; one with an
// ID may be sent any number of times, and is one submission. batch.ErrInvalid,
// if it would be rejected for its form.
func (p *Pipeline) Request(ctx context.Context, r request.Request) (submission string, err error) {
	if r.ID == "" {
		r.ID = "r-" + rand.Text()
	}
	op := "send request " + r.ID
	body, err := r.Encode()
	if err != nil {
		return "", bedrockbatch.Explain(err, op)
	}
	if err := p.uploads.Send(ctx, body, 0); err != nil {
		return "", bedrockbatch.Explain(err, op)
	}
	return pipeline.RequestID(r.ID), nil
}

// WaitRequest is Wait for a request's submission, which is not there before the
// pipeline has taken the message up.
func (p *Pipeline) WaitRequest(ctx context.Context, submission string, tell func(*pipeline.Submission)) (*pipeline.Submission, error) {
	for {
		if _, err := p.view().Submission(ctx, submission); !errors.Is(err, batch.ErrNotFound) {
			return p.Wait(ctx, submission, tell)
		}
		if err := p.sleep(ctx); err != nil {
			return nil, err
		}
	}
}
