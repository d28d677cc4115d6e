package model

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// PricesAsOf is the date on which the compiled-in table was put together. Each
// row of the table has a date of its own.
const PricesAsOf = "2026-11-23"

//go:embed prices.csv
var pricesCSV string

// Price is what a model's tokens cost, in US dollars per million tokens, list
// price in us-east-1. It is an estimate; AWS's own list is the authority.
type Price struct {
	// Prefix is the beginning of the ids that the price is for.
	Prefix string
	// Input and Output are the on-demand prices.
	Input, Output float64
	// BatchInput and BatchOutput are the prices in a batch job.
	BatchInput, BatchOutput float64
	// BatchAssumed: no source lists the model with a batch price; half of
	// the on-demand price is assumed.
	BatchAssumed bool
	// AsOf is the date of the figures, Source where they come from.
	AsOf, Source string
}

// Batch is the cost of tokens in a batch job, in dollars.
func (p Price) Batch(inputTokens, outputTokens int64) float64 {
	return (float64(inputTokens)*p.BatchInput + float64(outputTokens)*p.BatchOutput) / 1e6
}

// OnDemand is the cost of tokens outside batch jobs, in dollars.
func (p Price) OnDemand(inputTokens, outputTokens int64) float64 {
	return (float64(inputTokens)*p.Input + float64(outputTokens)*p.Output) / 1e6
}

// prices is the table by prefix.
var prices = sync.OnceValue(func() map[string]Price {
	table, err := readPrices(pricesCSV)
	if err != nil {
		panic(err) // the table is part of the program; a test reads it
	}
	return table
})

func readPrices(text string) (map[string]Price, error) {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("price table: %w", err)
	}
	table := make(map[string]Price, len(rows))
	for n, r := range rows[1:] {
		p := Price{Prefix: r[0], Source: r[5], AsOf: r[6]}
		for i, dst := range []*float64{&p.Input, &p.Output, &p.BatchInput, &p.BatchOutput} {
			s := r[1+i]
			if s == "" && i >= 2 {
				p.BatchAssumed = true
				continue
			}
			if *dst, err = strconv.ParseFloat(s, 64); err != nil {
				return nil, fmt.Errorf("price table: row %d: %w", n+2, err)
			}
		}
		if p.BatchAssumed {
			p.BatchInput, p.BatchOutput = p.Input/2, p.Output/2
		}
		if _, twice := table[p.Prefix]; twice {
			return nil, fmt.Errorf("price table: row %d: %s stands there twice", n+2, p.Prefix)
		}
		table[p.Prefix] = p
	}
	return table, nil
}

// PriceOf looks a model up by id or ARN: the longest prefix that fits the id,
// else, without its geography label, the longest that fits then. It knows
// nothing of opaque ids (application profiles, custom models), nor of versions
// that the table does not name: claude-opus-5-6 has no price because
// claude-opus-5 has one.
func PriceOf(id string) (Price, bool) {
	id = strings.TrimSpace(id)
	id = id[strings.LastIndexByte(id, '/')+1:]
	if p, ok := longestPrice(id); ok {
		return p, true
	}
	label, rest, ok := strings.Cut(id, ".")
	if !ok || providers[label] {
		return Price{}, false
	}
	return longestPrice(rest)
}

// anotherVersion is what follows when a prefix of a Claude id has stopped short
// of the version's second number.
var anotherVersion = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^-[0-9]{1,2}(-|:|$)`) })

func longestPrice(id string) (Price, bool) {
	table := prices()
	for n := len(id); n > 0; n-- {
		p, ok := table[id[:n]]
		if !ok {
			continue
		}
		rest := id[n:]
		if rest != "" && rest[0] != '-' && rest[0] != ':' {
			continue // glm-5 is not glm-5.1
		}
		if strings.Contains(p.Prefix, "anthropic.") && anotherVersion().MatchString(rest) {
			continue
		}
		return p, true
	}
	return Price{}, false
}

// Estimate is what a batch job costs that reads and writes this many tokens.
// Known is false where the table has no price for the model: the cost is then
// unknown, not zero.
func Estimate(id string, inputTokens, outputTokens int64) (usd float64, known bool) {
	p, ok := PriceOf(id)
	if !ok {
		return 0, false
	}
	return p.Batch(inputTokens, outputTokens), true
}

// EstimateOnDemand is [Estimate] for answers that are not bought in a job.
func EstimateOnDemand(id string, inputTokens, outputTokens int64) (usd float64, known bool) {
	p, ok := PriceOf(id)
	if !ok {
		return 0, false
	}
	return p.OnDemand(inputTokens, outputTokens), true
}

// EstimateTokens guesses how many tokens a text of so many bytes has: four
// bytes a token, rounded up. English has about that; JSON, code and scripts
// beyond Latin differ by up to a factor of two either way, and so do
// tokenizers.
func EstimateTokens(bytes int64) int64 {
	if bytes <= 0 {
		return 0
	}
	return (bytes + 3) / 4
}
