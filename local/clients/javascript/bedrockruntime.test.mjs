import test from 'node:test';
import assert from 'node:assert/strict';
import { BedrockRuntimeClient, ConverseCommand, InvokeModelCommand } from '@aws-sdk/client-bedrock-runtime';
import { options, refused } from './services.mjs';

const runtime = new BedrockRuntimeClient(options);
const messages = [{ role: 'user', content: [{ text: 'say something' }] }];

test('Converse answers with text, a reason and tokens', async () => {
  const out = await runtime.send(new ConverseCommand({ modelId: 'us.amazon.nova-lite-v1:0', messages, system: [{ text: 'be short' }], inferenceConfig: { maxTokens: 50 } }));
  assert.equal(out.output.message.role, 'assistant');
  assert.ok(out.output.message.content[0].text.length > 0);
  assert.ok(['end_turn', 'max_tokens'].includes(out.stopReason), out.stopReason);
  assert.equal(out.usage.totalTokens, out.usage.inputTokens + out.usage.outputTokens);
  assert.equal(typeof out.metrics.latencyMs, 'number');
});

test('InvokeModel answers in the family\'s own shape', async () => {
  const out = await runtime.send(new InvokeModelCommand({
    modelId: 'us.anthropic.claude-haiku-4-5-20251001-v1:0', contentType: 'application/json',
    body: JSON.stringify({ anthropic_version: 'bedrock-2023-05-31', max_tokens: 30, messages: [{ role: 'user', content: 'say something' }] }),
  }));
  const body = JSON.parse(Buffer.from(out.body).toString());
  assert.equal(body.type, 'message');
  assert.ok(body.content[0].text.length > 0);
  assert.ok(body.usage.output_tokens > 0);
});

test('wrong requests are refused with the service\'s errors', async () => {
  await refused(runtime.send(new ConverseCommand({ modelId: 'no.such-model', messages })), 'ValidationException', 400);
  await refused(runtime.send(new InvokeModelCommand({
    modelId: 'us.anthropic.claude-haiku-4-5-20251001-v1:0', contentType: 'application/json',
    body: JSON.stringify({ anthropic_version: 'bedrock-2023-05-31', messages: [{ role: 'user', content: 'no max_tokens' }] }),
  })), 'ValidationException', 400);
});
