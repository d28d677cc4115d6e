import test from 'node:test';
import assert from 'node:assert/strict';
import {
  LambdaClient, InvokeCommand, GetFunctionCommand, GetFunctionConfigurationCommand, ListFunctionsCommand, ListEventSourceMappingsCommand,
  DeleteFunctionCommand,
} from '@aws-sdk/client-lambda';
import { options, stack, refused } from './services.mjs';

const lambda = new LambdaClient(options);
const FunctionName = stack.functionName;
const invoke = (event, more) => lambda.send(new InvokeCommand({ FunctionName, Payload: JSON.stringify(event), ...more }));
const answer = (out) => JSON.parse(Buffer.from(out.Payload).toString());

test('a function answers, and the end of its log comes along', async () => {
  const out = await invoke({ say: 'hällo' }, { LogType: 'Tail' });
  assert.equal(out.StatusCode, 200);
  assert.equal(out.FunctionError, undefined);
  assert.deepEqual(answer(out), { echo: { say: 'hällo' } });
  const log = Buffer.from(out.LogResult, 'base64').toString();
  assert.match(log, /echoing/);
  assert.match(log, /REPORT RequestId/);
});

test('a function\'s own error is told from the service\'s', async () => {
  const out = await invoke({ fail: true });
  assert.equal(out.StatusCode, 200);
  assert.equal(out.FunctionError, 'Unhandled');
  assert.equal(answer(out).errorMessage, 'as told');
});

test('an event is taken and nothing answered', async () => {
  const out = await invoke({ say: 'later' }, { InvocationType: 'Event' });
  assert.equal(out.StatusCode, 202);
  assert.equal(out.Payload?.length ?? 0, 0);
});

test('a dry run asks for the right alone', async () => {
  assert.equal((await invoke({}, { InvocationType: 'DryRun' })).StatusCode, 204);
});

test('functions are described', async () => {
  const { Configuration } = await lambda.send(new GetFunctionCommand({ FunctionName }));
  assert.equal(Configuration.Runtime, 'provided.al2023');
  assert.equal(Configuration.Timeout, 30);
  const again = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName: Configuration.FunctionArn }));
  assert.equal(again.FunctionArn, Configuration.FunctionArn);
  assert.deepEqual((await lambda.send(new ListFunctionsCommand({}))).Functions.map((f) => f.FunctionName), [FunctionName]);
  assert.deepEqual((await lambda.send(new ListEventSourceMappingsCommand({ FunctionName }))).EventSourceMappings, []);
});

test('what is not there is refused by name', async () => {
  await refused(lambda.send(new InvokeCommand({ FunctionName: 'none' })), 'ResourceNotFoundException', 404);
  await assert.rejects(lambda.send(new DeleteFunctionCommand({ FunctionName })), /is not part of the local Lambda/);
});
