package access

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// knownKeys are the condition keys that some service here fills in (a request
// may still leave them out). A policy that names another one could never be
// decided as AWS would, so it is refused when it is loaded.
var knownKeys = map[string]string{} // by lower case: as AWS writes them

func init() {
	for _, key := range strings.Fields(`
		aws:CurrentTime aws:EpochTime aws:PrincipalAccount aws:PrincipalArn aws:PrincipalIsAWSService
		aws:PrincipalServiceName aws:PrincipalType aws:RequestedRegion aws:ResourceAccount aws:SecureTransport
		aws:SourceAccount aws:SourceArn aws:SourceIp aws:username aws:userid aws:UserAgent aws:Referer
		iam:PassedToService iam:AssociatedResourceArn
		s3:prefix s3:delimiter s3:max-keys s3:VersionId s3:x-amz-acl
		sns:Protocol sns:Endpoint
		sts:RoleSessionName
		bedrock:InferenceProfileArn
		lambda:FunctionArn lambda:EventSourceToken
		aws:RequestTag/* aws:TagKeys ec2:CreateAction ec2:ResourceTag/* ec2:Subnet`) {
		knownKeys[strings.ToLower(key)] = key
	}
}

// Operators lists the condition operators that policies can use.
func Operators() []string { return slices.Sorted(maps.Keys(operators)) }

// ConditionKeys lists the condition keys that policies can use.
func ConditionKeys() []string { return slices.Sorted(maps.Values(knownKeys)) }

func knownKey(name string) error {
	key := strings.ToLower(name)
	if tags, _, found := strings.Cut(key, "/"); found {
		key = tags + "/*" // of any tag
	}
	if knownKeys[key] == "" {
		return fmt.Errorf("condition key %q is not filled in by any service here", name)
	}
	return nil
}

// requestKeys joins the request's own keys with those that every request has.
func (a *Authority) requestKeys(call Call, secure bool) conditionKeys {
	now := a.clock.Now()
	keys := conditionKeys{
		"aws:currenttime":     {now.Format("2006-01-02T15:04:05Z")},
		"aws:epochtime":       {fmt.Sprint(now.Unix())},
		"aws:securetransport": {fmt.Sprint(secure)},
		"aws:requestedregion": {Region},
		"aws:resourceaccount": {Account},
		"aws:sourceip":        {"127.0.0.1"},
	}
	if p := call.Principal; p != nil {
		keys["aws:principalisawsservice"] = []string{fmt.Sprint(p.IsService())}
		switch {
		case p.IsService():
			keys["aws:principalservicename"] = []string{p.Service}
			// A service calls from its own network: IAM leaves this key out.
			delete(keys, "aws:sourceip")
		case p.IsRole():
			keys["aws:principaltype"] = []string{"AssumedRole"}
			keys["aws:userid"] = []string{"AROALOCAL:local"}
		default:
			keys["aws:principaltype"] = []string{"User"}
			keys["aws:username"] = []string{p.Name}
			keys["aws:userid"] = []string{"AIDALOCAL"}
		}
		if !p.IsService() {
			keys["aws:principalarn"] = []string{p.ARN}
			keys["aws:principalaccount"] = []string{p.account()}
		}
		for key, values := range p.Context {
			keys[strings.ToLower(key)] = slices.Clone(values)
		}
	}
	for key, values := range call.Context {
		keys[strings.ToLower(key)] = values
	}
	return keys
}
