package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// The prefixes of the output bucket below which results lie, and their copies
// as Parquet under the keys of a partitioned table.
const (
	resultsPrefix   = "results/"
	warehousePrefix = "warehouse/"
)

// free refuses a folder that holds something: the results of two runs would
// answer queries together.
func free(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look into the folder for results: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("the folder for results, %s, is not empty: remove it or name another", dir)
	}
	return nil
}

// save copies what came back into the folder, each object under its key, and
// says what can be asked of it.
func (v *visitor) save(ctx context.Context) (err error) {
	if v.results == "" {
		return nil
	}
	if err := os.MkdirAll(v.results, 0o755); err != nil {
		return fmt.Errorf("make the folder for results: %w", err)
	}
	root, err := os.OpenRoot(v.results)
	if err != nil {
		return fmt.Errorf("open the folder for results: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	files, err := v.copyAll(ctx, root, resultsPrefix)
	if err != nil {
		return err
	}
	tables, err := v.copyAll(ctx, root, warehousePrefix)
	if err != nil {
		return err
	}
	fmt.Fprintf(v.out, "\nThe results are in %s: %d files below %s\n", v.results, len(files), resultsPrefix)
	if len(tables) > 0 {
		fmt.Fprintf(v.out, "As Parquet, for SQL:\n")
		for _, key := range tables {
			fmt.Fprintf(v.out, "        %s\n", filepath.Join(v.results, filepath.FromSlash(key)))
		}
		fmt.Fprintf(v.out, "DuckDB answers the example queries over them by: make queries RESULTS=%s\n", v.results)
	}
	return v.inWarehouse(tables)
}

// inWarehouse holds the notices against the keys in the warehouse: what a
// notice says is there has come, and nothing else.
func (v *visitor) inWarehouse(keys []string) error {
	var problems []error
	told := map[string]bool{}
	for _, u := range v.uploads {
		if u.notice == nil || u.notice.Results.Warehouse == "" {
			continue
		}
		found := false
		for _, key := range keys {
			if strings.HasPrefix("s3://"+v.env["BB_OUTPUT_BUCKET"]+"/"+key, u.notice.Results.Warehouse) {
				found, told[key] = true, true
			}
		}
		if !found {
			problems = append(problems, fmt.Errorf("the notice of %s says that there is Parquet at %s, and there is none", u.key, u.notice.Results.Warehouse))
		}
	}
	for _, key := range keys {
		if !told[key] {
			problems = append(problems, fmt.Errorf("no notice tells of %s", key))
		}
	}
	return errors.Join(problems...)
}

// copyAll copies the objects below a prefix of the output bucket and tells
// their keys.
func (v *visitor) copyAll(ctx context.Context, root *os.Root, prefix string) ([]string, error) {
	bucket := v.env["BB_OUTPUT_BUCKET"]
	pages := s3.NewListObjectsV2Paginator(v.s3, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	var keys []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the results: %w", err)
		}
		for _, o := range page.Contents {
			key := aws.ToString(o.Key)
			if err := v.copyOne(ctx, root, "s3://"+bucket+"/"+key, key); err != nil {
				return nil, err
			}
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func (v *visitor) copyOne(ctx context.Context, root *os.Root, uri, key string) (err error) {
	body, err := v.open(ctx, uri)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if err := root.MkdirAll(path.Dir(key), 0o755); err != nil {
		return fmt.Errorf("make a folder for %s: %w", uri, err)
	}
	file, err := root.Create(key)
	if err != nil {
		return fmt.Errorf("copy %s: %w", uri, err)
	}
	_, err = io.Copy(file, body)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", uri, err)
	}
	return nil
}
