// Package data makes the uploads and job outputs of the benchmark. Everything
// follows from a row's number, so that what must come out can be written down
// without the code that is measured.
package data

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
)

// Shape is how the rows of an upload are written.
type Shape string

// The shapes.
const (
	Prompt    Shape = "prompt"    // {"id","prompt"} of about 2 KB
	Native    Shape = "native"    // {"id","modelInput"} of about 2 KB
	OpenAI    Shape = "openai"    // chat completions of about 2 KB
	Template  Shape = "template"  // {"id","title","text"} of about 2 KB, for Ask
	CSV       Shape = "csv"       // id,title,text of about 2 KB, for Ask
	Short     Shape = "short"     // {"prompt"} of about 30 bytes
	Documents Shape = "documents" // {"id","prompt"} of just under 1 MB
)

// Ask is the prompt template of Template and CSV, as a workload.yaml has it.
const Ask = "Summarise {title}: {text}"

// Key is the upload's key.
func (s Shape) Key() string {
	if s == CSV {
		return "bench/upload.csv"
	}
	return "bench/upload.jsonl"
}

// Workload is the workload.yaml beside it.
func (s Shape) Workload() string {
	w := "model: amazon.nova-lite-v1:0\nretries: 0\ninference: {max_tokens: 512, temperature: 0}\n"
	switch s {
	case Native:
		return w + "invocation: converse\n"
	case Template, CSV:
		return w + "prompt_template: '" + Ask + "'\noutput: {csv: false}\n"
	case Documents, Short, Prompt, OpenAI:
	}
	return w
}

// Broken is how often a row is none: every thousandth, from the 500th on.
const Broken = 1000

// Good reports whether a row becomes a record.
func (s Shape) Good(row int64) bool {
	return s == Short || s == Documents || s == CSV || row%Broken != Broken/2
}

// Failed reports whether the job has an error for a row: one of a hundred.
func Failed(row int64) bool { return row%100 == 37 }

// texts are the insides of JSON strings that rows are made of.
var texts, answers = pool(11, 1, 1900), pool(12, 2, 1000)

// Sentences, as they stand in JSON: English with escapes, letters of other
// scripts as they are, and the same written with escapes.
var (
	plain   = []string{`The zipper broke after two days, but support sent a new bag at once.\n`, `She said: \"it works\", and closed the lid. `, `Paths look like C:\\data\\new on that machine.\t`, `Please summarise the following paragraph in a few words and keep the tone. `, `Nothing else was in the parcel when it came on Monday morning, `}
	foreign = []string{`Größe und Übermut führen zu später Erkenntnis. `, `これはとても良い製品です。`, `Спасибо за быструю доставку! `, `😀 очень хорошо 🎉 `, `Le café était déjà fermé, hélas. `}
	escaped = []string{`Gr\u00f6\u00dfe und \u00dcbermut. `, `\u3053\u308c\u306f\u826f\u3044\u88fd\u54c1\u3067\u3059\u3002`, `\u0421\u043f\u0430\u0441\u0438\u0431\u043e! `, `\ud83d\ude00 and \ud83c\udf89. `}
)

func pool(seed1, seed2 uint64, size int) []string {
	r := rand.New(rand.NewPCG(seed1, seed2))
	out := make([]string, 4000)
	for i := range out {
		kind := plain
		switch n := r.IntN(100); {
		case n < 15:
			kind = foreign
		case n < 30:
			kind = escaped
		}
		var b strings.Builder
		for want := size/2 + r.IntN(size); b.Len() < want; {
			b.WriteString(kind[r.IntN(len(kind))])
		}
		out[i] = b.String()
	}
	return out
}

// at spreads rows over a pool.
func at(pool []string, row int64) string {
	return pool[uint64(row)*0x9E3779B97F4A7C15>>32%uint64(len(pool))]
}

// megabyte is just under 1 MB of text.
var megabyte = strings.Repeat(`Row after row of the same long letter, with \"quotes\" and größe. `, 14_500)

// Text is what a row asks, as it stands between the quotes of a JSON string.
func (s Shape) Text(row int64) string {
	switch s {
	case Short:
		return "q" + strconv.FormatInt(row, 10)
	case Documents:
		return strconv.FormatInt(row, 10) + " " + megabyte
	case CSV:
		return strings.NewReplacer(`\n`, " ", `\t`, " ", `\"`, "'", `\\`, "/", `\u`, "/u").Replace(at(texts, row))
	case Prompt, Native, OpenAI, Template:
	}
	return at(texts, row)
}

const title = "letter "

// AppendRow appends a row with its line end.
func (s Shape) AppendRow(b []byte, row int64) []byte {
	if !s.Good(row) {
		return append(b, "{\"prompt\": not JSON, row "+strconv.FormatInt(row, 10)+"}\n"...)
	}
	id := fmt.Sprintf("u%08d", row)
	switch s {
	case Native:
		b = append(append(b, `{"id":"`+id+`","modelInput":`...), s.ModelInput(row)...)
		return append(b, "}\n"...)
	case OpenAI:
		b = append(b, `{"custom_id":"`+id+`","method":"POST","url":"/v1/chat/completions","body":{"model":"gpt","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"`...)
		return append(append(b, s.Text(row)...), "\"}],\"max_tokens\":512,\"temperature\":0}}\n"...)
	case Template:
		b = append(b, `{"id":"`+id+`","title":"`+title+id+`","text":"`...)
		return append(append(b, s.Text(row)...), "\"}\n"...)
	case CSV:
		return append(b, id+`,`+title+id+`,"`+s.Text(row)+"\"\n"...)
	case Short:
		return append(b, `{"prompt":"`+s.Text(row)+"\"}\n"...)
	case Prompt, Documents:
	}
	b = append(append(b, `{"id":"`+id+`","prompt":"`...), s.Text(row)...)
	return append(b, "\"}\n"...)
}

// ID is the user's id as JSON, empty where rows have none.
func (s Shape) ID(row int64) string {
	if s == Short {
		return ""
	}
	return fmt.Sprintf(`"u%08d"`, row)
}

// ModelInput is what the row's record must hold, byte for byte.
func (s Shape) ModelInput(row int64) string {
	text, system := s.Text(row), ""
	switch s {
	case Template, CSV:
		text = "Summarise " + title + fmt.Sprintf("u%08d", row) + ": " + text
	case OpenAI:
		system = `,"system":[{"text":"Be brief."}]`
	case Prompt, Native, Short, Documents:
	}
	return `{"messages":[{"role":"user","content":[{"text":"` + text + `"}]}]` + system + `,"inferenceConfig":{"maxTokens":512,"temperature":0}}`
}

// RecordID is the id of a row's record.
func RecordID(row int64) string { return fmt.Sprintf("r%010d", row) }

// Answer is what the model says to a row, between the quotes of a JSON string.
func (s Shape) Answer(row int64) string {
	if s == Short {
		return "a" + strconv.FormatInt(row, 10)
	}
	return at(answers, row)
}

// AppendOutput appends the job's line about a row.
func (s Shape) AppendOutput(b []byte, row int64) []byte {
	b = append(append(b, `{"modelInput":`...), s.ModelInput(row)...)
	if Failed(row) {
		return append(b, `,"error":{"errorCode":400,"errorMessage":"The input was refused."},"recordId":"`+RecordID(row)+"\"}\n"...)
	}
	b = append(append(b, `,"modelOutput":{"output":{"message":{"role":"assistant","content":[{"text":"`...), s.Answer(row)...)
	return append(b, fmt.Sprintf(`"}]}},"stopReason":"end_turn","usage":{"inputTokens":%d,"outputTokens":%d,"totalTokens":%d},"metrics":{"latencyMs":812}},"recordId":"%s"}`+"\n", 400+row%7, 200+row%5, 600+row%7+row%5, RecordID(row))...)
}

// Result is the row's line of results.jsonl, without its end.
func (s Shape) Result(row int64) string {
	id := s.ID(row)
	if id != "" {
		id = `,"id":` + id
	}
	return fmt.Sprintf(`{"recordId":"%s","row":%d%s,"output":"%s","stopReason":"end_turn","usage":{"inputTokens":%d,"outputTokens":%d},"attempt":1}`,
		RecordID(row), row, id, s.Answer(row), 400+row%7, 200+row%5)
}

// WriteUpload writes an upload of at least size bytes, or of exactly rows rows
// where those are given, and returns its rows and bytes.
func (s Shape) WriteUpload(path string, size, rows int64) (made, written int64, err error) {
	err = write(path, func(w io.Writer) error {
		var line []byte
		if s == CSV {
			line = append(line, "id,title,text\n"...)
			written = int64(len(line))
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		for made < rows || rows == 0 && written < size {
			made++
			line = s.AppendRow(line[:0], made)
			written += int64(len(line))
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		return nil
	})
	return made, written, err
}

// WriteOutput writes what a job makes of the rows from first to last, shuffled.
func (s Shape) WriteOutput(path string, first, last int64) (lines, failed, written int64, err error) {
	var rows []int64
	for row := first; row <= last; row++ {
		if s.Good(row) {
			rows = append(rows, row)
			if Failed(row) {
				failed++
			}
		}
	}
	r := rand.New(rand.NewPCG(uint64(first), uint64(last)))
	r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	err = write(path, func(w io.Writer) error {
		var line []byte
		for _, row := range rows {
			line = s.AppendOutput(line[:0], row)
			written += int64(len(line))
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		return nil
	})
	return int64(len(rows)), failed, written, err
}

func write(path string, fill func(io.Writer) error) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := fill(w); err != nil {
		return err
	}
	return w.Flush()
}
