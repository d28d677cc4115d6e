package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	bedrocktypes "github.com/aws/aws-sdk-go-v2/service/bedrock/types"
)

// visitor does what a user would do, and looks.
type visitor struct {
	*client
	out     io.Writer
	uploads []*upload
	results string // the folder that results are copied to
	began   time.Time
	sums    *Sums
	seen    []string // notice ids
	told    []string // lines about jobs
}

// visit drops the examples, waits until each has its notice and keeps what came
// back.
func (v *visitor) visit(ctx context.Context) error {
	if err := v.subscribe(ctx); err != nil {
		return err
	}
	if err := v.drop(ctx); err != nil {
		return err
	}
	for len(v.waiting()) > 0 {
		notices, err := v.notices(ctx)
		if err != nil {
			return errors.Join(ctx.Err(), err)
		}
		for _, n := range notices {
			if err := v.take(ctx, n); err != nil {
				return err
			}
		}
		if err := v.look(ctx); err != nil {
			return errors.Join(ctx.Err(), err)
		}
	}
	return errors.Join(v.check(), v.save(ctx))
}

// drop uploads the settings of each folder first, then its data.
func (v *visitor) drop(ctx context.Context) error {
	if err := v.dropSettings(ctx); err != nil {
		return err
	}
	for _, u := range v.uploads {
		for _, f := range u.files {
			data, err := os.ReadFile(f.path)
			if err != nil {
				return fmt.Errorf("read an example: %w", err)
			}
			if err := v.put(ctx, f.key, data); err != nil {
				return err
			}
		}
		fmt.Fprintf(v.out, "%s dropped %s (%d rows)\n", v.clock(), u.key, u.rows)
	}
	return nil
}

func (v *visitor) dropSettings(ctx context.Context) error {
	dropped := map[string]bool{}
	for _, u := range v.uploads {
		// The settings stand in the first folder of each example.
		name, _, _ := strings.Cut(u.files[0].key, "/")
		if dropped[name] {
			continue
		}
		dropped[name] = true
		root := strings.TrimSuffix(filepath.ToSlash(u.files[0].path), strings.TrimPrefix(u.files[0].key, name))
		beside, err := filepath.Glob(filepath.Join(root, "_*"))
		if err != nil {
			return err
		}
		for _, file := range append(beside, filepath.Join(root, settingsFile)) {
			data, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("read the settings of %s: %w", name, err)
			}
			if err := v.put(ctx, path.Join(name, filepath.Base(file)), data); err != nil {
				return err
			}
		}
	}
	return nil
}

// clock is the time since the start.
func (v *visitor) clock() string {
	return fmt.Sprintf("%6.1fs", time.Since(v.began).Seconds())
}

// waiting names the uploads without a notice.
func (v *visitor) waiting() []string {
	var keys []string
	for _, u := range v.uploads {
		if u.notice == nil {
			keys = append(keys, u.key)
		}
	}
	return keys
}

// look prints the progress that has changed.
func (v *visitor) look(ctx context.Context) error {
	for _, u := range v.uploads {
		if u.notice != nil {
			continue
		}
		p, err := v.progress(ctx, u.key)
		if err != nil {
			return err
		}
		if p == nil {
			continue
		}
		shown := fmt.Sprintf("%s: %s, parts waiting %d, running %d, ended %d", u.key, p.State, p.Parts.Waiting, p.Parts.Running, p.Parts.Ended)
		if shown != u.shown {
			u.shown = shown
			fmt.Fprintf(v.out, "%s %s\n", v.clock(), shown)
		}
	}
	jobs, err := v.jobs(ctx)
	var throttled *bedrocktypes.ThrottlingException
	if err != nil && !errors.As(err, &throttled) { // with --throttle there is less to see
		return err
	}
	for _, line := range jobs {
		if !slices.Contains(v.told, line) {
			v.told = append(v.told, line)
			fmt.Fprintf(v.out, "%s %s\n", v.clock(), line)
		}
	}
	return nil
}

// take keeps and prints a notice. A repeated one is no second notice.
func (v *visitor) take(ctx context.Context, n notice) error {
	if slices.Contains(v.seen, n.NoticeID) {
		return nil
	}
	v.seen = append(v.seen, n.NoticeID)
	v.sums.Notices++
	v.sums.Answered += n.Rows.Answered
	v.sums.Failed += n.Rows.Failed
	v.sums.SetAside += n.Rows.SetAside
	v.sums.Missing += n.Rows.Missing
	for _, u := range v.uploads {
		if u.key == n.Upload.Key {
			if u.notice != nil {
				return fmt.Errorf("%s has two notices, %s and %s", u.key, u.notice.NoticeID, n.NoticeID)
			}
			u.notice = &n
			v.print(n)
			return v.show(ctx, n)
		}
	}
	return fmt.Errorf("a notice came for %q, which was not dropped", n.Upload.Key)
}

func (v *visitor) print(n notice) {
	fmt.Fprintf(v.out, "\n%s NOTICE %s: %s\n", v.clock(), n.Status, n.Upload.Key)
	if n.Reason != "" {
		fmt.Fprintf(v.out, "        reason    %s\n", n.Reason)
	}
	fmt.Fprintf(v.out, "        rows      %d = %d answered + %d failed + %d set aside + %d missing\n",
		n.Rows.Total, n.Rows.Answered, n.Rows.Failed, n.Rows.SetAside, n.Rows.Missing)
	cost := "unknown"
	if n.EstimatedCostUSD != nil {
		cost = fmt.Sprintf("about %.4f US dollars", *n.EstimatedCostUSD)
	}
	fmt.Fprintf(v.out, "        model     %s, %d tokens in, %d out, %s\n", n.ModelID, n.Tokens.Input, n.Tokens.Output, cost)
	for _, j := range n.Jobs {
		fmt.Fprintf(v.out, "        job       %s %s\n", j.JobArn[strings.LastIndexByte(j.JobArn, '/')+1:], j.Status)
	}
	if n.Results.Warehouse != "" {
		fmt.Fprintf(v.out, "        parquet   %s*\n", n.Results.Warehouse)
	}
	for _, e := range n.Errors {
		fmt.Fprintf(v.out, "        error     %d x %s: %s\n", e.Count, e.Code, e.Message)
	}
}

// show prints the first results and set-aside rows, and counts them all.
func (v *visitor) show(ctx context.Context, n notice) error {
	for _, file := range []struct {
		name, uri string
		want      int64
	}{{"results", n.Results.Results, n.Rows.Answered}, {"errors", n.Results.Errors, n.Rows.Failed}, {"set aside", n.Results.SetAside, n.Rows.SetAside}} {
		if file.uri == "" {
			if file.want > 0 {
				return fmt.Errorf("the notice of %s counts %d rows as %s, but names no file of them", n.Upload.Key, file.want, file.name)
			}
			continue
		}
		count, err := v.lines(ctx, file.name, file.uri)
		if err != nil {
			return err
		}
		// errors.jsonl may hold the missing rows beside the failed ones.
		if count != file.want && (file.name != "errors" || count != file.want+n.Rows.Missing) {
			return fmt.Errorf("%s has %d rows, its notice says %d", file.uri, count, file.want)
		}
	}
	fmt.Fprintln(v.out)
	return nil
}

// lines prints the first lines of a file and counts all. Results have to come
// in the order of the rows.
func (v *visitor) lines(ctx context.Context, name, uri string) (n int64, err error) {
	body, err := v.open(ctx, uri)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	in := bufio.NewReader(body)
	var last int64
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			var r struct {
				Row, Line              int64
				Output                 any
				Code, Reason, RecordID string
			}
			if jsonErr := json.Unmarshal(line, &r); jsonErr != nil {
				return n, fmt.Errorf("line %d of %s cannot be read: %w", n+1, uri, jsonErr)
			}
			if n++; n <= 2 && name == "results" {
				fmt.Fprintf(v.out, "        row %-5d %s\n", r.Row, short(fmt.Sprint(r.Output)))
			} else if n <= 3 && name == "set aside" {
				fmt.Fprintf(v.out, "        line %-4d set aside, %s: %s\n", r.Line, r.Code, short(r.Reason))
			}
			if name == "results" {
				if r.Row <= last {
					return n, fmt.Errorf("%s is not in the order of the rows: %d comes after %d", uri, r.Row, last)
				}
				last = r.Row
			}
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("read %s: %w", uri, err)
		}
	}
}

// short is a text on one line of a screen.
func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 150 {
		s = string(r[:149]) + "…"
	}
	return s
}

// check holds the notices against the files on disk.
func (v *visitor) check() error {
	var problems []error
	for _, u := range v.uploads {
		r := u.notice.Rows
		if sum := r.Answered + r.Failed + r.SetAside + r.Missing; r.Total != u.rows || sum != u.rows {
			problems = append(problems, fmt.Errorf("%s has %d rows, its notice counts %d of which %d are accounted for", u.key, u.rows, r.Total, sum))
		}
		if r.Answered == 0 {
			problems = append(problems, fmt.Errorf("%s: no row was answered (%s)", u.key, u.notice.Reason))
		}
	}
	if v.sums.Missing > 0 {
		problems = append(problems, fmt.Errorf("%d rows are missing", v.sums.Missing))
	}
	return errors.Join(problems...)
}
