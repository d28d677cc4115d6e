package main

import (
	"encoding/xml"
	"net/http"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// identity is as much of STS as tools ask for before they start: who am I.
type identity struct{}

func (identity) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who := access.PrincipalFrom(r.Context())
	w.Header().Set("Content-Type", "text/xml")
	if action := r.FormValue("Action"); action != "GetCallerIdentity" {
		w.WriteHeader(http.StatusBadRequest)
		type inner struct{ Type, Code, Message string }
		_ = xml.NewEncoder(w).Encode(struct { // the client may have gone
			XMLName xml.Name `xml:"ErrorResponse"`
			Error   inner
		}{Error: inner{"Sender", "InvalidAction", "STS offers GetCallerIdentity here, not " + action}})
		return
	}
	type result struct{ Arn, UserId, Account string }
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName                 xml.Name `xml:"GetCallerIdentityResponse"`
		GetCallerIdentityResult result
	}{GetCallerIdentityResult: result{who.String(), "AIDALOCAL", access.Account}})
}
