// Package bedrock is Amazon Bedrock on one machine, as far as batch inference
// touches it: the control plane of model invocation jobs, the models and
// inference profiles that jobs can name, and the runtime's Converse and
// InvokeModel.
//
// A job lives as the real one does: it is validated after Create has answered,
// waits, runs as its service role against the S3 endpoint, writes its output in
// no particular order and passes every state with an event for each. What AWS
// leaves open (which error a name clash is, whether a stopped job leaves a
// manifest) is decided by seed, so that clients have to bear either.
//
// Jobs are kept as files and live on after a restart: what was queued or
// running is validated or run again from its input.
package bedrock
