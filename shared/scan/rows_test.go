package scan

import (
	"bytes"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/bench/data"
)

func BenchmarkRows(b *testing.B) {
	var text []byte
	for row := range int64(20000) {
		if data.Prompt.Good(row) {
			text = data.Prompt.AppendRow(text, row)
		}
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		for line := range bytes.Lines(text) {
			if _, ok := Value(line, 0, 100); !ok {
				b.Fatal("refused")
			}
		}
	}
}
