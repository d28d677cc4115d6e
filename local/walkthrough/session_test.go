package walkthrough_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/local/npm"
)

// localFlags make the services of a session quick and let them share the
// machine with others; a reader has the defaults.
const localFlags = "--port 0 --speed 20 --job-time 20s"

// patience is how long a document may take, many times what it does on an idle
// machine.
const patience = 15 * time.Minute

func TestTheCommandsOfTheDocumentsWork(t *testing.T) {
	folder, err := filepath.Abs(filepath.Join(root, ".build", "walkthrough"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	release := lock(t, filepath.Join(folder, "lock"))
	defer release()
	dir, bin := filepath.Join(folder, "checkout"), filepath.Join(folder, "bin")
	env := environment(bin)
	if err := errors.Join(os.RemoveAll(bin), os.MkdirAll(bin, 0o755), installCLI(folder, bin), checkout(dir)); err != nil {
		t.Fatal(err)
	}
	// What docs/cli.md asks for, from here instead of a release.
	install := exec.Command("go", "install", "./cmd/bedrock-batch")
	install.Dir, install.Env = dir, env
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("go install: %v\n%s", err, out)
	}
	all := documents(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text, local := script(name, all[name])
		if !strings.Contains(text, "\necho '== ") && !local {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if err := checkout(dir); err != nil {
				t.Fatal(err)
			}
			if local {
				makeLocal(t, dir, env)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			shell := exec.CommandContext(ctx, "bash")
			shell.Args = append(shell.Args, "-c", text)
			shell.Dir, shell.Env = dir, env
			shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGTERM) }
			shell.WaitDelay = 10 * time.Second
			out, err := shell.CombinedOutput()
			if err != nil {
				t.Errorf("%v after:\n%s", err, tail(out))
			}
		})
	}
}

// lock keeps two runs in one repository apart.
func lock(t *testing.T, path string) (release func()) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// environment is this process's own, without what could lead to an account.
func environment(bin string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "BB_") && !strings.HasPrefix(v, "MAKE") && !strings.HasPrefix(v, "MFLAGS") {
			env = append(env, v)
		}
	}
	return append(env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "GOBIN="+bin, "LOCAL_FLAGS="+localFlags,
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=")
}

// cli starts the AWS CLI, version 1. Alone of all services it has an address of
// its own for SQS, over AWS_ENDPOINT_URL: what a reader with version 1 adds to
// such commands is added here. Version 2 needs nothing.
const cli = `#!/bin/sh
if [ "$1" = sqs ] && [ -n "$AWS_ENDPOINT_URL" ]; then set -- --endpoint-url "$AWS_ENDPOINT_URL" "$@"; fi
exec python3 '%s' "$@"
`

// installCLI puts the AWS CLI into bin. It is unpacked once into folder.
func installCLI(folder, bin string) error {
	modules, err := npm.Modules("awscli", folder, "awscli")
	if err != nil {
		return err
	}
	ready := filepath.Join(modules, "unpacked")
	if _, err := os.Stat(ready); err != nil {
		making := ready + ".making"
		if err := errors.Join(os.RemoveAll(making), unpack(filepath.Join(modules, "@aws-cdk", "asset-awscli-v1", "lib", "layer.zip"), making)); err != nil {
			return err
		}
		if err := os.Rename(making, ready); err != nil {
			return err
		}
	}
	path := filepath.Join(bin, "aws")
	if err := os.WriteFile(path, fmt.Appendf(nil, cli, filepath.Join(ready, "awscli", "aws")), 0o755); err != nil {
		return err
	}
	if out, err := exec.Command(path, "--version").CombinedOutput(); err != nil {
		return fmt.Errorf("the AWS CLI needs Python 3.10 or newer: %w\n%s", err, out)
	}
	return nil
}

// unpack unpacks a zip file that AWS packed.
func unpack(from, to string) (err error) {
	archive, err := zip.OpenReader(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	for _, f := range archive.File {
		path := filepath.Join(to, filepath.FromSlash(f.Name))
		if f.FileInfo().IsDir() {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		in, err := f.Open()
		if err != nil {
			return err
		}
		data, err := io.ReadAll(in)
		if err := errors.Join(err, in.Close(), os.WriteFile(path, data, 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// makeLocal is the other terminal: make local until the test ends, which it
// ends by Ctrl-C.
func makeLocal(t *testing.T, dir string, env []string) {
	t.Helper()
	// A group of its own, which Ctrl-C reaches as a whole in a terminal.
	terminal := exec.Command("make", "local")
	terminal.Dir, terminal.Env = dir, env
	terminal.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	var said bytes.Buffer
	terminal.Stdout, terminal.Stderr = &said, &said
	if err := terminal.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- terminal.Wait() }()
	t.Cleanup(func() {
		if err := syscall.Kill(-terminal.Process.Pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error("Ctrl-C:", err)
		}
		select {
		case <-ended:
			if _, err := os.Stat(filepath.Join(dir, ".local", "env")); err == nil {
				t.Error("after Ctrl-C the env file is still there")
			}
		case <-time.After(time.Minute):
			t.Error("make local did not end:", syscall.Kill(-terminal.Process.Pid, syscall.SIGKILL))
			<-ended
		}
		if t.Failed() {
			t.Logf("make local said:\n%s", tail(said.Bytes()))
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, ".local", "env")); err == nil {
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("make local ended: %v\n%s", err, &said)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("make local is not ready")
		}
	}
}

// tail is the end of what was said, from the last block on if that is more.
func tail(out []byte) []byte {
	at := bytes.LastIndex(out, []byte("\n== "))
	return out[max(0, min(at, len(out)-4000)):]
}
