package bedrockbatch

// Explain makes an Error of err, which came from attempting op: for programs
// that reach the ports themselves. Explain of nil is nil.
func Explain(err error, op string) error { return explain(err, "%s", op) }
