package memory_test

import (
	"testing"

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
