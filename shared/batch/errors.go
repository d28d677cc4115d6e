package batch

import (
	"errors"
	"fmt"
)

// The classes of failure that the callers of the ports tell apart. Adapters
// wrap them with what was attempted and on which thing; compare with
// errors.Is.
var (
	// ErrNotFound: the object, version, job, model or role does not exist.
	ErrNotFound = errors.New("not found")
	// ErrPrecondition: a conditional write lost: the object exists already
	// (IfAbsent), or has another entity tag, or another write is under way.
	// The caller reads again and decides again; the loser may have been
	// beaten by its own earlier try.
	ErrPrecondition = errors.New("precondition failed")
	// ErrThrottled: too many calls (HTTP 429 or its like); again later.
	ErrThrottled = errors.New("throttled")
	// ErrUnavailable: the service or the network failed (5xx, time-out,
	// connection lost). The effect may or may not have taken place.
	ErrUnavailable = errors.New("unavailable")
	// ErrQuota: no slot is free (ServiceQuotaExceededException); minutes later.
	ErrQuota = errors.New("quota exceeded")
	// ErrInUse: a job of this name or token exists ("currently in use",
	// whether as Conflict or as Validation). Never a failure: look it up.
	ErrInUse = errors.New("name in use")
	// ErrConflict: the thing is in a state that does not allow the call, as
	// stopping a job that has ended.
	ErrConflict = errors.New("conflict")
	// ErrAccess: the caller may not do this (HTTP 403).
	ErrAccess = errors.New("access denied")
	// ErrInvalid: the request itself is wrong; repeating it is of no use.
	ErrInvalid = errors.New("invalid")
)

// Passing reports whether err may go away by itself, so that the same call is
// worth repeating later: throttling, unavailability, a full quota.
func Passing(err error) bool {
	return errors.Is(err, ErrThrottled) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrQuota)
}

// ServiceError carries a service's own code and words to people. It unwraps to
// one of the classes above.
type ServiceError struct {
	// Class is one of the sentinels of this package.
	Class error
	// Code is the service's error code, as ValidationException.
	Code string
	// Message is the service's text.
	Message string
	// Status is the HTTP status, 0 where there was no answer.
	Status int
}

func (e *ServiceError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("%s (%v)", e.Code, e.Class)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

func (e *ServiceError) Unwrap() error { return e.Class }
