// Package clients holds what asks the local services through clients that are
// not Go's: the AWS SDK for JavaScript in javascript/, and Python's SDK and the
// AWS command line in other/ where they are installed. Its tests run them.
package clients
