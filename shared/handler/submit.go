package handler

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// Submit handles the uploads queue.
type Submit struct{ queue }

// NewSubmit handles messages with s; what has to wait is sent to uploads
// again. now is the clock of the invocations' deadlines.
func NewSubmit(s *pipeline.Submit, bucket string, uploads pipeline.Queue, log *slog.Logger, now func() time.Time) *Submit {
	h := &Submit{queue{log: log, resend: uploads, now: now, requests: true}}
	h.route = func(ctx context.Context, in pipeline.Invocation, m message) error {
		switch m.kind {
		case kindTest:
			return nil
		case kindUploads:
			u := m.uploads[0]
			if u.Bucket != bucket {
				return fmt.Errorf("an object of bucket %s, this deployment's is %s: %w", u.Bucket, bucket, errJunk)
			}
			return s.Uploaded(ctx, in, u)
		case kindRequest:
			return s.Requested(ctx, in, m.name, bucket, m.body)
		case kindStateChange:
			return s.SlotFree(ctx, in, m.event.Detail.ModelID)
		}
		switch m.own.Do {
		case pipeline.DoContinue:
			return s.Continue(ctx, in, m.own.Submission)
		case pipeline.DoStop:
			return s.Stop(ctx, in, m.own.Submission)
		case pipeline.DoDispatch:
			return s.Dispatch(ctx, in, m.own.Model)
		case pipeline.DoSettle:
			return s.Settle(ctx, in, m.own.Folder)
		case pipeline.DoTick:
			return s.Tick(ctx, in)
		}
		return fmt.Errorf("do %q is not known here: %w", m.own.Do, errJunk)
	}
	return h
}
