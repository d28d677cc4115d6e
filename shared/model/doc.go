// Package model knows models: what their identifiers say, how the answers of
// each family are read, and what their tokens cost.
//
// [Parse] reads every form of identifier that batch jobs take. [NewReader]
// gives the reader for a record's answer, chosen by how the record was invoked
// and by the model's family; each family is one file with fixtures in testdata.
// [PriceOf] and [Estimate] look up the compiled-in price table.
//
// Nothing in here calls a service.
package model
