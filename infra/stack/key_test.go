package stack_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// byID gives each resource of a template as text.
func byID(t *testing.T, template []byte) map[string]string {
	t.Helper()
	var parsed struct {
		Resources map[string]json.RawMessage
	}
	if err := json.Unmarshal(template, &parsed); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for id, r := range parsed.Resources {
		all[id] = strings.Join(strings.Fields(string(r)), "")
	}
	return all
}

func TestEverythingThatStoresIsEncryptedWithTheKey(t *testing.T) {
	const given = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
	managed, own := dev(t), dev(t)
	managed.Stage, managed.Encryption = "managed", "managed"
	own.Stage, own.Encryption = "own", given
	templates := synth(t, managed, own)
	for i, key := range []string{`{"Fn::GetAtt":["Key","Arn"]}`, `"` + given + `"`} {
		r := byID(t, templates[i])
		for id, has := range map[string]string{
			"BucketInput":      `"KMSMasterKeyID":` + key,
			"BucketOutput":     `"BucketKeyEnabled":true`,
			"QueueUploads":     `"KmsMasterKeyId":` + key,
			"QueueJobsDead":    `"KmsMasterKeyId":` + key,
			"QueueUndelivered": `"KmsMasterKeyId":` + key,
			"LogSubmit":        `"KmsKeyId":` + key,
			"TopicNotices":     `"KmsMasterKeyId":`,
			"TopicOperations":  `"KmsMasterKeyId":`,
			"RoleJob":          `"Resource":` + key + `,"Sid":"UseKey"`,
			"RoleSubmit":       `"Resource":` + key + `,"Sid":"UseKey"`,
			"RoleCollect":      `"Resource":` + key + `,"Sid":"UseKey"`,
			"FunctionSubmit":   `\"kms_key\":\"`,
		} {
			if !strings.Contains(r[id], has) {
				t.Errorf("%s: no %s in %s", id, has, r[id])
			}
		}
	}
	t.Run("a managed key lets in the services that send", func(t *testing.T) {
		key := byID(t, templates[0])["Key"]
		for _, part := range []string{"s3.amazonaws.com", "events.amazonaws.com", "cloudwatch.amazonaws.com", "logs.${AWS::Region}.amazonaws.com", `"aws:SourceAccount"`, `"EnableKeyRotation":true`, `"DeletionPolicy":"RetainExceptOnCreate"`} {
			if !strings.Contains(key, part) {
				t.Errorf("no %s in %s", part, key)
			}
		}
	})
	t.Run("a given key is left to its owner", func(t *testing.T) {
		if key := byID(t, templates[1])["Key"]; key != "" {
			t.Errorf("the stack makes a key: %s", key)
		}
	})
}
