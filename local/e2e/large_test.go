//go:build large

package e2e

import "testing"

// TestMemoryStaysFlatAtAGigabyte takes minutes and a few gigabytes of disk, so
// that it is a target of its own: make test-large.
func TestMemoryStaysFlatAtAGigabyte(t *testing.T) { flat(t, 100e6, 1000e6) }
