package main_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "rewrite the golden screens")

// The test's terminal has so many columns.
const wide = 110

// terminal opens a pseudo-terminal: what is written to the second end is read
// from the first.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: wide}); err != nil {
		t.Fatal(err)
	}
	return screen, tty
}

// shown is what stands on the screen in the end, as a terminal of that width
// shows it: a line that is too long goes on in the next, and what is rewritten
// is gone. Lines that wrap because they are long are joined again.
func shown(raw []byte) string {
	type row struct {
		text []rune
		goes bool // on in the next row
	}
	rows, at := []row{{}}, 0
	put := func(r rune) {
		last := &rows[len(rows)-1]
		if at == wide {
			last.goes = true
			rows, at = append(rows, row{}), 0
			last = &rows[len(rows)-1]
		}
		if at == len(last.text) {
			last.text = append(last.text, r)
		} else {
			last.text[at] = r
		}
		at++
	}
	text := []rune(string(raw))
	for i := 0; i < len(text); i++ {
		switch r := text[i]; {
		case r == '\r':
			at = 0
		case r == '\n':
			rows, at = append(rows, row{}), 0
		case r == '\t':
			for put(' '); at%8 != 0; {
				put(' ')
			}
		case r == '\x1b' && string(text[i:min(i+3, len(text))]) == "\x1b[K":
			last := &rows[len(rows)-1]
			last.text = last.text[:min(at, len(last.text))]
			i += 2
		default:
			put(r)
		}
	}
	var b strings.Builder
	for i, r := range rows {
		b.WriteString(string(r.text))
		if !r.goes && i+1 < len(rows) {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// onTerminal runs the command on a terminal of its own. type, if not empty, is
// typed once the screen shows until.
func onTerminal(t *testing.T, dir, until, typed string, args ...string) (string, []byte) {
	t.Helper()
	screen, tty := terminal(t)
	defer screen.Close()
	cmd := command(args...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, tty, tty, tty
	cmd.Env = append(os.Environ(), "TERM=xterm")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	var raw bytes.Buffer
	for buf := make([]byte, 4096); ; {
		n, err := screen.Read(buf)
		raw.Write(buf[:n])
		if typed != "" && strings.Contains(raw.String(), until) {
			if _, err := screen.WriteString(typed); err != nil {
				t.Fatal(err)
			}
			typed = ""
		}
		if errors.Is(err, syscall.EIO) || err == io.EOF { // the last end has closed
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Wait()
	return shown(raw.Bytes()) + fmt.Sprintf("exit code %d\n", cmd.ProcessState.ExitCode()), raw.Bytes()
}

// changing is what differs from one time to the next.
var changing = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`arn:aws:bedrock:[^ ]*:model-invocation-job/[a-z0-9]{12}`), "<job>"},
	{regexp.MustCompile(`\b[0-9a-f]{26}\b`), "<submission>"},
	{regexp.MustCompile(`\b20[0-9]{2}-[0-9]{2}-[0-9]{2}[T ][0-9:]{8}Z?`), "<time>"},
	{regexp.MustCompile(`s3://[a-z0-9-]+/`), "s3://<bucket>/"},
}

func steady(screen string) string {
	for _, c := range changing {
		screen = c.what.ReplaceAllString(screen, c.by)
	}
	return screen
}

// uploadsInOrder sorts the lines about uploads: they are in parallel.
func uploadsInOrder(screen string) string {
	lines := strings.SplitAfter(screen, "\n")
	n := 0
	for n < len(lines) && strings.HasPrefix(lines[n], "s3://") {
		n++
	}
	slices.Sort(lines[:n])
	return strings.Join(lines, "")
}

// golden compares a screen with the one that is kept.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".screen")
	got = steady(got)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the screen shows\n%s\nwant\n%s", got, want)
	}
}

// bar is how a line of progress begins.
const bar = "\r\x1b[K"

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
	const runs = "staged/screens/"
	for _, c := range []struct {
		name string
		args []string
		bar  bool
	}{
		{"help", nil, false},
		{"run-few", []string{"run", "few.jsonl", "--model", model, "--out", "few"}, true},
		{"run-many", []string{"run", "many.jsonl", "--model", model, "--out", "many", "--prefix", runs, "--name", "many"}, true},
		{"run-again", []string{"run", "many.jsonl", "--model", model, "--out", "many", "--prefix", runs, "--name", "many"}, true},
		{"run-answers", []string{"run", "few.jsonl", "--model", model}, true},
		{"run-folder", []string{"run", "notes", "--out", "answers"}, true},
		{"run-bad", []string{"run", "bad.jsonl", "--model", model, "--out", "bad"}, true},
		{"runs-list", []string{"runs", "list", "--prefix", runs}, false},
		{"runs-status", []string{"runs", "status", "many", "--prefix", runs}, false},
		{"runs-wait", []string{"runs", "wait", "many", "--out", "waited", "--prefix", runs}, true},
		{"runs-cancel", []string{"runs", "cancel", "many", "--prefix", runs}, false},
		{"validate", []string{"validate", "bad.jsonl", "--model", model, "--max-tokens", "100"}, false},
		{"try", []string{"try", "many.jsonl", "--model", model, "--rows", "2"}, true},
		{"setup", []string{"setup", "--bucket", "b", "--role", "arn:aws:iam::123456789012:role/r", "--only", "trust"}, false},
		{"man", []string{"man", "pages"}, false},
		{"usage", []string{"run", "few.jsonl", "--colour"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, raw := onTerminal(t, dir, "", "", c.args...)
			if c.bar != bytes.Contains(raw, []byte(bar)) {
				t.Errorf("a bar is drawn: %v", !c.bar)
			}
			golden(t, c.name, got)
		})
	}
	stdout, _, _ := call(t, "--json", "runs", "status", "many", "--prefix", runs)
	arn := objects(t, stdout)["run"][0]["parts"].([]any)[0].(map[string]any)["jobArn"].(string)
	stdout, _, _ = call(t, "--json", "jobs", "status", arn)
	name := objects(t, stdout)["job"][0]["name"].(string)
	for _, c := range []struct {
		name string
		args []string
	}{
		{"jobs-list", []string{"jobs", "list", "--name", name}},
		{"jobs-status", []string{"jobs", "status", arn}},
		{"jobs-wait", []string{"jobs", "wait", arn}},
		{"jobs-cancel", []string{"jobs", "cancel", arn}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := onTerminal(t, dir, "", "", c.args...)
			golden(t, c.name, got)
		})
	}
}

func TestScreensOfADeployedPipeline(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"screens/workload.yaml": settingsFile, "screens/many.jsonl": rows(120, "deployed screen"),
		"screens/odd.jsonl":   `{"recordId":"good","modelInput":{"messages":[{"role":"user","content":[{"text":"Say yes."}]}]}}` + "\n" + `{"recordId":"bad","modelInput":{"messages":"wrong"}}` + "\n",
		"later/workload.yaml": settingsFile, "later/later.jsonl": rows(100, "later screen"),
	} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	waiting := func() {
		t.Helper()
		for range 200 {
			if stdout, _, _ := call(t, "status", "later/later.jsonl"); strings.Contains(stdout, "1st in line") {
				return
			}
		}
		t.Fatal("it does not come into the line")
	}
	for _, c := range []struct {
		name   string
		args   []string
		before func()
	}{
		{"submit", []string{"submit", "screens", "--wait", "--out", "back"}, nil},
		{"status", []string{"status", "screens/many.jsonl"}, nil},
		{"watch", []string{"watch", "screens/many.jsonl"}, nil},
		{"results", []string{"results", "screens/odd.jsonl", "--out", "odd"}, nil},
		{"retry", []string{"retry", "screens/odd.jsonl", "--wait"}, nil},
		{"pause", []string{"pause"}, nil},
		{"submit-later", []string{"submit", "later"}, nil},
		{"status-waiting", []string{"status", "later/later.jsonl"}, waiting},
		{"uploads", []string{"uploads"}, nil},
		{"cancel", []string{"cancel", "later/later.jsonl"}, nil},
		{"resume", []string{"resume"}, nil},
		{"watch-cancelled", []string{"watch", "later/later.jsonl"}, nil},
		{"redrive", []string{"redrive"}, nil},
		{"backfill", []string{"backfill", "screens/"}, nil},
		{"doctor", []string{"doctor", "--model", model}, nil},
		{"not-found", []string{"status", "no/such/key"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.before != nil {
				c.before()
			}
			got, _ := onTerminal(t, dir, "", "", c.args...)
			golden(t, "deployed-"+c.name, uploadsInOrder(got))
		})
	}
}

func TestCtrlCOnATerminalLeavesJobsRunning(t *testing.T) {
	// Three jobs, one at a time and looked at once an hour: it cannot end
	// before it is interrupted.
	dir := folder(t, map[string]string{"workload.yaml": settingsFile + "quotas: {max_records: 200}\n", "many.jsonl": rows(500, "ctrl-c")})
	args := []string{"run", "many.jsonl", "--out", "many", "--name", "ctrl-c", "--max-concurrent-jobs", "1"}
	got, _ := onTerminal(t, dir, bar, "\x03", append(args, "--poll", "1h")...)
	if i := strings.Index(got, "["); i >= 0 { // how far it was
		if j := strings.IndexByte(got[i:], '\n'); j >= 0 {
			got = got[:i] + "<progress>" + got[i+j:]
		}
	}
	golden(t, "interrupted", got)
	if _, said, code := call(t, "runs", "wait", "ctrl-c", "--out", t.TempDir()); code != 0 || !strings.Contains(said, "500 answered") {
		t.Errorf("exit code %d\n%s", code, said)
	}
}

// A terminal that is narrower than the line of progress still shows one line.
func TestProgressFitsTheTerminal(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"a\n" + bar + strings.Repeat("x", wide-1) + bar + "short\n", "a\nshort\n"},
		{bar + strings.Repeat("x", wide+1) + bar + "short\n", strings.Repeat("x", wide) + "short\n"},
		{"a\tb\r\n", "a       b\n"},
	} {
		if got := shown([]byte(c.raw)); got != c.want {
			t.Errorf("%q shows %q, want %q", c.raw, got, c.want)
		}
	}
}
