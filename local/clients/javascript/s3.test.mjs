import test from 'node:test';
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import {
  S3Client, PutObjectCommand, GetObjectCommand, HeadObjectCommand, CopyObjectCommand, DeleteObjectCommand, DeleteObjectsCommand,
  ListObjectsV2Command, ListObjectVersionsCommand, CreateMultipartUploadCommand, UploadPartCommand, CompleteMultipartUploadCommand,
  AbortMultipartUploadCommand, ListMultipartUploadsCommand, ListBucketsCommand, HeadBucketCommand, CreateBucketCommand, paginateListObjectsV2,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { options, stack, refused, fresh } from './services.mjs';

const s3 = new S3Client({ ...options, forcePathStyle: true });
const Bucket = stack.bucket;
const put = (Key, Body, more) => s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
const read = async (Key, more) => (await s3.send(new GetObjectCommand({ Bucket, Key, ...more }))).Body.transformToString();

test('an object is read as it was written, with its metadata', async () => {
  const Key = `js/${fresh('with space + ünïcode')}`;
  const stored = await put(Key, 'hällo', { ContentType: 'text/plain', Metadata: { colour: 'blue' } });
  const out = await s3.send(new GetObjectCommand({ Bucket, Key }));
  assert.equal(await out.Body.transformToString(), 'hällo');
  assert.equal(out.ETag, stored.ETag);
  assert.equal(out.ContentType, 'text/plain');
  assert.deepEqual(out.Metadata, { colour: 'blue' });
});

test('a checksum that the client sends is kept', async () => {
  const Key = `js/${fresh('sum')}`;
  const stored = await put(Key, 'sum me', { ChecksumAlgorithm: 'SHA256' });
  const head = await s3.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
  assert.equal(head.ChecksumSHA256, stored.ChecksumSHA256);
  assert.ok(head.ChecksumSHA256);
});

test('a stream of known length is stored', async () => {
  const Key = `js/${fresh('stream')}`;
  const chunk = Buffer.alloc(64 << 10, 'x');
  await put(Key, Readable.from([chunk, chunk, chunk]), { ContentLength: 3 * chunk.length });
  assert.equal((await s3.send(new HeadObjectCommand({ Bucket, Key }))).ContentLength, 3 * chunk.length);
});

test('a part of an object is read by range', async () => {
  const Key = `js/${fresh('range')}`;
  await put(Key, '0123456789');
  assert.equal(await read(Key, { Range: 'bytes=2-4' }), '234');
});

test('an absent object has the name of its error', async () => {
  await refused(s3.send(new GetObjectCommand({ Bucket, Key: 'js/none' })), 'NoSuchKey', 404);
  await refused(s3.send(new HeadObjectCommand({ Bucket, Key: 'js/none' })), 'NotFound', 404);
});

test('conditional writes', async () => {
  const Key = `js/${fresh('conditional')}`;
  const { ETag } = await put(Key, 'first', { IfNoneMatch: '*' });
  await refused(put(Key, 'second', { IfNoneMatch: '*' }), 'PreconditionFailed', 412);
  await put(Key, 'third', { IfMatch: ETag });
  await refused(put(Key, 'fourth', { IfMatch: ETag }), 'PreconditionFailed', 412);
  assert.equal(await read(Key), 'third');
});

test('a copy', async () => {
  const Key = `js/${fresh('source')}`;
  await put(Key, 'copied');
  await s3.send(new CopyObjectCommand({ Bucket, Key: `${Key}-copy`, CopySource: `${Bucket}/${Key}` }));
  assert.equal(await read(`${Key}-copy`), 'copied');
});

test('listings by prefix and delimiter, in pages', async () => {
  const prefix = `js/${fresh('list')}/`;
  for (const name of ['a', 'b', 'c/1', 'c/2', 'd']) await put(prefix + name, '');
  const keys = [];
  let pages = 0;
  for await (const page of paginateListObjectsV2({ client: s3, pageSize: 2 }, { Bucket, Prefix: prefix })) {
    pages++;
    keys.push(...(page.Contents ?? []).map((o) => o.Key.slice(prefix.length)));
  }
  assert.deepEqual(keys, ['a', 'b', 'c/1', 'c/2', 'd']);
  assert.equal(pages, 3);
  const top = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: prefix, Delimiter: '/' }));
  assert.deepEqual(top.CommonPrefixes.map((p) => p.Prefix), [`${prefix}c/`]);
});

test('deletes, one by one and in a batch', async () => {
  const prefix = `js/${fresh('delete')}/`;
  for (const name of ['a', 'b', 'c']) await put(prefix + name, '');
  await s3.send(new DeleteObjectCommand({ Bucket, Key: `${prefix}a` }));
  const out = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: `${prefix}b` }, { Key: `${prefix}c` }, { Key: `${prefix}none` }] } }));
  assert.equal(out.Deleted.length, 3);
  assert.equal((await s3.send(new ListObjectsV2Command({ Bucket, Prefix: prefix }))).KeyCount, 0);
});

test('an upload in parts', async () => {
  const Key = `js/${fresh('parts')}`;
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const Parts = [];
  for (const [i, Body] of [Buffer.alloc(5 << 20, 'a'), Buffer.from('end')].entries()) {
    const { ETag } = await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: i + 1, Body }));
    Parts.push({ ETag, PartNumber: i + 1 });
  }
  const done = await s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }));
  assert.match(done.ETag, /-2"$/);
  assert.equal(await read(Key, { Range: 'bytes=-5' }), 'aaend');
});

test('an upload in parts that is given up', async () => {
  const Key = `js/${fresh('abandoned')}`;
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
  const left = await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: Key }));
  assert.equal((left.Uploads ?? []).length, 0);
});

test('versions and delete markers', async () => {
  const Key = `js/${fresh('version')}`;
  const one = await put(Key, 'one', { Bucket: stack.versions });
  await put(Key, 'two', { Bucket: stack.versions });
  await s3.send(new DeleteObjectCommand({ Bucket: stack.versions, Key }));
  assert.equal(await read(Key, { Bucket: stack.versions, VersionId: one.VersionId }), 'one');
  const all = await s3.send(new ListObjectVersionsCommand({ Bucket: stack.versions, Prefix: Key }));
  assert.equal(all.Versions.length, 2);
  assert.equal(all.DeleteMarkers.length, 1);
});

test('a presigned link works without keys', async () => {
  const Key = `js/${fresh('presigned')}`;
  const up = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key }));
  assert.equal((await fetch(up, { method: 'PUT', body: 'by link' })).status, 200);
  const down = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key }));
  assert.equal(await (await fetch(down)).text(), 'by link');
});

test('buckets are the template\'s', async () => {
  const names = (await s3.send(new ListBucketsCommand({}))).Buckets.map((b) => b.Name);
  assert.deepEqual(names.sort(), [stack.bucket, stack.versions].sort());
  await s3.send(new HeadBucketCommand({ Bucket }));
  await refused(s3.send(new CreateBucketCommand({ Bucket: 'another' })), 'NotImplemented', 501);
  await refused(s3.send(new PutObjectCommand({ Bucket: 'no-such-bucket', Key: 'k' })), 'NoSuchBucket', 404);
});

test('keys that nobody knows are refused', async () => {
  const stranger = new S3Client({ ...options, forcePathStyle: true, credentials: { accessKeyId: 'AKIANOBODY', secretAccessKey: 'x' } });
  await refused(stranger.send(new GetObjectCommand({ Bucket, Key: 'k' })), 'InvalidAccessKeyId', 403);
});
