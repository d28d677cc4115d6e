// Package pipeline is the account of what was dropped: a submission for every
// upload, its parts, their jobs, its results and its one notice.
//
// Two halves work on the same submissions. Submit accepts uploads, prepares
// parts and dispatches jobs; only it creates and stops jobs and calls models.
// Collect gathers what jobs wrote, starts retry rounds, finishes; only it
// writes results and publishes. Each is driven by messages, works in slices of
// an invocation's time and keeps nothing between invocations: all state is one
// small JSON document per submission in the output bucket, changed by
// conditional writes alone.
//
// What must always be true:
//
//  1. Every row is accounted for: total = answered + failed + set aside + missing.
//  2. Nothing is paid for twice.
//  3. Nothing waits for ever.
//  4. One final notice per submission; a crash may repeat it with the same id.
//  5. A bad row never costs a good one; a bad upload never blocks another.
//  6. Memory is flat in the size of the upload and the number of rows.
//  7. Finished means finished.
package pipeline
