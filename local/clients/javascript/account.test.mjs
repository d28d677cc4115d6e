import test from 'node:test';
import assert from 'node:assert/strict';
import {
  CloudFormationClient, DescribeStacksCommand, ListStacksCommand, DescribeStackResourcesCommand, ListStackResourcesCommand, GetTemplateCommand,
  DeleteStackCommand,
} from '@aws-sdk/client-cloudformation';
import {
  IAMClient, GetRoleCommand, GetRolePolicyCommand, ListRolePoliciesCommand, ListAttachedRolePoliciesCommand, SimulatePrincipalPolicyCommand,
  CreateRoleCommand, paginateListRoles,
} from '@aws-sdk/client-iam';
import { STSClient, GetCallerIdentityCommand, AssumeRoleCommand } from '@aws-sdk/client-sts';
import {
  ServiceQuotasClient, GetServiceQuotaCommand, GetAWSDefaultServiceQuotaCommand, ListAWSDefaultServiceQuotasCommand, ListServicesCommand,
  RequestServiceQuotaIncreaseCommand, paginateListServiceQuotas,
} from '@aws-sdk/client-service-quotas';
import { options, stack, refused } from './services.mjs';

const cloudformation = new CloudFormationClient(options);
const iam = new IAMClient(options);
const sts = new STSClient(options);
const quotas = new ServiceQuotasClient(options);
const StackName = 'clients-stack';
const RoleName = 'clients-job';

test('the stack has the template\'s outputs', async () => {
  const { Stacks: [found] } = await cloudformation.send(new DescribeStacksCommand({ StackName }));
  assert.equal(found.StackStatus, 'CREATE_COMPLETE');
  assert.equal(found.Description, 'One of each kind, for the client suites');
  assert.equal(found.Outputs.find((o) => o.OutputKey === 'QueueUrl').OutputValue, stack.queueUrl);
  assert.ok(found.CreationTime instanceof Date);
  const again = await cloudformation.send(new DescribeStacksCommand({ StackName: found.StackId }));
  assert.equal(again.Stacks[0].StackName, StackName);
  const all = await cloudformation.send(new ListStacksCommand({}));
  assert.deepEqual(all.StackSummaries.map((s) => s.StackId), [found.StackId]);
  await refused(cloudformation.send(new DescribeStacksCommand({ StackName: 'another' })), 'ValidationError', 400);
});

test('the stack\'s resources have their names', async () => {
  const { StackResources } = await cloudformation.send(new DescribeStackResourcesCommand({ StackName, LogicalResourceId: 'Topic' }));
  assert.deepEqual(StackResources.map((r) => [r.ResourceType, r.PhysicalResourceId]), [['AWS::SNS::Topic', stack.topicArn]]);
  const { StackResourceSummaries } = await cloudformation.send(new ListStackResourcesCommand({ StackName }));
  assert.equal(StackResourceSummaries.find((r) => r.LogicalResourceId === 'Bucket').PhysicalResourceId, stack.bucket);
});

test('the template comes back as it is', async () => {
  const { TemplateBody } = await cloudformation.send(new GetTemplateCommand({ StackName }));
  assert.equal(JSON.parse(TemplateBody).Resources.Bucket.Properties.BucketName, stack.bucket);
});

test('a role comes back with its policies', async () => {
  const { Role } = await iam.send(new GetRoleCommand({ RoleName }));
  assert.equal(Role.Arn, stack.jobRoleArn);
  const trust = JSON.parse(decodeURIComponent(Role.AssumeRolePolicyDocument));
  assert.equal(trust.Statement[0].Principal.Service, 'bedrock.amazonaws.com');
  assert.deepEqual((await iam.send(new ListRolePoliciesCommand({ RoleName }))).PolicyNames, ['own']);
  assert.deepEqual((await iam.send(new ListAttachedRolePoliciesCommand({ RoleName }))).AttachedPolicies ?? [], []);
  const policy = await iam.send(new GetRolePolicyCommand({ RoleName, PolicyName: 'own' }));
  assert.equal(JSON.parse(decodeURIComponent(policy.PolicyDocument)).Statement.length, 2);
  await refused(iam.send(new GetRolePolicyCommand({ RoleName, PolicyName: 'none' })), 'NoSuchEntityException', 404);
  await refused(iam.send(new GetRoleCommand({ RoleName: 'none' })), 'NoSuchEntityException', 404);
});

test('roles are listed in pages', async () => {
  const names = [];
  for await (const page of paginateListRoles({ client: iam, pageSize: 1 }, {})) names.push(...page.Roles.map((r) => r.RoleName));
  assert.deepEqual(names, ['clients-function', 'clients-job']);
});

test('a simulation says what a role may do', async () => {
  const { EvaluationResults } = await iam.send(new SimulatePrincipalPolicyCommand({
    PolicySourceArn: stack.jobRoleArn, ActionNames: ['s3:GetObject', 's3:DeleteObject'], ResourceArns: [`arn:aws:s3:::${stack.bucket}/key`],
  }));
  assert.deepEqual(EvaluationResults.map((r) => [r.EvalActionName, r.EvalDecision]), [['s3:GetObject', 'allowed'], ['s3:DeleteObject', 'implicitDeny']]);
});

test('who am I', async () => {
  const me = await sts.send(new GetCallerIdentityCommand({}));
  assert.equal(me.Account, '123456789012');
  assert.equal(me.Arn, 'arn:aws:iam::123456789012:user/developer');
});

test('quotas of batch inference', async () => {
  const all = [];
  for await (const page of paginateListServiceQuotas({ client: quotas, pageSize: 50 }, { ServiceCode: 'bedrock' })) all.push(...page.Quotas);
  const slots = all.find((q) => q.QuotaName === 'Sum of in-progress and submitted batch inference jobs using a base model for Nova Lite');
  assert.equal(slots?.Value, 20);
  const { Quota } = await quotas.send(new GetServiceQuotaCommand({ ServiceCode: 'bedrock', QuotaCode: slots.QuotaCode }));
  assert.deepEqual(Quota, slots);
  assert.equal((await quotas.send(new GetAWSDefaultServiceQuotaCommand({ ServiceCode: 'bedrock', QuotaCode: slots.QuotaCode }))).Quota.Value, 20);
  assert.ok((await quotas.send(new ListAWSDefaultServiceQuotasCommand({ ServiceCode: 'bedrock' }))).Quotas.length > 0);
  assert.deepEqual((await quotas.send(new ListServicesCommand({}))).Services.map((s) => s.ServiceCode), ['bedrock']);
  await refused(quotas.send(new GetServiceQuotaCommand({ ServiceCode: 'bedrock', QuotaCode: 'L-NONE' })), 'NoSuchResourceException', 400);
  await refused(quotas.send(new GetServiceQuotaCommand({ ServiceCode: 'ec2', QuotaCode: 'L-NONE' })), 'NoSuchResourceException', 400);
});

test('what is not there is refused by name', async () => {
  await assert.rejects(cloudformation.send(new DeleteStackCommand({ StackName })), /DeleteStack.*is not part of the local services/);
  await assert.rejects(iam.send(new CreateRoleCommand({ RoleName: 'r', AssumeRolePolicyDocument: '{}' })), /CreateRole.*is not part of the local services/);
  await assert.rejects(sts.send(new AssumeRoleCommand({ RoleArn: stack.jobRoleArn, RoleSessionName: 's' })), /AssumeRole.*is not part of the local services/);
  await assert.rejects(quotas.send(new RequestServiceQuotaIncreaseCommand({ ServiceCode: 'bedrock', QuotaCode: 'L-NONE', DesiredValue: 1 })),
    /RequestServiceQuotaIncrease.*is not part of the local services/);
});
