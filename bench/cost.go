package main

import "fmt"

// Prices of us-east-1 in USD, as AWS listed them on the days named.
const (
	priceGBSecond     = 0.0000133334 // Lambda on arm64, 2026-09-06
	priceInvocation   = 0.20 / 1e6   // Lambda, 2026-09-06
	priceWrite        = 0.005 / 1e3  // S3 PUT, COPY, POST, LIST, each part of an upload; 2026-10-08
	priceRead         = 0.0004 / 1e3 // S3 GET, HEAD; 2026-10-08
	priceQueue        = 0.40 / 1e6   // SQS, each of send, receive and delete; 2026-10-08
	functionMemoryMB  = 1769         // what infra gives both functions
	wholeProcessorMB  = 1769         // Lambda's memory for one processor
	callsOfOneMessage = 3            // sent, received, deleted
)

// cost is what AWS charges for jobs of prepare or collect over rows, the model
// apart: processor time at the share that the memory setting buys, requests
// and messages. A process of one thread uses one processor at most.
func cost(runs []run, rows int64, threads float64) float64 {
	mid := func(value func(run) float64) float64 {
		var all []float64
		for _, r := range runs {
			all = append(all, value(r))
		}
		m, _, _ := spread(all)
		return m
	}
	share := min(threads, float64(functionMemoryMB)/wholeProcessorMB)
	seconds := mid(func(r run) float64 { return r.CPUSeconds }) / share
	messages := mid(func(r run) float64 { return float64(r.Messages) }) + 1
	requests := mid(func(r run) float64 {
		writes, reads := costly(r.Requests)
		return float64(writes)*priceWrite + float64(reads)*priceRead
	})
	usd := seconds*functionMemoryMB/1024*priceGBSecond + messages*priceInvocation + messages*callsOfOneMessage*priceQueue + requests
	return usd / float64(rows) * 1e6
}

// costs compares what a million rows of about 2 KB cost.
func costs(jobs map[string]*figures, rows, peerRows int64, say func(string, ...any)) {
	ours := cost(jobs["prepare"].runs, rows, 2) + cost(jobs["collect"].runs, rows, 2)
	peers := cost(jobs["python prepare"].runs, peerRows, 1) + cost(jobs["python collect"].runs, peerRows, 1)
	say("bench: cost-million-rows value=%.4f unit=USD", ours)
	say("bench: cost-million-rows-python value=%.4f unit=USD", peers)
	writes, reads := costly(jobs["prepare"].runs[0].Requests)
	more, others := costly(jobs["collect"].runs[0].Requests)
	fmt.Printf("requests to S3 for %d rows: %d writes and %d reads to prepare, %d and %d to collect\n", rows, writes, reads, more, others)
}
