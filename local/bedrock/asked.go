package bedrock

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// bought is a line of asked.jsonl in the service's folder: an answer that was
// given on demand, and so paid for. It holds no prompt: the same question has
// the same hash.
type bought struct {
	Time     time.Time `json:"time"`
	Model    string    `json:"model"`
	Question string    `json:"question"`
	// Together is how many calls were under way when this one began, itself
	// counted.
	Together int `json:"together"`
}

// think is one call of a model on demand: it takes its time.
func (s *Service) think(ctx context.Context) (together int, done func(), err error) {
	s.mu.Lock()
	s.asking++
	together = s.asking
	s.mu.Unlock()
	done = func() {
		s.mu.Lock()
		s.asking--
		s.mu.Unlock()
	}
	if s.cfg.AnswerTime == 0 {
		return together, done, nil
	}
	wait := time.NewTimer(s.cfg.AnswerTime)
	defer wait.Stop()
	select {
	case <-wait.C:
		return together, done, nil
	case <-ctx.Done(): // the caller has gone
		done()
		return 0, nil, ctx.Err()
	}
}

// buy notes an answer given on demand.
func (s *Service) buy(model string, body []byte, together int) error {
	sum := sha256.Sum256(body)
	line, err := json.Marshal(bought{Time: time.Now().UTC(), Model: model, Question: hex.EncodeToString(sum[:]), Together: together})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, err := os.OpenFile(filepath.Join(s.cfg.Dir, "asked.jsonl"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("bedrock: note an answer: %w", err)
	}
	defer f.Close()
	if _, err := f.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("bedrock: note an answer: %w", err)
	}
	return nil
}
