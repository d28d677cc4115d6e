package s3_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

func TestDenialsReadLikeAWS(t *testing.T) {
	put(t, "inbox", "a/there", "x")
	put(t, "inbox", "secret/there", "x")
	put(t, "inbox", "b/there", "x")
	job := shared.authority.AsService("bedrock.amazonaws.com", "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/1")
	other := shared.authority.AsService("bedrock.amazonaws.com", "arn:aws:bedrock:us-east-1:123456789012:other/1")
	const reader = "User: arn:aws:sts::123456789012:assumed-role/reader/local is not authorized to perform: "
	cases := []struct {
		name string
		who  *access.Principal
		key  string
		want string // empty: allowed; a code, or the message
	}{
		{"a granted prefix", shared.reader, "a/there", ""},
		{"another prefix", shared.reader, "b/there", reader + `s3:GetObject on resource: "arn:aws:s3:::inbox/b/there" because no identity-based policy allows the s3:GetObject action`},
		{"an explicit deny of the bucket policy", shared.user, "secret/there", `User: arn:aws:iam::123456789012:user/user is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::inbox/secret/there" with an explicit deny in a resource-based policy`},
		{"an absent key for who may not list", shared.reader, "a/absent", reader + `s3:ListBucket on resource: "arn:aws:s3:::inbox" because no identity-based policy allows the s3:ListBucket action`},
		{"an absent key for who may list", shared.writer, "a/absent", "NoSuchKey"},
		{"a service that the bucket policy allows", job, "a/there", ""},
		{"a service acting for something else", other, "a/there", "because no resource-based policy allows the s3:GetObject action"},
		{"a key that a file system would read as another", shared.reader, "a/../b/there", "AccessDenied"},
		{"an empty part between slashes", shared.writer, "a//there", "NoSuchKey"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := client(c.who).GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String("inbox"), Key: &c.key})
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestWithoutTLSTheBucketPolicyDenies(t *testing.T) {
	put(t, "inbox", "a/tls", "x")
	shared.authority.SetSecureTransport(false)
	defer shared.authority.SetSecureTransport(true)
	_, err := client(shared.reader).GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String("inbox"), Key: aws.String("a/tls")})
	if err == nil || !strings.Contains(err.Error(), "with an explicit deny in a resource-based policy") {
		t.Fatal(err)
	}
}

func TestListingIsLimitedByPrefix(t *testing.T) {
	list := func(prefix string) error {
		_, err := client(shared.reader).ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: aws.String("plain"), Prefix: &prefix})
		return err
	}
	if err := list("a/x"); err != nil {
		t.Error(err)
	}
	if err := list("b/"); code(err) != "AccessDenied" {
		t.Error(err)
	}
}

func TestComparingWithThePresentObjectNeedsTheRightToRead(t *testing.T) {
	in := &awss3.PutObjectInput{Bucket: aws.String("plain"), Key: aws.String("compare"), Body: strings.NewReader("x")}
	if _, err := client(shared.putter).PutObject(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	in.Body, in.IfMatch = strings.NewReader("y"), aws.String(`"00000000000000000000000000000000"`)
	if _, err := client(shared.putter).PutObject(t.Context(), in); code(err) != "AccessDenied" {
		t.Error(err)
	}
}

func TestABatchOfDeletesIsDeniedObjectByObject(t *testing.T) {
	put(t, "inbox", "a/gone", "x")
	put(t, "inbox", "secret/stays", "x")
	out, err := client(shared.writer).DeleteObjects(t.Context(), &awss3.DeleteObjectsInput{Bucket: aws.String("inbox"), Delete: &types.Delete{
		Objects: []types.ObjectIdentifier{{Key: aws.String("a/gone")}, {Key: aws.String("secret/stays")}, {Key: aws.String("never/there")}, {Key: aws.String("a/../x")}},
	}})
	if err != nil || len(out.Deleted) != 3 || len(out.Errors) != 1 || *out.Errors[0].Key != "secret/stays" || *out.Errors[0].Code != "AccessDenied" {
		t.Fatalf("%+v %v", out, err)
	}
}

func TestKeysThatAliasOthersAreRefused(t *testing.T) {
	for _, key := range []string{"a//b", "a/./b", "a/../b", "/a", "a/\x01b", "a\nb"} {
		_, err := client(shared.user).PutObject(t.Context(), &awss3.PutObjectInput{Bucket: aws.String("plain"), Key: &key, Body: strings.NewReader("x")})
		if err == nil {
			t.Errorf("%q was taken", key)
		} else if c := code(err); c != "InvalidArgument" && c != "BadRequest" && c != "InvalidURI" {
			t.Errorf("%q: %v", key, err)
		}
	}
}

func TestKeysOfAllSortsComeBackAsTheyAre(t *testing.T) {
	keys := []string{"k/with space", "k/plus+", "k/per%cent%20", "k/eq=ual&amp?#", "k/😀", strings.Repeat("k/"+strings.Repeat("x", 247)+"/", 3) + "end"}
	for _, key := range keys {
		put(t, "inbox", key, key)
		out, err := client(shared.user).GetObject(t.Context(), &awss3.GetObjectInput{Bucket: aws.String("inbox"), Key: &key})
		if err != nil {
			t.Errorf("%q: %v", key, err)
			continue
		}
		if out.Body.Close(); *out.ContentLength != int64(len(key)) {
			t.Errorf("%q: %d bytes", key, *out.ContentLength)
		}
	}
}

func TestWrongCredentialsAreRefused(t *testing.T) {
	for _, c := range []struct {
		who  access.Principal
		want string
	}{
		{access.Principal{AccessKeyID: "AKIANOBODY", Secret: "x"}, "InvalidAccessKeyId"},
		{access.Principal{AccessKeyID: shared.user.AccessKeyID, Secret: "wrong"}, "SignatureDoesNotMatch"},
	} {
		_, err := client(&c.who).ListObjectsV2(t.Context(), &awss3.ListObjectsV2Input{Bucket: aws.String("plain")})
		if code(err) != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	res, err := http.Get(shared.endpoint + "/inbox/a/there")
	if err != nil {
		t.Fatal(err)
	}
	if res.Body.Close(); res.StatusCode != http.StatusForbidden {
		t.Errorf("without a signature: %s", res.Status)
	}
}

func TestPolicyAndBucketsCannotBeChangedOverTheAPI(t *testing.T) {
	_, err := client(shared.user).CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String("another")})
	if code(err) != "NotImplemented" {
		t.Error(err)
	}
	_, err = client(shared.user).PutBucketPolicy(t.Context(), &awss3.PutBucketPolicyInput{Bucket: aws.String("plain"), Policy: aws.String(everythingFor("plain"))})
	if code(err) != "NotImplemented" {
		t.Error(err)
	}
}

func everythingFor(bucket string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + bucket + `/*"}]}`
}
