package cloudwatch

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The limits of the Embedded Metric Format.
const (
	maxDimensions = 30
	maxMetrics    = 100
	maxNameLength = 1024
)

type emfMetadata struct {
	Timestamp         *int64
	CloudWatchMetrics []struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []struct {
			Name, Unit        string
			StorageResolution int
		}
	}
	LogGroupName string
}

// Embedded reads the metrics of a log line in the Embedded Metric Format; other
// lines have none. What CloudWatch would pass over in silence is an error here.
func Embedded(line []byte) ([]Sample, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")) || !bytes.Contains(line, []byte(`"_aws"`)) {
		return nil, nil
	}
	var root map[string]jsontext.Value
	if err := json.Unmarshal(line, &root); err != nil {
		return nil, fmt.Errorf("metric line: %w", err)
	}
	if root["_aws"] == nil {
		return nil, nil
	}
	var meta emfMetadata
	if err := json.Unmarshal(root["_aws"], &meta, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("metric line: _aws: %w", err)
	}
	if meta.Timestamp == nil {
		return nil, errors.New("metric line: _aws has no Timestamp")
	}
	at := time.UnixMilli(*meta.Timestamp).UTC()
	var all []Sample
	for _, d := range meta.CloudWatchMetrics {
		if d.Namespace == "" || len(d.Namespace) > maxNameLength {
			return nil, fmt.Errorf("metric line: Namespace %q", d.Namespace)
		}
		if len(d.Metrics) > maxMetrics {
			return nil, fmt.Errorf("metric line: %d metrics in one directive, more than %d", len(d.Metrics), maxMetrics)
		}
		for _, names := range d.Dimensions {
			dimensions, err := dimensionsOf(names, root)
			if err != nil {
				return nil, err
			}
			for _, m := range d.Metrics {
				values, err := valuesOf(root[m.Name])
				if err != nil {
					return nil, fmt.Errorf("metric line: metric %s: %w", m.Name, err)
				}
				for _, v := range values {
					all = append(all, Sample{Namespace: d.Namespace, Metric: m.Name, Dimensions: dimensions, Value: v, Unit: m.Unit, At: at})
				}
			}
		}
	}
	return all, nil
}

func dimensionsOf(names []string, root map[string]jsontext.Value) ([]Dimension, error) {
	if len(names) > maxDimensions {
		return nil, fmt.Errorf("metric line: %d dimensions in one set, more than %d", len(names), maxDimensions)
	}
	var all []Dimension
	for _, name := range names {
		var value string
		if err := json.Unmarshal(root[name], &value); err != nil || value == "" || len(value) > maxNameLength {
			return nil, fmt.Errorf("metric line: dimension %s is %s: want a text of 1 to %d characters", name, root[name], maxNameLength)
		}
		all = append(all, Dimension{name, value})
	}
	return all, nil
}

// valuesOf is a number or a list of up to 100 of them.
func valuesOf(v jsontext.Value) ([]float64, error) {
	var one float64
	if err := json.Unmarshal(v, &one); err == nil {
		return []float64{one}, nil
	}
	var list []float64
	if err := json.Unmarshal(v, &list); err != nil || len(list) > 100 {
		return nil, fmt.Errorf("%s is no number and no list of up to 100", v)
	}
	return list, nil
}
