package bedrock

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bedrock-batch/bedrock-batch/local/bedrock/model"
)

// Bounds of the pool from which records are drawn in no particular order, and
// of how many are answered at a time.
const (
	poolRecords = 4096
	poolBytes   = 8 << 20
	atATime     = 8
)

// tally is how far a job is.
type tally struct {
	success, errors int64
	input, output   int64 // tokens
}

// run is one job at work.
type run struct {
	s     *Service
	j     *job
	d     detail
	base  model.Model
	store ObjectStore
	rand  *rand.Rand
	start time.Time
	// limit is how many records are done before time runs out; halt after how
	// many somebody stops the job.
	limit, halt int64
	done        tally
	step        int
}

// run answers the records of a job and writes its output. It returns what was
// done; fewer records than there are, without an error, means that time ran
// out. When ctx ends, what was done so far is stored.
func (s *Service) run(ctx context.Context, j *job, f fate) (tally, error) {
	_, store, err := s.store(ctx, j)
	if err != nil {
		return tally{}, err
	}
	base, ok := model.Lookup(j.BaseModel)
	if !ok {
		return tally{}, faultf("The model %s is not available any more.", j.BaseModel)
	}
	r := &run{s: s, j: j, d: j.Detail, base: base, store: store,
		rand:  rand.New(rand.NewPCG(s.hash("order", j.Detail.Name), 1)),
		start: s.cfg.Clock.Now(), limit: j.Records, halt: -1,
		step: int(max(1, min(512, j.Records/20)))}
	if f.partial {
		r.limit = min(j.Records-1, int64(f.share*float64(j.Records)))
	}
	if f.stopAt == InProgress {
		r.halt = int64(f.share * float64(j.Records))
	}
	files, err := inputs(s.ctx, store, r.d)
	if err != nil {
		return tally{}, err
	}
	for _, file := range files {
		if err := r.file(ctx, file); err != nil {
			return r.done, err
		}
		if r.over(ctx) {
			break
		}
	}
	if err := r.wait(ctx); err != nil && s.ctx.Err() != nil {
		return r.done, err
	}
	if ctx.Err() == nil && r.processed() == j.Records || f.manifest {
		return r.done, r.manifest()
	}
	return r.done, nil
}

func (r *run) processed() int64 { return r.done.success + r.done.errors }

// over reports whether nothing more may be done.
func (r *run) over(ctx context.Context) bool {
	return ctx.Err() != nil || r.processed() >= r.limit || !r.s.cfg.Clock.Now().Before(r.d.Expires.Time)
}

// file answers one input file. Its output begins with the first answer, so
// that a job that did nothing leaves nothing.
func (r *run) file(ctx context.Context, file Object) error {
	bucket, key := place(r.d.Input.S3.URI)
	body, err := r.store.Open(r.s.ctx, bucket, file.Key)
	if err != nil {
		return readFault(err, r.d)
	}
	defer body.Close()
	name := path.Base(file.Key)
	if !strings.HasSuffix(key, ".jsonl") { // a folder keeps its inner paths
		name = strings.TrimPrefix(strings.TrimPrefix(file.Key, key), "/")
	}
	out := &output{r: r, key: outputKey(r.j, name+".out")}
	err = r.records(ctx, newLines(body), out)
	return out.close(err)
}

// records draws records from a pool that is filled from the file.
func (r *run) records(ctx context.Context, in *lines, out *output) error {
	var pool []record
	var size int
	ended := false
	for !r.over(ctx) {
		for !ended && len(pool) < poolRecords && size < poolBytes {
			line, err := in.next()
			if errors.Is(err, io.EOF) {
				ended = true
				break
			}
			if err != nil {
				return fmt.Errorf("read the input: %w", err)
			}
			rec, err := in.read(line)
			if err != nil {
				return faultf("The input file changed while the job ran: line %d %v", in.no, err)
			}
			if !rec.hasID {
				rec.id = fmt.Sprintf("REC%08X", uint32(r.s.hash("record", r.d.Name, fmt.Sprint(in.no))))
			}
			rec.input = append([]byte(nil), rec.input...)
			pool = append(pool, rec)
			size += len(rec.input)
		}
		if len(pool) == 0 {
			return nil
		}
		n := min(len(pool), r.step, int(r.limit-r.processed()))
		if r.halt >= r.processed() {
			n = min(n, max(1, int(r.halt-r.processed())))
		}
		if !ended { // leave the pool full enough to shuffle the next lines
			n = min(n, max(1, len(pool)/2))
		}
		drawn := make([]record, n)
		for i := range drawn {
			k := r.rand.IntN(len(pool))
			drawn[i], pool[k] = pool[k], pool[len(pool)-1]
			pool = pool[:len(pool)-1]
			size -= len(drawn[i].input)
		}
		if err := r.answer(drawn, out); err != nil {
			return err
		}
		r.s.count(r.j, r.done)
		if tell := r.s.cfg.Progress; tell != nil {
			tell(r.d.Name, r.processed(), r.j.Records)
		}
		if r.halt >= 0 && r.processed() >= r.halt {
			r.halt = -1
			if err := r.s.halt(r.j); err != nil {
				return err
			}
		}
		if err := r.wait(ctx); err != nil {
			return r.s.ctx.Err() // nil where the job was stopped: keep what is done
		}
	}
	return nil
}

// wait keeps to the job's time.
func (r *run) wait(ctx context.Context) error {
	clock := r.s.cfg.Clock
	span := float64(r.s.cfg.JobTime) * 0.6
	want := time.Duration(span * float64(r.processed()) / float64(max(1, r.j.Records)))
	have := time.Duration(float64(clock.Now().Sub(r.start)) * clock.Speed())
	return clock.Sleep(ctx, want-have)
}

// answer answers records side by side and writes them in order.
func (r *run) answer(records []record, out *output) error {
	type answered struct {
		line   []byte
		result model.Result
		ok     bool
		err    error
	}
	all := make([]answered, len(records))
	var group sync.WaitGroup
	turn := make(chan int, len(records))
	for i := range records {
		turn <- i
	}
	close(turn)
	for range min(atATime, len(records)) {
		group.Go(func() {
			for i := range turn {
				a := &all[i]
				a.line, a.result, a.ok, a.err = r.one(records[i])
			}
		})
	}
	group.Wait()
	before := r.done
	defer func() { r.s.use(r.j, r.done.input-before.input, r.done.output-before.output) }()
	for _, a := range all {
		if a.err != nil {
			return a.err
		}
		if err := out.write(a.line); err != nil {
			return err
		}
		if a.ok {
			r.done.success++
		} else {
			r.done.errors++
		}
		r.done.input += a.result.InputTokens
		r.done.output += a.result.OutputTokens
	}
	return nil
}

// passing are the failures that another attempt may not meet.
var passing = []model.Error{
	{Status: 429, Message: "Too many requests, please wait before trying again."},
	{Status: 500, Message: "Internal server error"},
	{Status: 503, Message: "The service is unavailable, please try again."},
}

// one answers one record and makes its line of output.
func (r *run) one(rec record) (line []byte, result model.Result, ok bool, err error) {
	s := r.s
	refusal := new(model.Error)
	if s.chance("fail", r.d.Name, rec.id) < s.cfg.FailRecords {
		*refusal = passing[s.hash("which", r.d.Name, rec.id)%uint64(len(passing))]
	} else {
		result, err = s.cfg.Answers.Answer(s.ctx, model.Request{Model: r.base, Converse: r.d.Invocation == "Converse",
			Batch: true, Body: rec.input, Seed: s.hash("answer", rec.id)})
		switch {
		case err == nil:
			ok = true
		case s.ctx.Err() != nil:
			return nil, result, false, s.ctx.Err()
		case !errors.As(err, &refusal):
			refusal = &model.Error{Status: 500, Message: "Internal server error"}
			s.log.Error("a record could not be answered", "job", r.d.ARN, "record", rec.id, "error", err)
		}
	}
	id, err := jsontext.AppendQuote(nil, rec.id)
	if err != nil {
		return nil, result, false, fmt.Errorf("write the record id of %s: %w", r.d.ARN, err)
	}
	members := [][2][]byte{{[]byte(`"recordId":`), id}, {[]byte(`"modelInput":`), rec.input}}
	if ok {
		members = append(members, [2][]byte{[]byte(`"modelOutput":`), result.Body})
	} else {
		message, err := jsontext.AppendQuote(nil, refusal.Message)
		if err != nil { // the message quotes something that is not UTF-8
			message = []byte(`"Malformed input request"`)
		}
		members = append(members, [2][]byte{[]byte(`"error":`), fmt.Appendf(nil, `{"errorCode":%d,"errorMessage":%s}`, refusal.Status, message)})
	}
	first := int(s.hash("members", r.d.Name, rec.id) % 6) // the order of members varies
	members[0], members[first%3] = members[first%3], members[0]
	if first >= 3 {
		members[1], members[2] = members[2], members[1]
	}
	line = append(make([]byte, 0, len(rec.input)+len(result.Body)+96), '{')
	for i, m := range members {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(append(line, m[0]...), m[1]...)
	}
	return append(line, "}\n"...), result, ok, nil
}

// manifest writes the counts and tokens of the whole job.
func (r *run) manifest() error {
	t := r.done
	body := fmt.Sprintf(`{"totalRecordCount":%d,"processedRecordCount":%d,"successRecordCount":%d,"errorRecordCount":%d,"inputTokenCount":%d,"outputTokenCount":%d}`,
		r.j.Records, t.success+t.errors, t.success, t.errors, t.input, t.output)
	bucket, _ := place(r.d.Output.S3.URI)
	if err := r.store.Put(r.s.ctx, bucket, outputKey(r.j, "manifest.json.out"), strings.NewReader(body)); err != nil {
		return writeFault(err, r.d)
	}
	return nil
}

// output is one output file in the making.
type output struct {
	r    *run
	key  string
	pipe *io.PipeWriter
	buf  *bufio.Writer
	done chan error
}

func (o *output) write(line []byte) error {
	if o.pipe == nil {
		reader, writer := io.Pipe()
		o.pipe, o.buf, o.done = writer, bufio.NewWriterSize(writer, 256<<10), make(chan error, 1)
		bucket, _ := place(o.r.d.Output.S3.URI)
		go func() {
			err := o.r.store.Put(o.r.s.ctx, bucket, o.key, reader)
			reader.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // a writer that goes on must not hang
			o.done <- err
		}()
	}
	if _, err := o.buf.Write(line); err != nil {
		return writeFault(err, o.r.d)
	}
	return nil
}

// close stores what was written, or nothing if cause is an error.
func (o *output) close(cause error) error {
	if o.pipe == nil {
		return cause
	}
	if cause == nil {
		cause = o.buf.Flush()
	}
	o.pipe.CloseWithError(cause) // nil: the regular end
	if err := <-o.done; err != nil && (cause == nil || errors.Is(cause, io.ErrClosedPipe)) {
		return writeFault(err, o.r.d)
	}
	return cause
}
