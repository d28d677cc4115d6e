package e2e

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// resident is the most memory that a function's process may hold.
const resident = 256 << 20

func TestMemoryStaysFlatAt60And300Megabytes(t *testing.T) {
	t.Parallel()
	flat(t, 60e6, 300e6)
}

// flat runs two uploads, one after the other, each on services of its own, and
// compares the high-water marks of the functions' processes.
func flat(t *testing.T, small, big int64) {
	peaks := map[string][2]int64{}
	for i, size := range []int64{small, big} {
		u := begin(t, setup{flags: []string{"--job-time", "1s"}})
		u.settings("", nova+"inference: {max_tokens: 100}\n")
		path := filepath.Join(t.TempDir(), "upload.jsonl")
		rows := heavy(t, path, size)
		u.dropFile("heavy.jsonl", path)
		u.completed("heavy.jsonl", rows)
		u.ended()
		for _, function := range []string{"submit", "collect"} {
			var peak int64
			for _, inv := range u.invocations(t, function) {
				peak = max(peak, inv.MaxRSSBytes)
			}
			if peak == 0 || peak > resident {
				t.Errorf("%s: %d MB resident with %d MB, the limit is %d MB", function, peak>>20, size/1e6, resident>>20)
			}
			p := peaks[function]
			p[i] = peak
			peaks[function] = p
		}
	}
	for function, p := range peaks {
		t.Logf("%s: %d MB resident with %d MB, %d MB with %d MB", function, p[0]>>20, int64(small/1e6), p[1]>>20, int64(big/1e6))
		// Once the buffers are full nothing grows with the upload; what the
		// garbage collector leaves lying varies a little.
		if p[1] > p[0]+p[0]/2+(16<<20) {
			t.Errorf("%s grows with the upload: %d MB resident, %d MB with the small one", function, p[1]>>20, p[0]>>20)
		}
	}
}

// heavy writes prompt rows of 6 KB each.
func heavy(t *testing.T, path string, size int64) (rows int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	tail := strings.Repeat("It is so and not so. ", 280)
	for written := int64(0); written < size; {
		rows++
		n, err := fmt.Fprintf(out, `{"id":"u%d","prompt":"Say it in few words: %s. %s"}`+"\n", rows, subject(rows), tail)
		if err != nil {
			t.Fatal(err)
		}
		written += int64(n)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// dropFile is drop for what is too large to hold.
func (u *user) dropFile(key, path string) {
	u.t.Helper()
	f, err := os.Open(path)
	if err != nil {
		u.t.Fatal(err)
	}
	defer f.Close()
	if _, err := u.s3.PutObject(u.t.Context(), &s3.PutObjectInput{Bucket: &u.input, Key: &key, Body: f}); err != nil {
		u.t.Fatalf("drop %s: %v", key, err)
	}
}
