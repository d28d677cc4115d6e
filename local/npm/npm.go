// Package npm fetches packages of the npm registry that tests use: programs
// and libraries of others that are no part of the product.
package npm

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Modules is the absolute path of a node_modules folder with exactly what the
// lock file in the folder source says. It is made once for each state of the
// lock file and kept in the folder cache, below a name that begins with name;
// two processes may ask at once. Only the first call needs the registry.
func Modules(source, cache, name string) (string, error) {
	if _, err := exec.LookPath("npm"); err != nil {
		return "", fmt.Errorf("packages of %s need Node.js 20 or newer with npm in PATH: %w", source, err)
	}
	cache, err := filepath.Abs(cache)
	if err != nil {
		return "", err
	}
	lock, err := os.ReadFile(filepath.Join(source, "package-lock.json"))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(lock)
	ready := filepath.Join(cache, name+"-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(ready); err == nil {
		return filepath.Join(ready, "node_modules"), nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	making, err := os.MkdirTemp(cache, "making-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(making) // moved away when all went well
	for _, file := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile(filepath.Join(source, file))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(making, file), data, 0o644); err != nil {
			return "", err
		}
	}
	fetch := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
	fetch.Dir = making
	if out, err := fetch.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci of %s (it needs the npm registry once; later runs use %s): %w\n%s", source, cache, err, out)
	}
	// Go tools look into this folder no more than into a module of its own.
	if err := os.WriteFile(filepath.Join(making, "go.mod"), []byte("module "+name+"\n"), 0o644); err != nil {
		return "", err
	}
	if err := os.Rename(making, ready); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err // existing: another test was faster
	}
	return filepath.Join(ready, "node_modules"), nil
}
