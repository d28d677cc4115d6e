package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// owner names the process that listens on a port of this machine, as far as
// Linux tells this user; empty if not.
func owner(port int) string {
	inode := listening(port)
	if inode == "" {
		return ""
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err != nil || to != "socket:["+inode+"]" {
			continue // not ours to read, or gone
		}
		pid := strings.Split(link, "/")[2]
		command, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		if err != nil {
			return "process " + pid
		}
		return fmt.Sprintf("process %s: %s", pid, bytes.TrimSpace(bytes.ReplaceAll(command, []byte{0}, []byte{' '})))
	}
	return ""
}

// listening is the inode of the socket that listens on the port.
func listening(port int) string {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			continue // not Linux
		}
		for line := range strings.Lines(string(data)) {
			// number, local address:port, remote, state (0A listens), ..., inode
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != "0A" {
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
				return f[9]
			}
		}
	}
	return ""
}
