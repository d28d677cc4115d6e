package access_test

import (
	"testing"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

func FuzzAPolicyThatParsesCanBeDecided(f *testing.F) {
	f.Add([]byte(trust), "s3:GetObject", "arn:aws:s3:::in/a")
	f.Add(document(`{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::in/${aws:username, 'x'}*?","Condition":{"ForAnyValue:ArnLike":{"aws:SourceArn":"a:b:*:d:e:f"}}}`), "s3:PutObject", "arn:aws:s3:::in/x")
	a := access.NewAuthority(access.Config{Log: quiet()})
	user, err := a.AddUser("dev", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, document []byte, action, resource string) {
		for _, kind := range []access.Kind{access.IdentityPolicy, access.ResourcePolicy, access.TrustPolicy} {
			if policy, err := access.ParsePolicy(document, kind); err == nil {
				a.Allows(access.Call{Principal: user, Action: action, Resource: resource, ResourcePolicy: policy})
			}
		}
	})
}
