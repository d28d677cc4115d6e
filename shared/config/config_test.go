package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/config"
)

func TestSettingsSurviveTheEnvironment(t *testing.T) {
	s := config.Default()
	s.Models = []string{"us.amazon.nova-lite-v1:0"}
	s.StaleAfter = config.Duration(2 * time.Second)
	s.ModelQuotas = map[string]config.Quotas{"amazon.titan-embed-text-v2:0": {MaxRecords: 100_000}}
	text, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "max_wait") {
		t.Errorf("a default was written: %s", text)
	}
	back, err := config.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := back.Encode(); again != text {
		t.Errorf("read back as %s, was %s", again, text)
	}
	if got := back.QuotasFor("amazon.titan-embed-text-v2:0"); got.MaxRecords != 100_000 || got.MinRecords != 100 {
		t.Errorf("model quotas: %+v", got)
	}
}

func TestUnknownAndImpossibleSettingsAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"modles":[]}`:                    "modles",
		`{"quotas":{"min_records":60000}}`: "at least twice",
		`{"on_demand_concurrency":1000}`:   "on_demand_concurrency",
		`{"max_wait":"soon"}`:              "soon",
	} {
		if _, err := config.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one that says %q", text, err, want)
		}
	}
}

func TestSettingsTooLongForAFunctionAreRefused(t *testing.T) {
	s := config.Default()
	for range 200 {
		s.Models = append(s.Models, "us.anthropic.claude-haiku-4-5-20251001-v1:0")
	}
	if _, err := s.Encode(); err == nil {
		t.Error("no error")
	}
}
