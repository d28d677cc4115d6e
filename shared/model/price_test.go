package model_test

import (
	"math"
	"testing"

	"github.com/bedrock-batch/bedrock-batch/shared/model"
)

func TestPricesAreFoundByTheRulesOfTheTable(t *testing.T) {
	for _, c := range []struct {
		name, id, prefix string // no prefix: no price
	}{
		{"a plain id", "amazon.nova-lite-v1:0", "amazon.nova-lite"},
		{"a profile takes the plain model's price", "us.amazon.nova-lite-v1:0", "amazon.nova-lite"},
		{"a profile with a price of its own", "eu.amazon.nova-lite-v1:0", "eu.amazon.nova-lite"},
		{"an ARN", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-sonnet-4-5"},
		{"the global profile", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "global.anthropic.claude-sonnet-4-5"},
		{"a government profile", "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "us-gov.anthropic.claude-sonnet-4-5"},
		{"the longer prefix first", "anthropic.claude-opus-5-5-v1:0", "anthropic.claude-opus-5-5"},
		{"the longer prefix first, with a profile", "jp.anthropic.claude-fable-5-1", "anthropic.claude-fable-5-1"},
		{"flash before its plain sibling", "zai.glm-4.7-flash", "zai.glm-4.7-flash"},
		{"a dated version", "anthropic.claude-opus-4-20250514-v1:0", "anthropic.claude-opus-4-20250514"},
		{"a version of Claude to come", "anthropic.claude-opus-5-6-v1:0", ""},
		{"a version of Claude to come, by profile", "global.anthropic.claude-opus-5-6", ""},
		{"a version to come, with a dot", "zai.glm-5.1", ""},
		{"a name that only begins alike", "amazon.nova-lite2", ""},
		{"an opaque id", "a1b2c3d4e5f6", ""},
		{"a custom model", "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-lite-v1:0/abcdefghijkl", ""},
		{"nothing", "", ""},
		{"a model nobody has heard of", "us.newprovider.thing-v1:0", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, ok := model.PriceOf(c.id)
			if p.Prefix != c.prefix || ok != (c.prefix != "") {
				t.Errorf("%q: %+v, %v", c.id, p, ok)
			}
		})
	}
}

func TestEstimates(t *testing.T) {
	usd, known := model.Estimate("us.anthropic.claude-haiku-4-5-20251001-v1:0", 50_000_000, 15_000_000)
	if !known || math.Abs(usd-68.75) > 1e-9 { // the example of the price facts
		t.Errorf("%v, %v", usd, known)
	}
	usd, known = model.EstimateOnDemand("amazon.nova-pro-v1:0", 1_000_000, 1_000_000)
	if !known || math.Abs(usd-4) > 1e-9 {
		t.Errorf("%v, %v", usd, known)
	}
	if usd, known := model.Estimate("whatever", 1, 1); known || usd != 0 {
		t.Errorf("%v, %v", usd, known)
	}
	p, ok := model.PriceOf("cohere.command-r-v1:0")
	if !ok || !p.BatchAssumed || p.BatchInput != 0.25 || p.BatchOutput != 0.75 || p.AsOf == "" {
		t.Errorf("%+v", p)
	}
	for bytes, tokens := range map[int64]int64{-1: 0, 0: 0, 1: 1, 4: 1, 5: 2, 4000: 1000} {
		if n := model.EstimateTokens(bytes); n != tokens {
			t.Errorf("%d bytes: %d tokens", bytes, n)
		}
	}
}
