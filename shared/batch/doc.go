// Package batch is the vocabulary of the product: jobs and their statuses,
// objects in buckets, and the ports through which everything else reaches the
// outside world.
//
// Nothing in here knows AWS. The adapters in shared/aws implement the ports
// with the SDK, the fakes in shared/batch/batchtest implement them in memory,
// and both pass the same contract suite, whose cases are the sentences of the
// ports' comments.
package batch
