package lambda_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The test binary is the function too: with TEST_FUNCTION set it asks the
// Runtime API for work.
func TestMain(m *testing.M) {
	switch os.Getenv("TEST_FUNCTION") {
	case "":
		os.Exit(m.Run())
	case "exits-at-once":
		os.Exit(3)
	}
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for calls := 1; ; calls++ {
		res, err := http.Get(base + "next")
		if err != nil {
			os.Exit(0) // the services are gone
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			os.Exit(0)
		}
		id := res.Header.Get("Lambda-Runtime-Aws-Request-Id")
		path, answer := handle(body, calls, res.Header)
		post, err := http.Post(base+id+"/"+path, "application/json", bytes.NewReader(answer))
		if err != nil {
			os.Exit(0)
		}
		post.Body.Close()
	}
}

func handle(event []byte, calls int, h http.Header) (path string, answer []byte) {
	var e struct {
		Do      string
		Records []struct{ MessageID, Body string }
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return "error", []byte(`{"errorType":"BadEvent"}`)
	}
	if e.Records != nil {
		failures := []map[string]string{}
		for _, r := range e.Records {
			if r.Body == "bad" {
				failures = append(failures, map[string]string{"itemIdentifier": r.MessageID})
			}
			if r.Body == "panic" {
				os.Exit(2)
			}
		}
		answer, _ = json.Marshal(map[string]any{"batchItemFailures": failures})
		return "response", answer
	}
	switch e.Do {
	case "fail":
		return "error", []byte(`{"errorType":"errorString","errorMessage":"as told"}`)
	case "exit":
		fmt.Println("about to exit")
		os.Exit(7)
	case "sleep":
		time.Sleep(time.Hour)
	case "grow":
		b := make([]byte, 64<<20)
		for i := range b {
			b[i] = byte(i)
		}
	case "wait": // until the file exists that the test makes
		for {
			if _, err := os.Stat(os.Getenv("GATE")); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	wd, _ := os.Getwd()
	leftovers, _ := filepath.Glob(filepath.Join(os.TempDir(), "*"))
	if err := os.WriteFile(filepath.Join(os.TempDir(), "left"), nil, 0o600); err != nil {
		return "error", []byte(`{"errorType":"TMPDIR"}`)
	}
	fmt.Println("handled", e.Do)
	answer, _ = json.Marshal(map[string]any{
		"calls": calls, "pid": os.Getpid(), "wd": wd, "tmp": os.TempDir(), "leftovers": len(leftovers),
		"env": os.Environ(), "arn": h.Get("Lambda-Runtime-Invoked-Function-Arn"), "deadline": h.Get("Lambda-Runtime-Deadline-Ms"),
	})
	return "response", answer
}
