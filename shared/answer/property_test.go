package answer_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/answer"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
)

// naive is the same join with everything in memory and one line after the
// other: what Order must equal whatever the limits and however the lines are
// spread.
type naive struct {
	results, failed    string
	answered, failures int64
	missing            int64
	foreign, duplicate int64
	unreadable         int64
}

// made is a generated line: what is in it, and what must come of it.
type made struct {
	row      int64 // 0: without a readable recordId
	text     string
	answered bool
	tail     string
}

func makeLine(r *rand.Rand, row int64) made {
	rid := id(row)
	says := strings.Repeat("w", r.IntN(1+1<<r.IntN(9)))
	switch r.IntN(12) {
	case 0, 1:
		code := []int{400, 429, 500, 403}[r.IntN(4)]
		return made{row: row,
			text: fmt.Sprintf(`{"error":{"errorCode":%d,"errorMessage":%q},"modelInput":{"p":%q},"recordId":%q}`, code, says, says, rid),
			tail: fmt.Sprintf(`,"code":"%d","message":%q,"retryable":%t,"missing":false,"modelInput":{"p":%q}}`, code, says, code >= 429, says)}
	case 2:
		return made{row: row, text: fmt.Sprintf(`{"recordId":%q,"modelInput":{"p":1}}`, rid),
			tail: `,"code":"no_answer","message":"the output line has neither modelOutput nor error","retryable":true,"missing":false,"modelInput":{"p":1}}`}
	case 3:
		return made{text: `{"modelInput":{"` + says}
	default:
		return made{row: row, answered: true,
			text: fmt.Sprintf(`{"modelInput":{"p":%q},"modelOutput":{"stopReason":"max_tokens","output":{"message":{"content":[{"text":%q}]}},"usage":{"outputTokens":%d,"inputTokens":3}},"recordId":%q}`, says, says, len(says), rid),
			tail: fmt.Sprintf(`,"output":%q,"stopReason":"max_tokens","usage":{"inputTokens":3,"outputTokens":%d},"attempt":2}`, says, len(says))}
	}
}

func join(rows []int64, lines []made) naive {
	var n naive
	ours := map[int64]bool{}
	for _, row := range rows {
		ours[row] = true
	}
	best := map[int64]made{}
	for _, l := range lines {
		switch {
		case l.row == 0:
			n.unreadable++
			continue
		case !ours[l.row]:
			n.foreign++
			continue
		}
		old, twice := best[l.row]
		if twice {
			n.duplicate++
		}
		if !twice || !old.answered && l.answered {
			best[l.row] = l
		}
	}
	var results, failed strings.Builder
	for _, row := range rows {
		l, ok := best[row]
		switch {
		case !ok:
			n.missing++
			l.tail = `,"code":"missing","message":"the job's output has no line for this row","retryable":true,"missing":true}`
		case l.answered:
			n.answered++
			fmt.Fprintf(&results, `{"recordId":%q,"row":%d,"id":"u%d"%s`+"\n", id(row), row, row, l.tail)
			continue
		default:
			n.failures++
		}
		fmt.Fprintf(&failed, `{"row":%d,"recordId":%q,"id":"u%d","source":%d,"off":%d,"len":9%s`+"\n", row, id(row), row, row%3, row*9, l.tail)
	}
	n.results, n.failed = results.String(), failed.String()
	return n
}

func TestOrderEqualsANaiveJoinWhateverTheShuffleAndTheLimits(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		var rows []int64
		var idx []byte
		for row, n := int64(1+r.IntN(50)), 0; n < r.IntN(400); n++ {
			rows = append(rows, row)
			idx = part.AppendEntry(idx, part.Entry{Row: row, Off: row * 9, Len: 9, Source: int(row % 3), ID: fmt.Appendf(nil, `"u%d"`, row)})
			row += 1 + int64(r.IntN(1+r.IntN(3)))
		}
		var lines []made
		for _, row := range rows {
			switch r.IntN(20) {
			case 0: // missing
			case 1:
				lines = append(lines, makeLine(r, row), makeLine(r, row))
			case 2:
				lines = append(lines, makeLine(r, row+1_000_000))
				fallthrough
			default:
				lines = append(lines, makeLine(r, row))
			}
		}
		r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })

		files := make([]bytes.Buffer, 1+r.IntN(4))
		at := 0
		for i, l := range lines {
			if at < len(files)-1 && r.IntN(len(lines)) < len(files) {
				at++
			}
			files[at].WriteString(l.text)
			files[at].WriteString([]string{"\n", "\r\n", "\n\n"}[r.IntN(3)])
			if i == len(lines)-1 && r.IntN(2) == 0 {
				files[at].Truncate(len(bytes.TrimRight(files[at].Bytes(), "\r\n")))
			}
		}
		var out []answer.Output
		for i := range files {
			out = append(out, outputs(files[i].String())...)
		}
		limits := []int64{-1, 1, 60, 500, 3000, 20_000, 1 << 20}
		job := answer.Job{
			Index: text(string(idx)), Outputs: out, Attempt: 2,
			Memory: limits[r.IntN(len(limits))], Spill: limits[r.IntN(len(limits))],
		}
		answer.ReadInSteps(t, 1<<r.IntN(20), 0, 1+r.IntN(3))
		got, want := order(t, job), join(rows, lines)
		if got.results != want.results {
			t.Fatalf("seed %d, limits %d and %d: results\n%s\nwant\n%s", seed, job.Memory, job.Spill, got.results, want.results)
		}
		if got.failed != want.failed {
			t.Fatalf("seed %d, limits %d and %d: failed\n%s\nwant\n%s", seed, job.Memory, job.Spill, got.failed, want.failed)
		}
		ta := got.tally
		if ta.Answered != want.answered || ta.Failed != want.failures || ta.Missing != want.missing ||
			ta.Foreign != want.foreign || ta.Duplicate != want.duplicate || ta.Unreadable != want.unreadable ||
			ta.Records != int64(len(rows)) || ta.Answered+ta.Failed+ta.Missing != ta.Records {
			t.Fatalf("seed %d: tally %+v, want %+v", seed, ta, want)
		}
	}
}

func TestSmallLimitsCostPassesAndNeverTheResult(t *testing.T) {
	var rows []int64
	var lines []string
	for row := int64(1); row <= 200; row++ {
		rows = append(rows, row)
		lines = append(lines, converse(row, strings.Repeat("z", 500)))
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	all := strings.Join(lines, "")
	var first string
	for _, c := range []struct {
		name          string
		memory, spill int64
		passes        int
	}{
		{"all in memory", 1 << 20, -1, 1},
		{"all in the file", -1, 1 << 20, 1},
		{"half in memory", 60_000, 1 << 20, 1},
		{"a tenth at a time", 6_000, 6_000, 11},
		{"one row at a time", -1, -1, 201},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := order(t, answer.Job{Index: text(index(rows...)), Outputs: outputs(all), Memory: c.memory, Spill: c.spill})
			if first == "" {
				first = got.results
			}
			if got.results != first || got.tally.Answered != 200 {
				t.Errorf("other results; tally %+v", got.tally)
			}
			if p := got.tally.Passes; p < c.passes*4/5 || p > c.passes*6/5+1 {
				t.Errorf("%d passes, want about %d", p, c.passes)
			}
		})
	}
}

// Rows set aside leave gaps, evenly or all in one place.
func TestRowsAreFoundWhereTheyStand(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		var rows []int64
		next := 1 + random.Int64N(1e9)
		for range random.IntN(200) {
			rows = append(rows, next)
			if next++; random.IntN(10) == 0 {
				next += random.Int64N([]int64{2, 5, 1000, 1e8}[random.IntN(4)])
			}
		}
		if got, ok := answer.Position(rows, 0); ok {
			t.Fatalf("row 0 at %d of %v", got, rows)
		}
		for want, row := range rows {
			if got, ok := answer.Position(rows, row); !ok || got != want {
				t.Fatalf("row %d at %d, %v, want %d of %v", row, got, ok, want, rows)
			}
			for _, other := range []int64{row - 1, row + 1} {
				if _, there := slices.BinarySearch(rows, other); there {
					continue
				}
				if got, ok := answer.Position(rows, other); ok {
					t.Fatalf("row %d, which is not there, at %d of %v", other, got, rows)
				}
			}
		}
	}
}
