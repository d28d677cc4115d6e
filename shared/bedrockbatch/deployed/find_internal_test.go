package deployed

import (
	"errors"
	"strings"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

func TestTheStackIsFoundByItsOutputs(t *testing.T) {
	ours := map[string]string{"InputBucket": "in", "OutputBucket": "out", "UploadsQueueUrl": "q", "JobRoleArn": "r"}
	other := map[string]string{"InputBucket": "theirs"}
	for _, c := range []struct {
		name  string
		all   map[string]map[string]string
		stack string
		want  string
		class error
		says  string
	}{
		{name: "the only one", all: map[string]map[string]string{"a": ours, "b": other}, want: "a"},
		{name: "one that is named", all: map[string]map[string]string{"a": ours}, stack: "a", want: "a"},
		{name: "none", all: map[string]map[string]string{"b": other}, class: batch.ErrNotFound, says: "make deploy"},
		{name: "one that is no pipeline", all: map[string]map[string]string{"b": other}, stack: "b", class: batch.ErrNotFound, says: "InputBucket"},
		{name: "several", all: map[string]map[string]string{"a": ours, "c": ours}, class: batch.ErrInvalid, says: "a, c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := choose(c.all, c.stack)
			if out.Stack != c.want || !errors.Is(err, c.class) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v %v", out, err)
			}
		})
	}
}
