package main_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

var update = flag.Bool("update", false, "rewrite the golden screens")

// terminal opens a pseudo-terminal: what is written to the second end is read
// from the first.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	control := func(request uintptr, value *int32) {
		if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, screen.Fd(), request, uintptr(unsafe.Pointer(value))); e != 0 {
			t.Fatal(e)
		}
	}
	var locked, number int32
	control(syscall.TIOCSPTLCK, &locked)
	control(syscall.TIOCGPTN, &number)
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return screen, tty
}

// shown is what stands on the screen in the end: a line that is begun again
// replaces what it showed.
func shown(raw []byte) string {
	var lines []string
	for line := range strings.SplitSeq(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\n") {
		if i := strings.LastIndex(line, "\r\x1b[K"); i >= 0 {
			line = line[i+len("\r\x1b[K"):]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func onTerminal(t *testing.T, dir string, args ...string) (string, []byte) {
	t.Helper()
	screen, tty := terminal(t)
	defer screen.Close()
	cmd := command(args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, tty, tty
	cmd.Env = append(os.Environ(), "TERM=xterm")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	var raw bytes.Buffer
	// The last end that closes makes an error of the read.
	if _, err := io.Copy(&raw, screen); err != nil && !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	return shown(raw.Bytes()) + fmt.Sprintf("exit code %d\n", cmd.ProcessState.ExitCode()), raw.Bytes()
}

func TestScreensOnATerminal(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"few.jsonl": rows(3, "screen"), "many.jsonl": rows(120, "screen"), "bad.jsonl": rows(2, "bad screen") + "nonsense\n",
		"notes/workload.yaml": settingsFile + "prompt_template: 'Summarise: {content}'\n", "notes/a.md": "Alpha", "notes/b.md": "Beta",
	} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		args []string
		bar  bool
	}{
		{"run-few", []string{"run", "few.jsonl", "--model", model, "--out", "few"}, true},
		{"run-many", []string{"run", "many.jsonl", "--model", model, "--out", "many"}, true},
		{"run-folder", []string{"run", "notes", "--out", "answers"}, true},
		{"run-bad", []string{"run", "bad.jsonl", "--model", model, "--out", "bad"}, true},
		{"validate", []string{"validate", "bad.jsonl", "--model", model, "--max-tokens", "100"}, false},
		{"usage", []string{"run", "few.jsonl", "--colour"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, raw := onTerminal(t, dir, c.args...)
			if c.bar != bytes.Contains(raw, []byte("\r\x1b[K[")) {
				t.Errorf("a bar is drawn: %v", !c.bar)
			}
			golden := filepath.Join("testdata", c.name+".screen")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the screen shows\n%s\nwant\n%s", got, want)
			}
		})
	}
}
