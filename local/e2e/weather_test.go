package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// bad are the weather flags: a tenth of everything goes wrong, functions are
// killed at any moment, and two jobs at a time must do.
var bad = []string{
	"--slots", "2", "--throttle", "0.1", "--fail-records", "0.1", "--partial", "0.1", "--expire", "0.1", "--stop", "0.1",
	"--lose-events", "0.1", "--repeat-events", "0.1", "--delay-events", "20s", "--reorder", "--kill-functions", "0.1",
	"--slow-s3", "5ms", "--job-time", "6s", "--set", quotas, "--set", `stale_after="5s"`, "--set", `late_output="20s"`,
}

// workers is the concurrency of on-demand requests, in one function at the most.
const workers = 8

func TestFiftyUploadsInBadWeatherEndWithoutHelp(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{scheduled: true, flags: bad, edit: func(_ *testing.T, c *cloud) { c.timeout(20, 120) }})
	random := rand.New(rand.NewPCG(4, 2))
	u.settings("", nova)
	u.settings("docs/", nova+"prompt_template: 'Say it in few words: {content}'\ngather: {quiet: 20s}\n")
	u.settings("tables/", nova+"prompt_template: 'About {subject}'\n")
	rows := map[string]int64{}
	for i := range 50 {
		n := []int{1, 7, 60, 99, 100, 150, 239, 240, 241, 500}[random.IntN(10)]
		from := i*1000 + 1 // each asks questions of its own, so that asking again can be told
		key, body := fmt.Sprintf("mixed/%02d.jsonl", i), promptsFrom(from, n)
		switch i % 5 {
		case 1:
			key, body = fmt.Sprintf("mixed/%02d.jsonl.gz", i), packed(t, promptsFrom(from, n))
		case 2:
			key, body = fmt.Sprintf("tables/%02d.csv", i), table(from, n)
		case 3:
			body = append(body, "this is no row\n"...)
			n++
		}
		rows[key] = int64(n)
		u.drop(key, body)
	}
	documents := map[string][]byte{}
	for i := range 30 {
		documents[fmt.Sprintf("docs/%02d.txt", i)] = []byte(subject(i))
	}
	u.dropAll(documents)

	total := map[string]int64{}
	u.within(4**patience, "a notice of each upload", func() string {
		clear(total)
		once := map[string]bool{} // a notice may come twice, with the same id
		for _, n := range u.said() {
			if !once[n.NoticeID] {
				total[n.Upload.Key] += n.Rows.Total
			}
			once[n.NoticeID] = true
		}
		missing := 0
		for key, n := range rows {
			if total[key] != n {
				missing++
			}
		}
		if missing > 0 || total["docs"] != int64(len(documents)) {
			return fmt.Sprintf("%d uploads have no notice yet, %d of %d documents", missing, total["docs"], len(documents))
		}
		return ""
	})
	u.once()

	names := map[string]int{}
	created := 0
	for _, j := range u.jobs() {
		names[j.name]++
		created++
		if names[j.name] > 1 {
			t.Errorf("job %s was created twice", j.name)
		}
	}
	sum := map[string]int64{}
	status := map[string]int{}
	for _, n := range u.said() {
		status[n.Status]++
		sum["total"] += n.Rows.Total
		sum["answered"] += n.Rows.Answered
		sum["failed"] += n.Rows.Failed
		sum["set aside"] += n.Rows.SetAside
		sum["missing"] += n.Rows.Missing
		if n.Status == "Rejected" || n.Status == "Superseded" || n.Status == "Stopped" {
			t.Errorf("notice: %s", n.Raw)
		}
	}
	asked, again := u.bought()
	deaths := u.crashes("submit") + u.crashes("collect")
	for _, i := range u.invocations(t, "submit") {
		if i.Outcome == "timeout" {
			deaths++
		}
	}
	t.Logf("weather: uploads=%d submissions=%d %v rows=%v jobs=%d on_demand=%d bought_again=%d functions_killed=%d",
		len(rows)+1, len(u.said()), status, sum, created, asked, again, deaths)
	// What was bought and could not be stored is asked again: at most what
	// was under way in each function that died.
	if again > deaths*workers {
		t.Errorf("%d answers were bought again, %d functions died with at most %d requests under way each", again, deaths, workers)
	}
	if deaths == 0 {
		t.Error("no function was killed: the weather was too good")
	}
}

// bought counts the answers given on demand, and those to questions that had
// been answered before.
func (u *user) bought() (asked, again int) {
	u.t.Helper()
	seen := map[string]bool{}
	for _, b := range u.purchases() {
		if asked++; seen[b.Question] {
			again++
		}
		seen[b.Question] = true
	}
	return asked, again
}

// purchase is an answer given on demand, and how many were being given as it
// began.
type purchase struct {
	Question string
	Together int
}

func (u *user) purchases() (all []purchase) {
	u.t.Helper()
	data, err := os.ReadFile(filepath.Join(u.dir, "data", "bedrock", "asked.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		u.t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var b purchase
		if err := json.Unmarshal(line, &b); err != nil {
			u.t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

func packed(t *testing.T, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func table(from, n int) []byte {
	var b bytes.Buffer
	b.WriteString("id,subject,note\n")
	for i := from; i < from+n; i++ {
		fmt.Fprintf(&b, "%d,%s,\"first line\nsecond \"\"line\"\"\"\n", i, subject(i))
	}
	return b.Bytes()
}
