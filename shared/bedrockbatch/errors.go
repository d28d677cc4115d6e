package bedrockbatch

import (
	"context"
	"errors"
	"fmt"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// Error is what the methods of this package return: what was attempted, the
// class of the failure, what to do about it, and the cause. Compare classes
// with errors.Is and package batch's sentinels (batch.ErrAccess, ...), and
// reach the service's own words with errors.As and *batch.ServiceError.
type Error struct {
	// Op is what was attempted, as "create run reviews".
	Op string
	// Class is one of the sentinels of package batch, nil if none fits.
	Class error
	// Advice is one sentence on what to do.
	Advice string
	// Err is the cause.
	Err error
}

func (e *Error) Error() string {
	text := e.Op + ": " + e.Err.Error()
	if e.Advice != "" {
		text += " (" + e.Advice + ")"
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Retryable reports whether the same call may succeed later, unchanged.
func (e *Error) Retryable() bool { return batch.Passing(e.Err) }

// Denied is an access error with the policy statement that would allow the
// call.
type Denied struct {
	// Statement is one or more IAM policy statements, as JSON.
	Statement string
	Err       error
}

func (e *Denied) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Denied) Unwrap() error { return e.Err }

// classes and what to do about each, the first that fits.
var classes = []struct {
	class  error
	advice string
}{
	{batch.ErrAccess, "check the credentials and their rights"},
	{batch.ErrThrottled, "too many calls at once: wait a little, or run fewer jobs at once"},
	{batch.ErrQuota, "all slots of the account's quota for this model are taken: wait for a job to end, or ask for a higher quota"},
	{batch.ErrInUse, "a job of this name exists"},
	{batch.ErrConflict, ""},
	{batch.ErrNotFound, "check name, bucket and region"},
	{batch.ErrInvalid, ""},
	{batch.ErrPrecondition, "somebody else changed it at the same time: try again"},
	{batch.ErrUnavailable, "the service or the network failed: try again; nothing is paid for twice"},
}

// explain makes an Error of err, unless it is one already. The end of a
// context is left as it is.
func explain(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	op := fmt.Sprintf(format, args...)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", op, err)
	}
	e := &Error{Op: op, Err: err}
	for _, c := range classes {
		if errors.Is(err, c.class) {
			e.Class, e.Advice = c.class, c.advice
			break
		}
	}
	var denied *Denied
	if errors.As(err, &denied) {
		e.Advice = "allow it with " + denied.Statement
	}
	return e
}

// invalid is an Error about what the caller asked for.
func invalid(op, format string, args ...any) error {
	return &Error{Op: op, Class: batch.ErrInvalid, Err: fmt.Errorf(format+": %w", append(args, batch.ErrInvalid)...)}
}

func conflict(op, advice, format string, args ...any) error {
	return &Error{Op: op, Class: batch.ErrConflict, Advice: advice, Err: fmt.Errorf(format+": %w", append(args, batch.ErrConflict)...)}
}
