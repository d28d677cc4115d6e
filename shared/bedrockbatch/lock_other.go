//go:build !unix

package bedrockbatch

// lock gives a name of its own to each process: one that starts again after
// the death of another waits until the dead one's lease has run out.
func lock(string, string) (owner string, unlock func(), err error) {
	return random(), func() {}, nil
}
