package answer

import "testing"

// SetMaxLine limits lines for the time of a test.
func SetMaxLine(t testing.TB, n int) {
	t.Helper()
	testMaxLine = n
	t.Cleanup(func() { testMaxLine = 0 })
}
