package s3

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// The plan is pure and its rules are the service's: it is tested from inside,
// over sizes that no test could move.
func TestEveryPlanIsLegalAndCoversThePiecesInOrder(t *testing.T) {
	const mib = 1 << 20
	interesting := []int64{0, 1, 100, mib, minPart - 1, minPart, minPart + 1, 8 * mib, 8*mib + 1, 9 * mib, 100 * mib, maxPart - 1, maxPart, maxPart + 1, 2*maxPart + 3, 11 * maxPart}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		pieces := make([]batch.Object, random.IntN(12))
		for i := range pieces {
			pieces[i] = batch.Object{Key: fmt.Sprint(i), Size: interesting[random.IntN(len(interesting))]}
			if random.IntN(3) == 0 {
				pieces[i].Size = random.Int64N(20 * mib)
			}
		}
		check(t, pieces, plan(pieces, 8*mib))
	}
}

func check(t *testing.T, pieces []batch.Object, sections []section) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("pieces %v: sections %v: %s", pieces, sections, fmt.Sprintf(format, args...))
	}
	piece, off := 0, int64(0)
	for i, s := range sections {
		if n := s.len(); n > maxPart || n < minPart && i < len(sections)-1 {
			fail("section %d has %d bytes", i, n)
		}
		if s.copy && len(s.spans) != 1 {
			fail("section %d copies %d spans", i, len(s.spans))
		}
		if !s.copy && s.len() > 8<<20 {
			fail("section %d streams %d bytes", i, s.len())
		}
		for _, from := range s.spans {
			for piece < len(pieces) && off == pieces[piece].Size {
				piece, off = piece+1, 0
			}
			if piece == len(pieces) || from.piece.Key != pieces[piece].Key || from.off != off || from.end <= off || from.end > pieces[piece].Size {
				fail("section %d takes %s from %d to %d", i, from.piece.Key, from.off, from.end)
			}
			off = from.end
		}
	}
	for piece < len(pieces) && off == pieces[piece].Size {
		piece, off = piece+1, 0
	}
	if piece != len(pieces) {
		fail("they end at piece %d, byte %d", piece, off)
	}
}
