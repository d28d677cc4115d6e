package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

// asked counts what the services were asked on demand since their ledger had
// so many bytes: how many times each question, by its hash.
func asked(t *testing.T, since int64) (times map[string]int, size int64) {
	t.Helper()
	times = map[string]int{}
	body, err := os.ReadFile(filepath.Join(home, "data", "bedrock", "asked.jsonl"))
	if os.IsNotExist(err) {
		return times, 0
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(body[since:]) {
		var one struct{ Question string }
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatal(err)
		}
		times[one.Question]++
	}
	return times, int64(len(body))
}

// killed starts the command and kills it after a random time; it reports
// whether it was still alive.
func killed(t *testing.T, random *rand.Rand, most time.Duration, args ...string) bool {
	t.Helper()
	cmd := command(args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(time.Duration(random.Int64N(int64(most))), func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
	defer kill.Stop()
	_ = cmd.Wait()
	status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return status.Signaled()
}

// What is answered on demand is paid for with the call: a killed process may
// lose the answers that were on their way, and no others.
func TestRunKilledWhileAskingOnDemandBuysNoStoredAnswerTwice(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 2))
	const questions = 90
	kills, again := 0, 0
	for round := range 4 {
		_, before := asked(t, 0)
		name := fmt.Sprintf("asked-%d-%d", seed, round)
		args := []string{"--json", "run", write(t, "q.jsonl", rows(questions, name)), "--name", name, "--model", model}
		here := 0
		for range 5 {
			if killed(t, random, 700*time.Millisecond, args...) {
				here++
			}
		}
		stdout, stderr, code := call(t, args...)
		all := objects(t, stdout)
		if code != 0 || len(all["answer"]) != questions {
			t.Fatalf("%s: exit code %d, %d answers\n%s", name, code, len(all["answer"]), stderr)
		}
		seen := map[float64]bool{}
		for _, a := range all["answer"] {
			seen[a["row"].(float64)] = true
		}
		times, _ := asked(t, before)
		bought := 0
		for _, n := range times {
			bought += n
		}
		if len(seen) != questions || len(times) != questions {
			t.Errorf("%s: %d rows answered, %d different questions asked, want %d", name, len(seen), len(times), questions)
		}
		if lost, most := bought-questions, here*config.Default().OnDemandConcurrency; lost > most {
			t.Errorf("%s: %d answers were bought and not stored, more than %d kills x %d at once", name, lost, here, config.Default().OnDemandConcurrency)
		}
		kills, again = kills+here, again+bought-questions
	}
	t.Logf("ledger: runs=4 questions=%d kills=%d bought_again=%d allowed=%d", 4*questions, kills, again, kills*config.Default().OnDemandConcurrency)
}
