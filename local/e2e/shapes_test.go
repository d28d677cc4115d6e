package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestAFewRowsAreAnsweredOnDemandThroughThrottling(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{flags: []string{"--throttle", "0.4", "--seed", "7"}})
	u.settings("", nova)
	u.drop("three.jsonl", prompts(3))
	u.drop("ninety-nine.jsonl", prompts(99))
	u.settings("claude/", "model: us.anthropic.claude-haiku-4-5-20251001-v1:0\n")
	u.drop("claude/native.jsonl", natives(4))
	u.settings("never/", "small: reject\n")
	u.drop("never/three.jsonl", prompts(3))
	for key, rows := range map[string]int{"three.jsonl": 3, "ninety-nine.jsonl": 99, "claude/native.jsonl": 4} {
		if n := u.completed(key, rows); len(n.Jobs) != 0 {
			t.Errorf("%s: jobs %+v", key, n.Jobs)
		}
	}
	if n := u.notice("never/three.jsonl"); n.Status != "Rejected" || !strings.Contains(n.Reason, "small: reject") {
		t.Errorf("notice: %s", n.Raw)
	}
	if jobs := u.jobs(); len(jobs) > 0 {
		t.Errorf("jobs: %+v", jobs)
	}
	u.ended()
}

func TestSizesAroundTheQuotasMakeLegalJobs(t *testing.T) {
	t.Parallel()
	sizes := []int{1, 99, 100, 101, 239, 240, 241, 290, 339, 340, 480, 481}
	cases := []struct {
		name, quotas string
		records      int64
	}{
		{"by records", quotas, 240},
		// 133 bytes a record: 120 records a file.
		{"by bytes", `quotas={"min_records":100,"max_records":50000,"max_file_bytes":16000}`, 120},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			u := begin(t, setup{flags: []string{"--set", c.quotas}})
			u.settings("", nova)
			for _, rows := range sizes {
				u.drop(fmt.Sprintf("%d.jsonl", rows), prompts(rows))
			}
			for _, rows := range sizes {
				n := u.completed(fmt.Sprintf("%d.jsonl", rows), rows)
				if rows < 100 && len(n.Jobs) > 0 {
					t.Errorf("%d rows: jobs %+v", rows, n.Jobs)
				}
			}
			for _, j := range u.jobs() {
				if j.status != "Completed" || j.records < 100 || j.records > c.records {
					t.Errorf("job %+v", j)
				}
			}
			u.ended()
		})
	}
}

func TestAFolderOfDocumentsIsOneSubmission(t *testing.T) {
	t.Parallel()
	const documents = 130
	u := begin(t, setup{})
	u.settings("letters/", nova+"prompt_template: 'Say it in few words: {content}'\ngather: {quiet: 3s}\n")
	bodies := map[string][]byte{}
	for i := range documents {
		bodies[fmt.Sprintf("letters/%s/%03d.txt", []string{"north", "south"}[i%2], i)] = []byte(subject(i) + ".\nSecond line with \"quotes\".\n")
	}
	u.dropAll(bodies)
	n := u.folder("letters", 1)[0]
	if n.Status != "Completed" || n.Rows.Total != documents || len(n.Jobs) != 1 {
		t.Fatalf("notice: %s", n.Raw)
	}
	seen := map[string]bool{}
	for _, r := range lines[result](u, n.Results.Results) {
		text, _, _ := strings.Cut(string(bodies[r.Source]), ".")
		if seen[r.Source] || !strings.Contains(r.Output, text) {
			t.Errorf("row %d: source %q, want each document once with its own answer: %s", r.Row, r.Source, r.Output)
		}
		seen[r.Source] = true
	}
	if len(seen) != documents {
		t.Errorf("%d documents are answered, want %d", len(seen), documents)
	}
	// What comes later is the next submission, and nothing is taken twice.
	u.drop("letters/late.txt", []byte(subject(777)))
	late := u.folder("letters", 2)[1]
	if late.Rows.Total != 1 || late.Status != "Completed" {
		t.Errorf("the late document's notice: %s", late.Raw)
	}
	u.ended()
}

// dropAll drops many objects, some at a time.
func (u *user) dropAll(bodies map[string][]byte) {
	u.t.Helper()
	keys := make(chan string, len(bodies))
	for key := range bodies {
		keys <- key
	}
	close(keys)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for key := range keys {
				u.drop(key, bodies[key])
			}
		})
	}
	group.Wait()
}

// folder waits for n notices on keys below a folder.
func (u *user) folder(prefix string, n int) []notice {
	u.t.Helper()
	var found []notice
	u.within(*patience, "notices on "+prefix, func() string {
		found = slices.DeleteFunc(u.said(), func(n notice) bool { return !strings.HasPrefix(n.Upload.Key, prefix) })
		if len(found) < n {
			return fmt.Sprintf("%d of %d came; in the output bucket: %s", len(found), n, u.brief(""))
		}
		return ""
	})
	if len(found) > n {
		u.t.Fatalf("%d notices on %s, want %d: %+v", len(found), prefix, n, found)
	}
	return found
}

func TestASpreadsheetComesBackAsASpreadsheet(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{})
	u.settings("sheet/", nova+"prompt_template: 'Say it in few words: {what to say}'\nid_column: Nr\n")
	var b bytes.Buffer
	b.WriteString("\xef\xbb\xbf")
	w := csv.NewWriter(&b)
	want := [][]string{{"Nr", "what to say", "remark"}}
	for i := 1; i <= 110; i++ {
		want = append(want, []string{fmt.Sprint(i), subject(i), "quoted, with \"signs\"\nand a line break"})
	}
	if err := w.WriteAll(want); err != nil {
		t.Fatal(err)
	}
	u.drop("sheet/orders.csv", b.Bytes())
	n := u.completed("sheet/orders.csv", 110)
	if n.Results.CSV == "" {
		t.Fatalf("no results.csv: %s", n.Raw)
	}
	got, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(u.read(n.Results.CSV), []byte("\xef\xbb\xbf")))).ReadAll()
	if err != nil || len(got) != len(want) {
		t.Fatalf("results.csv: %d rows, %v; want %d", len(got), err, len(want))
	}
	for i := range want {
		if !slices.Equal(got[i][:3], want[i]) {
			t.Fatalf("row %d of results.csv is %q, want it to begin with %q", i, got[i], want[i])
		}
		if i > 0 && !strings.Contains(strings.Join(got[i][3:], " "), subject(i)) {
			t.Fatalf("row %d of results.csv has no answer: %q", i, got[i])
		}
	}
	u.ended()
}

func TestCompressedUploadsAreReadLikeOthers(t *testing.T) {
	t.Parallel()
	u := begin(t, setup{})
	u.settings("", nova)
	var zipped bytes.Buffer
	g := gzip.NewWriter(&zipped)
	if _, err := g.Write(prompts(140)); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	packed := z.EncodeAll(prompts(150), nil)
	u.drop("a.jsonl.gz", zipped.Bytes())
	u.drop("a.jsonl.zst", packed)
	u.drop("half.jsonl.gz", zipped.Bytes()[:zipped.Len()/2])
	u.completed("a.jsonl.gz", 140)
	u.completed("a.jsonl.zst", 150)
	if n := u.notice("half.jsonl.gz"); n.Status != "Rejected" || n.Reason == "" {
		t.Errorf("a broken archive: %s", n.Raw)
	}
	u.ended()
}
