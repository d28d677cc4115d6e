package memory_test

import (
	"context"
	"testing"
	"time"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest"
	"github.com/bedrock-batch/bedrock-batch/shared/batch/batchtest/memory"
)

func TestBucketKeepsTheContractOfDocuments(t *testing.T) {
	b := memory.NewBucket(memory.BucketOptions{})
	batchtest.Documents(t, func() batch.Documents { return b })
}

func TestVersionedBucketKeepsTheContractOfDocuments(t *testing.T) {
	b := memory.NewBucket(memory.BucketOptions{Versioned: true})
	batchtest.Documents(t, func() batch.Documents { return b })
}

func TestBucketKeepsTheContractOfFiles(t *testing.T) {
	b := memory.NewBucket(memory.BucketOptions{})
	batchtest.Files(t, func() batch.Bucket { return b })
}

func TestVersionedBucketKeepsTheContractOfFiles(t *testing.T) {
	b := memory.NewBucket(memory.BucketOptions{Versioned: true})
	batchtest.Files(t, func() batch.Bucket { return b })
}

func TestJobsKeepTheContract(t *testing.T) {
	for name, repeat := range map[string]memory.Repeat{
		"repeats answered with the ARN":          memory.RepeatARN,
		"repeats answered as a conflict":         memory.RepeatConflict,
		"repeats answered as an invalid request": memory.RepeatInvalid,
	} {
		t.Run(name, func(t *testing.T) {
			bedrock := memory.NewBedrock(memory.BedrockOptions{Slots: 3, Repeat: repeat})
			batchtest.Jobs(t, func() batchtest.Account {
				return batchtest.Account{
					Jobs:  bedrock.Jobs(nil),
					Slots: 4,
					Spec: func(name string) batch.JobSpec {
						return batch.JobSpec{
							Name: name, ModelID: "anthropic.claude-3-haiku-20240307-v1:0", Invocation: batch.Converse,
							RoleARN: "arn:aws:iam::123456789012:role/job",
							Input:   "s3://bucket/in/part.jsonl", Output: "s3://bucket/out/" + name + "/",
						}
					},
					End: func(_ *testing.T, arn string) { bedrock.End(arn, memory.Outcome{NoOutput: true}) },
				}
			})
		})
	}
}

func TestModelKeepsTheContract(t *testing.T) {
	batchtest.Model(t, func() batchtest.Inference {
		return batchtest.Inference{Model: memory.NewBedrock(memory.BedrockOptions{}).Model(nil), ModelID: "anthropic.claude-3-haiku-20240307-v1:0"}
	})
}

func TestQueueKeepsTheContract(t *testing.T) {
	batchtest.Queue(t, func() batchtest.Line {
		clock := memory.NewClock(time.Unix(0, 0))
		q := memory.NewQueue(memory.QueueOptions{Clock: clock})
		return batchtest.Line{Send: q.Send, Receive: func(_ *testing.T, within time.Duration) ([]byte, bool) {
			limit := clock.Now().Add(within)
			for {
				if m, ok := q.Receive(); ok {
					q.Delete(m)
					return m.Body, true
				}
				next, ok := q.Next()
				if !ok || next.After(limit) {
					return nil, false
				}
				clock.AdvanceTo(next)
			}
		}}
	})
}

func TestTopicKeepsTheContract(t *testing.T) {
	batchtest.Topic(t, func() batchtest.Board {
		topic := memory.NewTopic[batchtest.Publication](nil)
		seen := 0
		return batchtest.Board{
			Publish: func(ctx context.Context, subject, json, _ string, attributes map[string]string) error {
				return topic.Publish(ctx, batchtest.Publication{Subject: subject, JSON: json, Attributes: attributes})
			},
			Next: func(*testing.T) (batchtest.Publication, bool) {
				all := topic.Published()
				if seen == len(all) {
					return batchtest.Publication{}, false
				}
				seen++
				return all[seen-1], true
			},
		}
	})
}
