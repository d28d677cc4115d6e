// Package e2e holds the end-to-end tests: the functions' binaries on the local
// services, wired by the golden template, seen with a user's eyes alone. It
// talks to them through the AWS SDK and imports nothing of the product nor of
// the services.
package e2e
