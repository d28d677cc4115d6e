package main

import (
	"path/filepath"
	"testing"
)

func TestEveryFaultStillHasItsPlace(t *testing.T) {
	names := map[string]bool{}
	for _, m := range list {
		if names[m.Name] {
			t.Errorf("two faults are named %q", m.Name)
		}
		names[m.Name] = true
		if _, err := m.apply(filepath.Join("..", "..", filepath.FromSlash(m.File))); err != nil {
			t.Error(err)
		}
		if m.Old == m.New {
			t.Errorf("%q changes nothing", m.Name)
		}
	}
	if len(list) < 25 {
		t.Errorf("%d faults are too few", len(list))
	}
}
