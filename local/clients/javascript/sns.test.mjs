import test from 'node:test';
import assert from 'node:assert/strict';
import {
  SNSClient, CreateTopicCommand, DeleteTopicCommand, ListTopicsCommand, GetTopicAttributesCommand, PublishCommand, PublishBatchCommand,
  SubscribeCommand, UnsubscribeCommand, ListSubscriptionsCommand, ListSubscriptionsByTopicCommand, SetSubscriptionAttributesCommand, GetSubscriptionAttributesCommand,
  TagResourceCommand, ListTagsForResourceCommand, CreatePlatformApplicationCommand,
} from '@aws-sdk/client-sns';
import { SQSClient, CreateQueueCommand, GetQueueAttributesCommand, ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { options, stack, refused, fresh } from './services.mjs';

const sns = new SNSClient(options);
const sqs = new SQSClient(options);
const policy = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: { Service: 'sns.amazonaws.com' }, Action: 'sqs:SendMessage', Resource: '*' }],
});

// subscribed makes a topic with a queue of its own.
const subscribed = async (Attributes) => {
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: fresh('js') }));
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: fresh('js-sns'), Attributes: { Policy: policy } }));
  const { Attributes: found } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }));
  const { SubscriptionArn } = await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: found.QueueArn, Attributes }));
  return { TopicArn, QueueUrl, SubscriptionArn };
};
const receive = async (QueueUrl) =>
  (await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 5, MessageAttributeNames: ['All'] }))).Messages ?? [];
const text = (StringValue) => ({ DataType: 'String', StringValue });

test('a subscribed queue gets the envelope', async () => {
  const { TopicArn, QueueUrl } = await subscribed();
  const { MessageId } = await sns.send(new PublishCommand({ TopicArn, Subject: 'Done', Message: 'hällo', MessageAttributes: { status: text('ok') } }));
  const [m] = await receive(QueueUrl);
  const envelope = JSON.parse(m.Body);
  assert.equal(envelope.Type, 'Notification');
  assert.equal(envelope.MessageId, MessageId);
  assert.equal(envelope.Subject, 'Done');
  assert.equal(envelope.Message, 'hällo');
  assert.deepEqual(envelope.MessageAttributes, { status: { Type: 'String', Value: 'ok' } });
});

test('raw delivery hands over body and attributes', async () => {
  const { TopicArn, QueueUrl } = await subscribed({ RawMessageDelivery: 'true' });
  await sns.send(new PublishCommand({ TopicArn, Message: 'raw', MessageAttributes: { status: text('ok') } }));
  const [m] = await receive(QueueUrl);
  assert.equal(m.Body, 'raw');
  assert.equal(m.MessageAttributes.status.StringValue, 'ok');
});

test('filters on attributes and on the body', async () => {
  const { TopicArn, QueueUrl, SubscriptionArn } = await subscribed({ FilterPolicy: JSON.stringify({ status: ['ok'] }), RawMessageDelivery: 'true' });
  await sns.send(new PublishCommand({ TopicArn, Message: 'no', MessageAttributes: { status: text('bad') } }));
  await sns.send(new PublishCommand({ TopicArn, Message: 'yes', MessageAttributes: { status: text('ok') } }));
  assert.deepEqual((await receive(QueueUrl)).map((m) => m.Body), ['yes']);
  for (const [AttributeName, AttributeValue] of [['FilterPolicyScope', 'MessageBody'], ['FilterPolicy', JSON.stringify({ size: [{ numeric: ['>', 3] }] })]]) {
    await sns.send(new SetSubscriptionAttributesCommand({ SubscriptionArn, AttributeName, AttributeValue }));
  }
  await sns.send(new PublishCommand({ TopicArn, Message: '{"size":2}' }));
  await sns.send(new PublishCommand({ TopicArn, Message: '{"size":4}' }));
  assert.deepEqual((await receive(QueueUrl)).map((m) => m.Body), ['{"size":4}']);
});

test('a batch tells what went out and what did not', async () => {
  const { TopicArn } = await subscribed();
  const out = await sns.send(new PublishBatchCommand({
    TopicArn, PublishBatchRequestEntries: [{ Id: 'good', Message: 'x' }, { Id: 'bad', Message: '' }],
  }));
  assert.deepEqual(out.Successful.map((e) => e.Id), ['good']);
  assert.deepEqual(out.Failed.map((e) => e.Id), ['bad']);
});

test('topics and subscriptions are listed, described, tagged and ended', async () => {
  const { TopicArn, SubscriptionArn } = await subscribed();
  assert.ok((await sns.send(new ListTopicsCommand({}))).Topics.some((t) => t.TopicArn === TopicArn));
  assert.ok((await sns.send(new ListTopicsCommand({}))).Topics.some((t) => t.TopicArn === stack.topicArn));
  assert.equal((await sns.send(new GetTopicAttributesCommand({ TopicArn }))).Attributes.SubscriptionsConfirmed, '1');
  assert.equal((await sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn }))).Attributes.Protocol, 'sqs');
  assert.ok((await sns.send(new ListSubscriptionsCommand({}))).Subscriptions.some((s) => s.SubscriptionArn === SubscriptionArn));
  await sns.send(new TagResourceCommand({ ResourceArn: TopicArn, Tags: [{ Key: 'team', Value: 'blue' }] }));
  assert.deepEqual((await sns.send(new ListTagsForResourceCommand({ ResourceArn: TopicArn }))).Tags, [{ Key: 'team', Value: 'blue' }]);
  await sns.send(new UnsubscribeCommand({ SubscriptionArn }));
  assert.equal(((await sns.send(new ListSubscriptionsByTopicCommand({ TopicArn }))).Subscriptions ?? []).length, 0);
  await sns.send(new DeleteTopicCommand({ TopicArn }));
  await refused(sns.send(new PublishCommand({ TopicArn, Message: 'x' })), 'NotFoundException', 404);
});

test('the template\'s subscription filters too', async () => {
  await sns.send(new PublishCommand({ TopicArn: stack.topicArn, Message: 'other', MessageAttributes: { for: text('nobody') } }));
  await sns.send(new PublishCommand({ TopicArn: stack.topicArn, Message: 'mine', MessageAttributes: { for: text('queue') } }));
  assert.deepEqual((await receive(stack.queueUrl)).map((m) => JSON.parse(m.Body).Message), ['mine']);
});

test('what is not there is refused by name', async () => {
  await assert.rejects(
    sns.send(new CreatePlatformApplicationCommand({ Name: 'app', Platform: 'GCM', Attributes: {} })),
    /CreatePlatformApplication.*is not part of the local services/);
  await refused(sns.send(new CreateTopicCommand({ Name: 'js.fifo', Attributes: { FifoTopic: 'true' } })), 'InvalidParameterException', 400);
});
