package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/bench/data"
	"github.com/bedrock-batch/bedrock-batch/bench/standin"
	"github.com/bedrock-batch/bedrock-batch/shared/aws/s3"
	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/pipeline"
)

// session is one sitting: a stand-in in a process of its own, and a folder of
// uploads and outputs.
type session struct {
	dir      string
	exe      string // this program, which is every job of Go as well
	python   string
	endpoint string
	server   *exec.Cmd
	output   *s3.Bucket
	// served is the stand-in's CPU time at the last look.
	served float64
}

// serve is the role of the stand-in's process: it says where it is, and ends
// with its standard input.
func serve() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); os.Exit(0) }()
	return http.Serve(l, standin.Handler())
}

func begin(dir, python string) (*session, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &session{dir: dir, exe: exe, python: python}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s.server = exec.Command(exe, "serve")
	s.server.Stderr = os.Stderr
	if _, err := s.server.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.server.Start(); err != nil {
		return nil, fmt.Errorf("start the stand-in: %w", err)
	}
	if _, err := fmt.Fscanln(out, &s.endpoint); err != nil {
		return nil, fmt.Errorf("ask the stand-in where it is: %w", err)
	}
	s.output = s3.New(awsConfig(s.endpoint), outBucket, s3.Settings{})
	return s, nil
}

func (s *session) end() {
	_ = s.server.Process.Kill()
	_ = s.server.Wait()
	_ = os.RemoveAll(s.dir)
}

// ask sends the stand-in a command of the benchmark.
func (s *session) ask(what string, pairs ...string) ([]byte, error) {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	response, err := http.Get(s.endpoint + "/_/" + what + "?" + q.Encode())
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("stand-in: %s: %s", what, body)
	}
	return body, err
}

// stats are the requests since the last reset and the CPU seconds since the
// last look.
func (s *session) stats() (map[string]int64, float64, error) {
	body, err := s.ask("stats")
	if err != nil {
		return nil, 0, err
	}
	var stats standin.Stats
	if err := json.Unmarshal(body, &stats); err != nil {
		return nil, 0, err
	}
	used := stats.CPUSeconds - s.served
	s.served = stats.CPUSeconds
	return stats.Requests, used, nil
}

// run is one job, measured.
type run struct {
	Report
	Requests map[string]int64
	// Served are the CPU seconds of the stand-in, Foreign the share of one
	// core that other processes of the machine took meanwhile.
	Served, Foreign float64
}

func (r run) rate() float64 { return float64(r.Bytes) / r.Seconds }

// job runs a command over the objects saved under a name and reads its report.
func (s *session) job(ctx context.Context, saved string, drain bool, args ...string) (run, error) {
	pairs := []string{"name", saved}
	if drain {
		pairs = append(pairs, "drain", "1")
	}
	if _, err := s.ask("reset", pairs...); err != nil {
		return run{}, err
	}
	if _, _, err := s.stats(); err != nil {
		return run{}, err
	}
	before, err := busy()
	if err != nil {
		return run{}, err
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return run{}, fmt.Errorf("%s: %w", strings.Join(args[:min(len(args), 3)], " "), err)
	}
	after, err := busy()
	if err != nil {
		return run{}, err
	}
	var r run
	if err := json.Unmarshal(out.Bytes(), &r.Report); err != nil {
		return run{}, fmt.Errorf("report of %s: %w: %s", args[1], err, out.Bytes())
	}
	if r.Requests, r.Served, err = s.stats(); err != nil {
		return run{}, err
	}
	used := cmd.ProcessState.UserTime().Seconds() + cmd.ProcessState.SystemTime().Seconds()
	r.Foreign = max(0, (after-before-used-r.Served)/max(r.Seconds, 0.01))
	return r, nil
}

func (s *session) own(ctx context.Context, saved string, drain bool, role string, args ...string) (run, error) {
	return s.job(ctx, saved, drain, append([]string{s.exe, role, s.endpoint}, args...)...)
}

func (s *session) peer(ctx context.Context, saved, script string, args ...string) (run, error) {
	return s.job(ctx, saved, true, append([]string{s.python, "-B", filepath.Join("bench", "peer", script), s.endpoint}, args...)...)
}

// busy are the CPU seconds that all processes of the machine have used.
func busy() (float64, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var ticks float64
	for i, field := range strings.Fields(line)[1:] {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, err
		}
		if i != 3 && i != 4 && i < 8 { // idle and waiting; guests count as users
			ticks += n
		}
	}
	return ticks / 100, nil
}

// upload is an upload in the stand-in, prepared once, whose jobs have ended.
type upload struct {
	shape       data.Shape
	rows, bytes int64
	id          string
	parts       []pipeline.Part
	outputs     []string // bucket/key
	outBytes    int64
	failed      int64
	files       []string
}

// discard removes the upload's files, and its outputs'.
func (u *upload) discard() {
	for _, path := range u.files {
		_ = os.Remove(path)
	}
}

func (u *upload) fresh() string { return "fresh " + string(u.shape) + strconv.FormatInt(u.rows, 10) }
func (u *upload) ended() string { return "ended " + string(u.shape) + strconv.FormatInt(u.rows, 10) }

// drop makes an upload of at least size bytes or exactly rows rows, with its
// settings, and saves the stand-in as it is then.
func (s *session) drop(ctx context.Context, shape data.Shape, size, rows int64, more string) (*upload, error) {
	u := &upload{shape: shape}
	path := filepath.Join(s.dir, fmt.Sprintf("%s-%d-%d", shape, size, rows))
	u.files = append(u.files, path)
	var err error
	if u.rows, u.bytes, err = shape.WriteUpload(path, size, rows); err != nil {
		return nil, fmt.Errorf("make an upload: %w", err)
	}
	if _, err := s.ask("reset", "name", ""); err != nil {
		return nil, err
	}
	if _, err := s.ask("file", "key", inBucket+"/"+shape.Key(), "path", path); err != nil {
		return nil, err
	}
	in := s3.New(awsConfig(s.endpoint), inBucket, s3.Settings{})
	if _, err := in.Put(ctx, "bench/workload.yaml", []byte(shape.Workload()+more), batch.Condition{}); err != nil {
		return nil, err
	}
	u.id = pipeline.SubmissionID(pipeline.Upload{Bucket: inBucket, Key: shape.Key(), VersionID: "null", ETag: "e"})
	_, err = s.ask("save", "name", u.fresh())
	return u, err
}

// answer ends the jobs of an upload that stands prepared in the stand-in, and
// saves it so.
func (s *session) answer(ctx context.Context, u *upload) error {
	sub, err := pipeline.View{Output: s.output}.Submission(ctx, u.id)
	if err != nil {
		return err
	}
	u.parts = sub.Parts
	for _, p := range u.parts {
		path := filepath.Join(s.dir, fmt.Sprintf("%s-%d-out-%d", u.shape, u.rows, p.N))
		u.files = append(u.files, path)
		lines, failed, size, err := u.shape.WriteOutput(path, p.FirstRow, p.LastRow)
		if err != nil {
			return fmt.Errorf("make an output: %w", err)
		}
		if lines != int64(p.Records) {
			return fmt.Errorf("part %d has %d records, %d were expected", p.N, p.Records, lines)
		}
		u.outBytes += size
		u.failed += failed
		name := fmt.Sprintf("%d-%d", p.N, p.Attempt)
		folder := pipeline.StagedPrefix(u.id) + "out/" + name + "/" + p.JobName + "/"
		u.outputs = append(u.outputs, outBucket+"/"+folder+name+".jsonl.out")
		if _, err := s.ask("file", "key", u.outputs[len(u.outputs)-1], "path", path); err != nil {
			return err
		}
		manifest := fmt.Sprintf(`{"totalRecordCount":%d,"processedRecordCount":%[1]d,"successRecordCount":%d,"errorRecordCount":%d,"inputTokenCount":1,"outputTokenCount":1}`, lines, lines-failed, failed)
		if _, err := s.output.Put(ctx, folder+"manifest.json.out", []byte(manifest), batch.Condition{}); err != nil {
			return err
		}
	}
	_, err = s.ask("save", "name", u.ended())
	return err
}

// ready drops an upload, prepares it untimed and ends its jobs.
func (s *session) ready(ctx context.Context, shape data.Shape, size, rows int64, more string, drain bool) (*upload, error) {
	u, err := s.drop(ctx, shape, size, rows, more)
	if err != nil {
		return nil, err
	}
	if _, err := s.own(ctx, u.fresh(), drain, "prepare", shape.Key()); err != nil {
		return nil, err
	}
	return u, s.answer(ctx, u)
}
