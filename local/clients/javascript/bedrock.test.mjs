import test from 'node:test';
import assert from 'node:assert/strict';
import {
  BedrockClient, CreateModelInvocationJobCommand, GetModelInvocationJobCommand, ListModelInvocationJobsCommand, StopModelInvocationJobCommand,
  ListFoundationModelsCommand, GetFoundationModelCommand, ListInferenceProfilesCommand, GetInferenceProfileCommand,
  TagResourceCommand, ListTagsForResourceCommand, ListGuardrailsCommand,
} from '@aws-sdk/client-bedrock';
import { S3Client, PutObjectCommand, GetObjectCommand } from '@aws-sdk/client-s3';
import { options, stack, refused, fresh } from './services.mjs';

const bedrock = new BedrockClient(options);
const s3 = new S3Client({ ...options, forcePathStyle: true });
const model = 'us.amazon.nova-lite-v1:0';

// records puts an input of n records and names a job for it.
const job = async (n, more) => {
  const jobName = fresh('js');
  const lines = Array.from({ length: n }, (_, i) => JSON.stringify({
    recordId: `r${i}`, modelInput: { messages: [{ role: 'user', content: [{ text: `number ${i}` }] }], inferenceConfig: { maxTokens: 20 } },
  }));
  await s3.send(new PutObjectCommand({ Bucket: stack.bucket, Key: `js/${jobName}/in/records.jsonl`, Body: lines.join('\n') + '\n' }));
  return {
    jobName, modelId: model, roleArn: stack.jobRoleArn,
    inputDataConfig: { s3InputDataConfig: { s3Uri: `s3://${stack.bucket}/js/${jobName}/in/` } },
    outputDataConfig: { s3OutputDataConfig: { s3Uri: `s3://${stack.bucket}/js/${jobName}/out/` } },
    ...more,
  };
};
const get = (jobIdentifier) => bedrock.send(new GetModelInvocationJobCommand({ jobIdentifier }));
const ended = async (arn) => {
  for (;;) {
    const found = await get(arn);
    if (['Completed', 'PartiallyCompleted', 'Failed', 'Stopped', 'Expired'].includes(found.status)) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

test('a job answers its records and counts them', async () => {
  const input = await job(120);
  const { jobArn } = await bedrock.send(new CreateModelInvocationJobCommand(input));
  const found = await ended(jobArn);
  assert.equal(found.status, 'Completed', found.message);
  assert.ok(found.submitTime instanceof Date && found.endTime >= found.submitTime);
  const folder = `js/${input.jobName}/out/${jobArn.split('/').pop()}/`;
  const read = async (name) => (await s3.send(new GetObjectCommand({ Bucket: stack.bucket, Key: folder + name }))).Body.transformToString();
  const answers = (await read('records.jsonl.out')).trim().split('\n').map((line) => JSON.parse(line));
  assert.equal(answers.length, 120);
  assert.ok(answers.every((a) => a.modelOutput && !a.error));
  const manifest = JSON.parse(await read('manifest.json.out'));
  assert.equal(manifest.totalRecordCount, 120);
  assert.equal(manifest.successRecordCount, 120);
});

test('the same token starts one job, the same name no second one', async () => {
  const input = await job(100, { clientRequestToken: fresh('token') });
  const one = await bedrock.send(new CreateModelInvocationJobCommand(input));
  const two = await bedrock.send(new CreateModelInvocationJobCommand(input));
  assert.equal(one.jobArn, two.jobArn);
  // AWS does not say which error this is, only how it is worded.
  await assert.rejects(bedrock.send(new CreateModelInvocationJobCommand({ ...input, clientRequestToken: fresh('token') })), /currently in use/);
});

test('jobs are listed by name and stopped', async () => {
  const input = await job(100);
  const { jobArn } = await bedrock.send(new CreateModelInvocationJobCommand(input));
  const list = await bedrock.send(new ListModelInvocationJobsCommand({ nameContains: input.jobName }));
  assert.deepEqual(list.invocationJobSummaries.map((j) => j.jobArn), [jobArn]);
  await bedrock.send(new StopModelInvocationJobCommand({ jobIdentifier: jobArn }));
  assert.equal((await ended(jobArn)).status, 'Stopped');
  await refused(bedrock.send(new StopModelInvocationJobCommand({ jobIdentifier: jobArn })), 'ConflictException');
});

test('jobs carry tags', async () => {
  const { jobArn } = await bedrock.send(new CreateModelInvocationJobCommand(await job(100, { tags: [{ key: 'team', value: 'blue' }] })));
  await bedrock.send(new TagResourceCommand({ resourceARN: jobArn, tags: [{ key: 'size', value: 'l' }] }));
  const { tags } = await bedrock.send(new ListTagsForResourceCommand({ resourceARN: jobArn }));
  assert.deepEqual(tags.map((t) => t.key).sort(), ['size', 'team']);
});

test('wrong jobs are refused with the service\'s errors', async () => {
  const good = await job(100);
  const create = (more) => bedrock.send(new CreateModelInvocationJobCommand({ ...good, ...more }));
  await refused(create({ jobName: 'a name with spaces' }), 'ValidationException', 400);
  await refused(create({ modelId: 'no.such-model' }), 'ValidationException', 400);
  await refused(get('arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghijkl'), 'ResourceNotFoundException', 404);
});

test('models and profiles are described', async () => {
  const { modelSummaries } = await bedrock.send(new ListFoundationModelsCommand({ byProvider: 'amazon' }));
  assert.ok(modelSummaries.some((m) => m.modelId === 'amazon.nova-lite-v1:0'));
  const { modelDetails } = await bedrock.send(new GetFoundationModelCommand({ modelIdentifier: 'amazon.nova-lite-v1:0' }));
  assert.equal(modelDetails.providerName, 'Amazon');
  const { inferenceProfileSummaries } = await bedrock.send(new ListInferenceProfilesCommand({}));
  assert.ok(inferenceProfileSummaries.some((p) => p.inferenceProfileId === model));
  const profile = await bedrock.send(new GetInferenceProfileCommand({ inferenceProfileIdentifier: model }));
  assert.ok(profile.models.length > 0);
});

test('what is not there is refused by name', async () => {
  await assert.rejects(bedrock.send(new ListGuardrailsCommand({})), /UnknownOperationException|not.*local|not offered/i);
});
