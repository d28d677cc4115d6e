package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/bedrock-batch/bedrock-batch/local/access"
)

// objects is the gateway's backend: the POSIX store, with events for what is
// created, AWS's answers about absent objects, and the keys refused that a
// file system would take for others.
type objects struct {
	*posix.Posix
	service *Service
}

// GetBucketPolicy hides the policies from the gateway: principals decides.
func (o *objects) GetBucketPolicy(context.Context, string) ([]byte, error) {
	return nil, s3err.GetAPIError(s3err.ErrNoSuchBucketPolicy)
}

// ListBuckets lists all buckets, whoever asks: they are the account's.
func (o *objects) ListBuckets(ctx context.Context, in s3response.ListBucketsInput) (s3response.ListAllMyBucketsResult, error) {
	in.Owner = owner
	return o.Posix.ListBuckets(ctx, in)
}

// PutBucketPolicy is refused: a bucket's policy is the template's.
func (o *objects) PutBucketPolicy(context.Context, string, []byte) error {
	return notOffered("PutBucketPolicy")
}

// DeleteBucketPolicy is refused as PutBucketPolicy is.
func (o *objects) DeleteBucketPolicy(context.Context, string) error {
	return notOffered("DeleteBucketPolicy")
}

// CreateBucket is refused: buckets come from the template.
func (o *objects) CreateBucket(context.Context, *awss3.CreateBucketInput, []byte) error {
	return notOffered("CreateBucket")
}

// DeleteBucket is refused as CreateBucket is.
func (o *objects) DeleteBucket(context.Context, string) error { return notOffered("DeleteBucket") }

func notOffered(operation string) error {
	return s3err.APIError{
		Code: "NotImplemented", HTTPStatusCode: http.StatusNotImplemented,
		Description: operation + " is not offered here: buckets and their policies come from the template",
	}
}

// PutObject stores an object and tells of it.
func (o *objects) PutObject(ctx context.Context, in s3response.PutObjectInput) (out s3response.PutObjectOutput, err error) {
	if err := checkKey(*in.Key); err != nil {
		return out, err
	}
	if err := o.mayCompare(ctx, *in.Bucket, *in.Key, in.IfMatch); err != nil {
		return out, err
	}
	name := "ObjectCreated:Put"
	// The context is the gateway's request.
	if r, ok := ctx.(interface{ Method() []byte }); ok && string(r.Method()) == http.MethodPost {
		name = "ObjectCreated:Post"
	}
	err = o.service.telling(ctx, name, *in.Bucket, *in.Key, func() (created, error) {
		h := o.hold(*in.Bucket)
		defer h.release()
		if strings.HasSuffix(*in.Key, "/") {
			h.take() // a folder itself: its body is not read
		} else {
			in.Body = holdAfter(in.Body, h)
		}
		out, err = o.Posix.PutObject(ctx, in)
		c := created{etag: out.ETag, version: out.VersionID, size: -1}
		if out.Size != nil {
			c.size = *out.Size
		}
		return c, err
	})
	return out, err
}

// CopyObject copies an object and tells of it.
func (o *objects) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (out s3response.CopyObjectOutput, err error) {
	if err := checkKey(*in.Key); err != nil {
		return out, err
	}
	err = o.service.telling(ctx, "ObjectCreated:Copy", *in.Bucket, *in.Key, func() (created, error) {
		out, err = o.Posix.CopyObject(ctx, in)
		if errorCode(err) == "ExistingObjectIsDirectory" {
			// Or its folder has just been removed. The copy's own reading cannot
			// be told from its commit, so only this second try holds the folders.
			h := o.hold(*in.Bucket)
			h.take()
			defer h.release()
			out, err = o.Posix.CopyObject(ctx, in)
		}
		c := created{size: -1}
		if out.VersionId != nil {
			c.version = *out.VersionId
		}
		if out.CopyObjectResult != nil && out.CopyObjectResult.ETag != nil {
			c.etag = *out.CopyObjectResult.ETag
		}
		return c, err
	})
	return out, err
}

// CreateMultipartUpload begins an upload in parts.
func (o *objects) CreateMultipartUpload(ctx context.Context, in s3response.CreateMultipartUploadInput) (s3response.InitiateMultipartUploadResult, error) {
	if err := checkKey(*in.Key); err != nil {
		return s3response.InitiateMultipartUploadResult{}, err
	}
	return o.Posix.CreateMultipartUpload(ctx, in)
}

// CompleteMultipartUpload joins the parts and tells of the object.
func (o *objects) CompleteMultipartUpload(ctx context.Context, in *awss3.CompleteMultipartUploadInput) (out s3response.CompleteMultipartUploadResult, version string, err error) {
	if err := o.mayCompare(ctx, *in.Bucket, *in.Key, in.IfMatch); err != nil {
		return out, "", err
	}
	err = o.service.telling(ctx, "ObjectCreated:CompleteMultipartUpload", *in.Bucket, *in.Key, func() (created, error) {
		h := o.hold(*in.Bucket)
		defer h.release()
		out, version, err = o.Posix.CompleteMultipartUploadWithCopy(ctx, in, holdAfterParts(in, h))
		c := created{version: version, size: -1}
		if out.ETag != nil {
			c.etag = *out.ETag
		}
		return c, err
	})
	return out, version, err
}

// GetObject reads an object; who may not list the bucket learns of an absent
// key only that access is denied.
func (o *objects) GetObject(ctx context.Context, in *awss3.GetObjectInput) (*awss3.GetObjectOutput, error) {
	if checkKey(*in.Key) != nil {
		return nil, o.absent(ctx, *in.Bucket, s3err.GetAPIError(s3err.ErrNoSuchKey))
	}
	out, err := o.Posix.GetObject(ctx, in)
	return out, o.absent(ctx, *in.Bucket, err)
}

// HeadObject is GetObject without the object.
func (o *objects) HeadObject(ctx context.Context, in *awss3.HeadObjectInput) (*awss3.HeadObjectOutput, error) {
	if checkKey(*in.Key) != nil {
		return nil, o.absent(ctx, *in.Bucket, s3err.GetAPIError(s3err.ErrNoSuchKey))
	}
	out, err := o.Posix.HeadObject(ctx, in)
	return out, o.absent(ctx, *in.Bucket, err)
}

// DeleteObject removes an object. A key that cannot exist is absent, which is
// success, as for every absent key.
func (o *objects) DeleteObject(ctx context.Context, in *awss3.DeleteObjectInput) (*awss3.DeleteObjectOutput, error) {
	if checkKey(*in.Key) != nil {
		return &awss3.DeleteObjectOutput{}, nil
	}
	if err := o.mayCompare(ctx, *in.Bucket, *in.Key, in.IfMatch); err != nil {
		return nil, err
	}
	return o.delete(ctx, in)
}

// delete removes an object, and with it the folders that are empty then.
func (o *objects) delete(ctx context.Context, in *awss3.DeleteObjectInput) (out *awss3.DeleteObjectOutput, err error) {
	b := o.service.bucket(*in.Bucket)
	if b == nil || b.Versioned && (in.VersionId == nil || *in.VersionId == "") {
		return o.Posix.DeleteObject(ctx, in) // leaves a marker in the folder
	}
	b.folders.emptying(func() { out, err = o.Posix.DeleteObject(ctx, in) })
	return out, err
}

// DeleteObjects removes several objects, one after the other.
func (o *objects) DeleteObjects(ctx context.Context, in *awss3.DeleteObjectsInput) (out s3response.DeleteResult, err error) {
	for _, id := range in.Delete.Objects {
		deleted := types.DeletedObject{Key: id.Key, VersionId: id.VersionId}
		if id.Key == nil || checkKey(*id.Key) == nil {
			one, err := o.delete(ctx, &awss3.DeleteObjectInput{Bucket: in.Bucket, Key: id.Key, VersionId: id.VersionId})
			if err != nil {
				out.Error = append(out.Error, s3err.ObjectDeleteError(id.Key, id.VersionId, err))
				continue
			}
			if one.DeleteMarker != nil && *one.DeleteMarker {
				deleted.DeleteMarker, deleted.DeleteMarkerVersionId = one.DeleteMarker, one.VersionId
			}
		}
		out.Deleted = append(out.Deleted, deleted)
	}
	return out, nil
}

// hold is a hold, not yet taken, on the bucket's folders.
func (o *objects) hold(bucketName string) *hold {
	if b := o.service.bucket(bucketName); b != nil {
		return &hold{folders: &b.folders}
	}
	return &hold{}
}

// mayCompare asks for s3:GetObject where a write depends on the object's
// present ETag (If-Match), as AWS does.
func (o *objects) mayCompare(ctx context.Context, bucket, key string, ifMatch *string) error {
	account, ok := ctx.Value("account").(auth.Account)
	if !ok || ifMatch == nil || *ifMatch == "" {
		return nil
	}
	who, _ := o.service.cfg.Authority.ByAccessKey(account.Access)
	err := o.service.cfg.Authority.Check(ctx, access.Call{
		Principal: who, Action: "s3:GetObject", Resource: strings.Clone("arn:aws:s3:::" + bucket + "/" + key),
		ResourcePolicy: o.service.policy(bucket),
	})
	var denial *access.Denial
	if errors.As(err, &denial) {
		return accessDenied(denial)
	}
	return err
}

// absent changes "no such key" into "access denied" for a caller without
// s3:ListBucket, as AWS does.
func (o *objects) absent(ctx context.Context, bucket string, err error) error {
	if code := errorCode(err); code != "NoSuchKey" && code != "NoSuchVersion" {
		return err
	}
	account, ok := ctx.Value("account").(auth.Account)
	if !ok {
		return err // an inner call of ours
	}
	who, _ := o.service.cfg.Authority.ByAccessKey(account.Access)
	call := access.Call{
		Principal: who, Action: "s3:ListBucket", Resource: "arn:aws:s3:::" + strings.Clone(bucket),
		ResourcePolicy: o.service.policy(bucket),
	}
	if o.service.cfg.Authority.Allows(call) {
		return err
	}
	denial := &access.Denial{
		Principal: who, Action: call.Action, Resource: call.Resource,
		Why: "because no identity-based policy allows the s3:ListBucket action",
	}
	o.service.cfg.Log.Warn("access denied", "action", call.Action, "resource", call.Resource, "role", who.String(),
		"why", "the object asked for is absent, and who may not list the bucket is not told so")
	return accessDenied(denial)
}

// checkKey refuses keys that the file system would read as another key or that
// listings could not show.
func checkKey(key string) error {
	refuse := func(why string) error {
		return s3err.APIError{
			Code: "InvalidArgument", HTTPStatusCode: http.StatusBadRequest,
			Description: fmt.Sprintf("The key %q is refused by this local S3 (AWS takes it): it %s", key, why),
		}
	}
	if strings.ContainsFunc(key, unicode.IsControl) {
		return refuse("holds a control character")
	}
	for i, part := range strings.Split(key, "/") {
		switch {
		case part == "" && i == 0:
			return refuse("begins with a slash")
		case part == "" && !strings.HasSuffix(key, "/"), strings.Contains(key, "//"):
			return refuse("has an empty part between slashes")
		case part == "." || part == "..":
			return refuse("has a part that is . or ..")
		}
	}
	return nil
}
