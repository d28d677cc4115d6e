package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// environment is what a shell needs to use the services as the user.
func environment(endpoint string, user *access.Principal, outputs map[string]string) string {
	vars := map[string]string{
		// Version 1 of the AWS CLI and boto3 ask for the second name alone.
		"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": access.Region, "AWS_DEFAULT_REGION": access.Region,
		"AWS_ACCESS_KEY_ID": user.AccessKeyID, "AWS_SECRET_ACCESS_KEY": user.Secret,
		"AWS_EC2_METADATA_DISABLED": "true",
	}
	for name, value := range outputs {
		vars[variable(name)] = value
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(vars[name], "'", `'\''`))
	}
	return b.String()
}

var hump = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// variable is the environment's name of a stack output: InputBucket is
// BB_INPUT_BUCKET.
func variable(output string) string {
	return "BB_" + strings.ToUpper(hump.ReplaceAllString(output, "${1}_${2}"))
}

// writeWhole puts a file in place in one step, so that nobody reads half of it.
func writeWhole(path, text string) error {
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = temp.WriteString(text)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return nil
}

// lock makes sure that one process uses the data folder. The lock ends with
// the process, however it ends.
func lock(dir string) (release func() error, err error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid, _ := os.ReadFile(path) // only for the message
		return nil, errors.Join(fmt.Errorf("the data folder %s is in use by process %s: stop that one, or use another --data",
			dir, strings.TrimSpace(string(pid))), f.Close())
	}
	if err := errors.Join(f.Truncate(0), write(f, fmt.Sprintln(os.Getpid()))); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

func write(f *os.File, text string) error {
	_, err := f.WriteString(text)
	return err
}
