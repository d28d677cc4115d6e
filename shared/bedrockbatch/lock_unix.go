//go:build unix

package bedrockbatch

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// lock makes sure that no other process of this machine works on a run, and
// gives the name under which this machine takes leases on it. The system frees
// the lock of a process that dies, so that who starts again takes over at
// once.
func lock(dir, key string) (owner string, unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	name := filepath.Join(dir, key+".lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if err == syscall.EWOULDBLOCK {
			return "", nil, errLocked
		}
		return "", nil, fmt.Errorf("lock %s: %w", name, err)
	}
	owner, err = ownerIn(f)
	if err != nil {
		f.Close()
		return "", nil, fmt.Errorf("read %s: %w", name, err)
	}
	return owner, func() { f.Close() }, nil
}

// ownerIn reads the owner's name in a lock file, or makes one.
func ownerIn(f *os.File) (string, error) {
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return "", err
	}
	if len(text) == 32 {
		return string(text), nil
	}
	owner := random()
	if err := f.Truncate(0); err != nil {
		return "", err
	}
	if _, err := f.WriteAt([]byte(owner), 0); err != nil {
		return "", err
	}
	return owner, nil
}
