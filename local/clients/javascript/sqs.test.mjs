import test from 'node:test';
import assert from 'node:assert/strict';
import {
  SQSClient, CreateQueueCommand, GetQueueUrlCommand, ListQueuesCommand, DeleteQueueCommand, GetQueueAttributesCommand, SetQueueAttributesCommand,
  SendMessageCommand, SendMessageBatchCommand, ReceiveMessageCommand, DeleteMessageCommand, DeleteMessageBatchCommand,
  ChangeMessageVisibilityCommand, PurgeQueueCommand, StartMessageMoveTaskCommand, ListMessageMoveTasksCommand, CancelMessageMoveTaskCommand,
  TagQueueCommand, UntagQueueCommand, ListQueueTagsCommand, AddPermissionCommand,
} from '@aws-sdk/client-sqs';
import { options, refused, fresh } from './services.mjs';

const sqs = new SQSClient(options);
const create = async (Attributes) => (await sqs.send(new CreateQueueCommand({ QueueName: fresh('js'), Attributes }))).QueueUrl;
const receive = async (QueueUrl, more) => (await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, ...more }))).Messages ?? [];
const attribute = async (QueueUrl, name) =>
  (await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [name] }))).Attributes[name];

test('a message is sent, received with its attributes and deleted', async () => {
  const QueueUrl = await create();
  await sqs.send(new SendMessageCommand({
    QueueUrl, MessageBody: 'hällo', MessageAttributes: {
      text: { DataType: 'String', StringValue: 'v' }, number: { DataType: 'Number', StringValue: '7' },
      bytes: { DataType: 'Binary', BinaryValue: new Uint8Array([0, 255]) },
    },
  })); // the client compares the digests of body and attributes
  const [m] = await receive(QueueUrl, { MessageAttributeNames: ['All'], MessageSystemAttributeNames: ['ApproximateReceiveCount'] });
  assert.equal(m.Body, 'hällo');
  assert.equal(m.MessageAttributes.text.StringValue, 'v');
  assert.deepEqual([...m.MessageAttributes.bytes.BinaryValue], [0, 255]);
  assert.equal(m.Attributes.ApproximateReceiveCount, '1');
  await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: m.ReceiptHandle }));
  assert.equal(await attribute(QueueUrl, 'ApproximateNumberOfMessagesNotVisible'), '0');
});

test('a batch tells what went in and what did not', async () => {
  const QueueUrl = await create();
  const out = await sqs.send(new SendMessageBatchCommand({
    QueueUrl, Entries: [{ Id: 'good', MessageBody: 'x' }, { Id: 'bad', MessageBody: 'x', DelaySeconds: 1000 }],
  }));
  assert.deepEqual(out.Successful.map((e) => e.Id), ['good']);
  assert.deepEqual(out.Failed.map((e) => [e.Id, e.SenderFault]), [['bad', true]]);
  const [m] = await receive(QueueUrl);
  const gone = await sqs.send(new DeleteMessageBatchCommand({
    QueueUrl, Entries: [{ Id: '1', ReceiptHandle: m.ReceiptHandle }, { Id: '2', ReceiptHandle: 'no handle' }],
  }));
  assert.equal(gone.Successful.length, 1);
  assert.equal(gone.Failed.length, 1);
});

test('a message that is let go comes again', async () => {
  const QueueUrl = await create();
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'again' }));
  const [m] = await receive(QueueUrl);
  assert.equal((await receive(QueueUrl)).length, 0);
  await sqs.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0 }));
  assert.equal((await receive(QueueUrl)).length, 1);
});

test('a long poll ends with the message it waits for', async () => {
  const QueueUrl = await create();
  const waiting = receive(QueueUrl, { WaitTimeSeconds: 20 });
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'late' }));
  assert.equal((await waiting)[0].Body, 'late');
});

test('what is received too often goes to the dead letters and back', async () => {
  const dead = await create();
  const deadLetterTargetArn = await attribute(dead, 'QueueArn');
  const QueueUrl = await create({ RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: '1' }), VisibilityTimeout: '0' });
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'poison' }));
  assert.equal((await receive(QueueUrl)).length, 1);
  assert.equal((await receive(QueueUrl)).length, 0);
  assert.equal(await attribute(dead, 'ApproximateNumberOfMessages'), '1');
  await sqs.send(new StartMessageMoveTaskCommand({ SourceArn: deadLetterTargetArn }));
  assert.equal((await receive(QueueUrl, { WaitTimeSeconds: 20 }))[0].Body, 'poison');
  assert.equal((await sqs.send(new ListMessageMoveTasksCommand({ SourceArn: deadLetterTargetArn }))).Results.length, 1);
});

test('moving dead letters back is called off', async () => {
  const dead = await create();
  const SourceArn = await attribute(dead, 'QueueArn');
  const source = await create({ RedrivePolicy: JSON.stringify({ deadLetterTargetArn: SourceArn, maxReceiveCount: '1' }), VisibilityTimeout: '0' });
  for (const MessageBody of ['1', '2', '3', '4']) await sqs.send(new SendMessageCommand({ QueueUrl: source, MessageBody }));
  while (await attribute(dead, 'ApproximateNumberOfMessages') !== '4') await receive(source);
  const { TaskHandle } = await sqs.send(new StartMessageMoveTaskCommand({ SourceArn, MaxNumberOfMessagesPerSecond: 1 }));
  const out = await sqs.send(new CancelMessageMoveTaskCommand({ TaskHandle }));
  assert.ok(out.ApproximateNumberOfMessagesMoved < 4);
  await refused(sqs.send(new CancelMessageMoveTaskCommand({ TaskHandle: 'none' })), 'ResourceNotFoundException');
});

test('queues of one\'s own are found, changed, emptied and deleted', async () => {
  const QueueName = fresh('js');
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName, tags: { team: 'blue' } }));
  assert.equal((await sqs.send(new GetQueueUrlCommand({ QueueName }))).QueueUrl, QueueUrl);
  assert.ok((await sqs.send(new ListQueuesCommand({ QueueNamePrefix: QueueName }))).QueueUrls.includes(QueueUrl));
  await sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { VisibilityTimeout: '77' } }));
  assert.equal(await attribute(QueueUrl, 'VisibilityTimeout'), '77');
  await sqs.send(new TagQueueCommand({ QueueUrl, Tags: { size: 'l' } }));
  assert.deepEqual((await sqs.send(new ListQueueTagsCommand({ QueueUrl }))).Tags, { team: 'blue', size: 'l' });
  await sqs.send(new UntagQueueCommand({ QueueUrl, TagKeys: ['team'] }));
  assert.deepEqual((await sqs.send(new ListQueueTagsCommand({ QueueUrl }))).Tags, { size: 'l' });
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'x' }));
  await sqs.send(new PurgeQueueCommand({ QueueUrl }));
  assert.equal(await attribute(QueueUrl, 'ApproximateNumberOfMessages'), '0');
  await sqs.send(new DeleteQueueCommand({ QueueUrl }));
  await refused(sqs.send(new GetQueueUrlCommand({ QueueName })), 'QueueDoesNotExist', 400);
});

test('what is not there is refused by name', async () => {
  const QueueUrl = await create();
  await refused(sqs.send(new CreateQueueCommand({ QueueName: `${fresh('js')}.fifo`, Attributes: { FifoQueue: 'true' } })), 'UnsupportedOperation', 400);
  await assert.rejects(
    sqs.send(new AddPermissionCommand({ QueueUrl, Label: 'l', AWSAccountIds: ['123456789012'], Actions: ['*'] })),
    /AddPermission.*is not part of the local services/);
});
