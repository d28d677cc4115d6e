package scan

// vectors: every arm64 has them.
var vectors = true
