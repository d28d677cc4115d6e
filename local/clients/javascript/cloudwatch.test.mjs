import test from 'node:test';
import assert from 'node:assert/strict';
import {
  CloudWatchClient, DescribeAlarmsCommand, GetMetricDataCommand, GetMetricStatisticsCommand, PutMetricDataCommand, paginateListMetrics,
} from '@aws-sdk/client-cloudwatch';
import {
  CloudWatchLogsClient, DescribeLogGroupsCommand, DescribeLogStreamsCommand, GetLogEventsCommand, FilterLogEventsCommand, PutLogEventsCommand,
} from '@aws-sdk/client-cloudwatch-logs';
import { LambdaClient, InvokeCommand } from '@aws-sdk/client-lambda';
import { options, stack, refused } from './services.mjs';

const cloudwatch = new CloudWatchClient(options);
const logs = new CloudWatchLogsClient(options);
const lambda = new LambdaClient(options);
const logGroupName = `/aws/lambda/${stack.functionName}`;
const Dimensions = [{ Name: 'FunctionName', Value: stack.functionName }];
const span = { StartTime: new Date(Date.now() - 3600_000), EndTime: new Date(Date.now() + 3600_000) };

test.before(async () => {
  for (const event of [{ count: true }, { fail: true }]) {
    await lambda.send(new InvokeCommand({ FunctionName: stack.functionName, Payload: JSON.stringify(event) }));
  }
});

test('a line in the Embedded Metric Format is a metric', async () => {
  const found = [];
  for await (const page of paginateListMetrics({ client: cloudwatch }, { Namespace: 'Clients' })) found.push(...page.Metrics);
  assert.deepEqual(found.map((m) => [m.MetricName, m.Dimensions]), [['Echoes', [{ Name: 'Kind', Value: 'counted' }]]]);
  const { MetricDataResults: [echoes] } = await cloudwatch.send(new GetMetricDataCommand({ ...span, MetricDataQueries: [
    { Id: 'echoes', MetricStat: { Metric: found[0], Period: 60, Stat: 'Sum' } },
  ] }));
  assert.equal(echoes.Values.reduce((a, b) => a + b), 3);
  assert.ok(echoes.Timestamps[0] instanceof Date);
});

test('a function has metrics of its own', async () => {
  const { Datapoints } = await cloudwatch.send(new GetMetricStatisticsCommand({
    ...span, Namespace: 'AWS/Lambda', MetricName: 'Duration', Dimensions, Period: 3600, Statistics: ['Maximum', 'SampleCount'],
  }));
  assert.ok(Datapoints.length > 0 && Datapoints[0].SampleCount >= 1 && Datapoints[0].Maximum > 0, JSON.stringify(Datapoints));
  assert.equal(Datapoints[0].Unit, 'Milliseconds');
});

test('the template\'s alarm is raised by a function that failed', async () => {
  const { MetricAlarms: [alarm] } = await cloudwatch.send(new DescribeAlarmsCommand({ AlarmNames: ['clients-errors'] }));
  assert.equal(alarm.StateValue, 'ALARM', alarm.StateReason);
  assert.equal(alarm.Threshold, 1);
  assert.ok(alarm.StateUpdatedTimestamp instanceof Date);
});

test('a log is found, read and searched', async () => {
  const { logGroups: [group] } = await logs.send(new DescribeLogGroupsCommand({ logGroupNamePrefix: logGroupName }));
  assert.equal(group.retentionInDays, 7);
  const { logStreams: [stream] } = await logs.send(new DescribeLogStreamsCommand({ logGroupName }));
  const { events } = await logs.send(new GetLogEventsCommand({ logGroupName, logStreamName: stream.logStreamName, startFromHead: true }));
  assert.match(events[0].message, /^START RequestId/);
  const echoes = await logs.send(new FilterLogEventsCommand({ logGroupName, filterPattern: '{ $.Echoes = 3 }' }));
  assert.equal(echoes.events.length, 1);
});

test('what is not there is refused', async () => {
  await refused(cloudwatch.send(new PutMetricDataCommand({ Namespace: 'N', MetricData: [{ MetricName: 'm', Value: 1 }] })), 'UnknownOperationException', 400);
  await refused(logs.send(new PutLogEventsCommand({ logGroupName, logStreamName: 's', logEvents: [{ message: 'm', timestamp: 1 }] })), 'UnknownOperationException', 400);
  await refused(logs.send(new DescribeLogStreamsCommand({ logGroupName: '/none' })), 'ResourceNotFoundException', 400);
});
