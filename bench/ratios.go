package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/bedrock-batch/bedrock-batch/bench/data"
)

// quiet is the share of a core that others may take before a round is called
// noisy.
const quiet = 0.15

// figures are the values of one job over the rounds.
type figures struct {
	name string
	runs []run
}

func (f *figures) add(r run) { f.runs = append(f.runs, r) }

func (f *figures) of(value func(run) float64) (mid, low, high float64) {
	var all []float64
	for _, r := range f.runs {
		all = append(all, value(r))
	}
	return spread(all)
}

// spread is the median and the extremes.
func spread(all []float64) (mid, low, high float64) {
	all = slices.Sorted(slices.Values(all))
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2, all[0], all[n-1]
}

// versus are the ratios of two jobs' throughput, round by round.
func (f *figures) versus(other *figures) (mid, low, high float64) {
	var all []float64
	for i, r := range f.runs {
		all = append(all, r.rate()/other.runs[i].rate())
	}
	return spread(all)
}

func mb(n int64) int64 { return (n + 1<<19) >> 20 }

func (f *figures) peak() int64 {
	var peak int64
	for _, r := range f.runs {
		peak = max(peak, r.PeakBytes)
	}
	return mb(peak)
}

// step is a job of a round: what it is called, the bytes it is charged with,
// and how it is run.
type step struct {
	name  string
	bytes int64
	run   func() (run, error)
}

// steps makes the uploads that the jobs need, and the jobs.
func (s *session) steps(ctx context.Context, p plan) (steps []step, rows, peerRows int64, err error) {
	add := func(name string, bytes int64, do func() (run, error)) {
		if p.jobs == "" || slices.Contains(strings.Split(p.jobs, ","), name) {
			steps = append(steps, step{name, bytes, do})
		}
	}
	u, err := s.ready(ctx, data.Prompt, p.mb*1e6, 0, "", true)
	if err != nil {
		return nil, 0, 0, err
	}
	add("copy of uploads", u.bytes, func() (run, error) { return s.own(ctx, u.fresh(), true, "copy", inBucket+"/"+u.shape.Key()) })
	add("prepare", u.bytes, func() (run, error) { return s.own(ctx, u.fresh(), true, "prepare", u.shape.Key()) })
	add("copy of outputs", u.outBytes, func() (run, error) { return s.own(ctx, u.ended(), true, "copy", u.outputs...) })
	add("collect", u.outBytes, func() (run, error) { return s.own(ctx, u.ended(), true, "collect", u.id, string(u.shape)) })
	// Peers get a smaller upload: they are compared by throughput, and the
	// rounds stay short.
	little, err := s.ready(ctx, data.Prompt, max(p.mb/8, min(p.mb, 8))*1e6, 0, "", true)
	if err != nil {
		return nil, 0, 0, err
	}
	parts := []string{little.shape.Key()}
	for i, part := range little.parts {
		parts = append(parts, fmt.Sprintf("out/staged/%s/src/%d-%d.index,%s", little.id, part.N, part.Attempt, little.outputs[i]))
	}
	add("python prepare", little.bytes, func() (run, error) { return s.peer(ctx, little.fresh(), "prepare.py", little.shape.Key()) })
	add("python collect", little.outBytes, func() (run, error) { return s.peer(ctx, little.ended(), "collect.py", parts...) })
	add("python prepare, whole", little.bytes, func() (run, error) {
		return s.peer(ctx, little.fresh(), "prepare.py", little.shape.Key(), "whole")
	})
	if p.jobs == "" {
		echo, err := s.ready(ctx, data.Prompt, p.mb*1e6/2, 0, "output: {echo: true}\n", false)
		if err != nil {
			return nil, 0, 0, err
		}
		add("collect with echo", echo.outBytes, func() (run, error) {
			return s.own(ctx, echo.ended(), false, "collect", echo.id, string(echo.shape))
		})
	}
	for _, shape := range []data.Shape{data.Native, data.OpenAI, data.Template, data.CSV} {
		name := "prepare " + string(shape)
		if p.jobs != "" && !strings.Contains(p.jobs, name) {
			continue
		}
		more, err := s.drop(ctx, shape, p.mb*1e6/2, 0, "")
		if err != nil {
			return nil, 0, 0, err
		}
		add(name, more.bytes, func() (run, error) { return s.own(ctx, more.fresh(), true, "prepare", shape.Key()) })
	}
	return steps, u.rows, little.rows, nil
}

// ratios runs all jobs, interleaved, and compares them within each round.
func ratios(ctx context.Context, s *session, p plan, say func(string, ...any)) error {
	steps, rows, peerRows, err := s.steps(ctx, p)
	if err != nil {
		return err
	}
	jobs := map[string]*figures{}
	for range p.rounds {
		for _, step := range steps {
			r, err := step.run()
			if err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
			r.Bytes = step.bytes
			if jobs[step.name] == nil {
				jobs[step.name] = &figures{name: step.name}
			}
			jobs[step.name].add(r)
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "job\tMB\tMB/s\tspread\tcpu-s/GB\tserver cpu-s/GB\tpeak MB\tforeign cores")
	for _, step := range steps {
		name, f := step.name, jobs[step.name]
		rate, low, high := f.of(func(r run) float64 { return r.rate() / 1e6 })
		cpu, _, _ := f.of(func(r run) float64 { return r.CPUSeconds / float64(r.Bytes) * 1e9 })
		served, _, _ := f.of(func(r run) float64 { return r.Served / float64(r.Bytes) * 1e9 })
		foreign, _, most := f.of(func(r run) float64 { return r.Foreign })
		fmt.Fprintf(table, "%s\t%d\t%.0f\t%.0f-%.0f\t%.2f\t%.2f\t%d\t%.2f (%.2f)\n", name, f.runs[0].Bytes/1e6, rate, low, high, cpu, served, f.peak(), foreign, most)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if p.jobs != "" {
		return nil
	}
	ratio := func(name, over, under string, rss bool) {
		mid, low, high := jobs[over].versus(jobs[under])
		line := fmt.Sprintf("bench: %s ratio=%.2f spread=%.2f-%.2f", name, mid, low, high)
		if rss {
			line += " rss_mb=" + strconv.FormatInt(jobs[over].peak(), 10)
		}
		say("%s", line)
	}
	ratio("prepare/copy", "prepare", "copy of uploads", true)
	ratio("collect/copy", "collect", "copy of outputs", true)
	ratio("prepare/python", "prepare", "python prepare", false)
	ratio("collect/python", "collect", "python collect", false)
	for _, extra := range []struct{ name, over, under string }{
		{"prepare-native/copy", "prepare native", "copy of uploads"},
		{"prepare-openai/copy", "prepare openai", "copy of uploads"},
		{"prepare-template/copy", "prepare template", "copy of uploads"},
		{"prepare-csv/copy", "prepare csv", "copy of uploads"},
		{"collect-echo/copy", "collect with echo", "copy of outputs"},
	} {
		mid, _, _ := jobs[extra.over].versus(jobs[extra.under])
		say("bench: %s value=%.2f unit=ratio", extra.name, mid)
	}
	cpu := func(name string) float64 {
		mid, _, _ := jobs[name].of(func(r run) float64 { return r.CPUSeconds / float64(r.Bytes) })
		return mid
	}
	say("bench: prepare-cpu/python value=%.1f unit=ratio", cpu("python prepare")/cpu("prepare"))
	say("bench: collect-cpu/python value=%.1f unit=ratio", cpu("python collect")/cpu("collect"))
	whole := func(name string) float64 {
		mid, _, _ := jobs[name].of(func(r run) float64 { return (r.CPUSeconds + r.Served) / float64(r.Bytes) })
		return mid
	}
	say("bench: prepare-cpu/copy value=%.2f unit=ratio", whole("copy of uploads")/whole("prepare"))
	say("bench: collect-cpu/copy value=%.2f unit=ratio", whole("copy of outputs")/whole("collect"))
	costs(jobs, rows, peerRows, say)
	say("bench: python-peak value=%d unit=MB", jobs["python prepare"].peak())
	say("bench: python-whole-peak value=%d unit=MB", jobs["python prepare, whole"].peak())
	noise := 0.0
	for _, f := range jobs {
		mid, _, _ := f.of(func(r run) float64 { return r.Foreign })
		noise = max(noise, mid)
	}
	say("bench: foreign-cpu value=%.2f unit=cores", noise)
	if noise > quiet {
		fmt.Printf("others took up to %.2f of two cores: ratios hold, absolute figures do not\n", noise)
	}
	return nil
}
