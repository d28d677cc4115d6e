import test from 'node:test';
import assert from 'node:assert/strict';
import {
  EventBridgeClient, PutEventsCommand, ListRulesCommand, DescribeRuleCommand, ListTargetsByRuleCommand, TestEventPatternCommand, DeleteRuleCommand,
} from '@aws-sdk/client-eventbridge';
import { SQSClient, ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { options, stack, refused } from './services.mjs';

const events = new EventBridgeClient(options);
const sqs = new SQSClient(options);
const Name = 'clients';

test('an event that fits the rule goes to its target', async () => {
  const entry = (size) => ({ Source: 'clients', DetailType: 'Size', Detail: JSON.stringify({ size }) });
  const out = await events.send(new PutEventsCommand({ Entries: [entry(2), entry(4), { Source: 'aws.forged', DetailType: 'x', Detail: '{}' }] }));
  assert.equal(out.FailedEntryCount, 1);
  assert.ok(out.Entries[1].EventId);
  assert.ok(out.Entries[2].ErrorCode);
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: stack.eventsQueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 20 }));
  assert.deepEqual(Messages.map((m) => JSON.parse(m.Body).detail), [{ size: 4 }]);
});

test('rules and targets are the template\'s', async () => {
  assert.deepEqual((await events.send(new ListRulesCommand({}))).Rules.map((r) => r.Name), [Name]);
  assert.deepEqual(JSON.parse((await events.send(new DescribeRuleCommand({ Name }))).EventPattern).source, ['clients']);
  assert.deepEqual((await events.send(new ListTargetsByRuleCommand({ Rule: Name }))).Targets.map((t) => t.Id), ['queue']);
  await refused(events.send(new DescribeRuleCommand({ Name: 'none' })), 'ResourceNotFoundException');
  await assert.rejects(events.send(new DeleteRuleCommand({ Name })), /DeleteRule/);
});

test('a pattern is tried on an event', async () => {
  const Event = JSON.stringify({
    id: '1', account: '123456789012', source: 'clients', time: '2026-01-01T00:00:00Z', region: 'us-east-1', resources: [], 'detail-type': 'Size', detail: { size: 4 },
  });
  const fits = async (pattern) => (await events.send(new TestEventPatternCommand({ Event, EventPattern: JSON.stringify(pattern) }))).Result;
  assert.equal(await fits({ detail: { size: [4] } }), true);
  assert.equal(await fits({ detail: { size: [5] } }), false);
  await refused(events.send(new TestEventPatternCommand({ Event, EventPattern: '{"detail":[]' })), 'InvalidEventPatternException', 400);
});
