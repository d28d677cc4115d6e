// Package walkthrough reads the fenced blocks of the repository's documents,
// so that tests can do what a reader would do: type each command of each
// document, in its order, in a fresh copy of the repository.
//
// How documents are written for it:
//
//   - A block of commands is fenced as sh. The blocks of a document are one
//     session: what one block defines, the next ones may use.
//
//   - A block that consists of make local is another terminal, open from the
//     document's first command to its last. So is the comment
//
//     <!-- make local -->
//
//     above a document's first block, whose session then has the variables of
//     .local/env too.
//
//   - A block that cannot be run stands below
//
//     <!-- not run: REASON -->
//
//     with one of the reasons of Reasons.
//
//   - Every other block names its language too (yaml, json, go, text ...) and
//     holds no commands.
package walkthrough
