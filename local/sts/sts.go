// Package sts is as much of the Security Token Service as tools ask for before
// they start: who am I.
package sts

import (
	"context"
	"net/http"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/local/access"
	"github.com/bedrock-batch/bedrock-batch/local/sqs/query"
)

type identity struct{ UserId, Account, Arn string }

var service = &query.Service{
	Name: "STS", Namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
	Operations: map[string]query.Operation{"GetCallerIdentity": query.Op(callerIdentity)},
}

// Operations lists what the service answers, sorted.
func Operations() []string { return service.Names() }

// Handler answers the API.
func Handler() http.Handler { return service }

// callerIdentity needs no right, in the cloud either.
func callerIdentity(ctx context.Context, _ *struct{}) (*identity, error) {
	who := access.PrincipalFrom(ctx)
	if who == nil {
		return nil, &access.APIError{Code: "MissingAuthenticationToken", Status: http.StatusForbidden, Message: "Request is missing Authentication Token"}
	}
	id := "AIDA" + strings.TrimPrefix(who.AccessKeyID, "AKIA")
	if who.IsRole() {
		_, session, _ := strings.Cut(who.Session, "assumed-role/"+who.Name+"/")
		id = "AROA" + strings.TrimPrefix(who.AccessKeyID, "AKIA") + ":" + session
	}
	return &identity{UserId: id, Account: access.Account, Arn: who.String()}, nil
}
