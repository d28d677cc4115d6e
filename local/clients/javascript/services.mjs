// What all test files share: how clients are made and what the stack is called.
import assert from 'node:assert/strict';

const env = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: source the env file of the local services first`);
  return value;
};

export const options = {
  region: env('AWS_REGION'),
  endpoint: env('AWS_ENDPOINT_URL'),
  credentials: { accessKeyId: env('AWS_ACCESS_KEY_ID'), secretAccessKey: env('AWS_SECRET_ACCESS_KEY') },
  maxAttempts: 1,
};

export const stack = {
  bucket: env('BB_BUCKET'),
  versions: env('BB_VERSIONS_BUCKET'),
  queueUrl: env('BB_QUEUE_URL'),
  queueArn: env('BB_QUEUE_ARN'),
  eventsQueueUrl: env('BB_EVENTS_QUEUE_URL'),
  topicArn: env('BB_TOPIC_ARN'),
  jobRoleArn: env('BB_JOB_ROLE_ARN'),
  functionName: env('BB_FUNCTION_NAME'),
};

// refused asserts that a call fails with this error of the service.
export const refused = (call, name, status) =>
  assert.rejects(call, (error) => {
    assert.equal(error.name, name, `${error.name}: ${error.message}`);
    if (status) assert.equal(error.$metadata.httpStatusCode, status);
    return true;
  });

let count = 0;
// fresh makes a name that no other test uses.
export const fresh = (prefix) => `${prefix}-${process.pid}-${++count}`;
