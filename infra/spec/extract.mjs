// Writes resources.json: what AWS's resource specification says of the types
// below. Run it when a stack needs another type or the pin has moved:
//
//   npm ci && node extract.mjs && rm -r node_modules
import { loadAwsServiceSpec } from '@aws-cdk/aws-service-spec';
import { readFileSync, writeFileSync } from 'node:fs';

const types = `
  AWS::Athena::NamedQuery AWS::Athena::WorkGroup
  AWS::CloudWatch::Alarm AWS::CloudWatch::CompositeAlarm AWS::CloudWatch::Dashboard
  AWS::Events::Rule
  AWS::Glue::Database AWS::Glue::Table
  AWS::IAM::ManagedPolicy AWS::IAM::Policy AWS::IAM::Role
  AWS::KMS::Alias AWS::KMS::Key
  AWS::Lambda::EventInvokeConfig AWS::Lambda::EventSourceMapping AWS::Lambda::Function AWS::Lambda::Permission
  AWS::Logs::LogGroup AWS::Logs::MetricFilter AWS::Logs::QueryDefinition
  AWS::S3::Bucket AWS::S3::BucketPolicy
  AWS::SNS::Subscription AWS::SNS::Topic AWS::SNS::TopicPolicy
  AWS::SQS::Queue AWS::SQS::QueuePolicy
  AWS::Scheduler::Schedule`.trim().split(/\s+/);

const db = await loadAwsServiceSpec();
const definitions = {};

function shape(type) {
  switch (type.type) {
    case 'array': return { list: shape(type.element) };
    case 'map': return { map: shape(type.element) };
    case 'union': return { union: type.types.map(shape) };
    case 'ref': define(type.reference.$ref); return { ref: type.reference.$ref };
    case 'string': return type.allowedValues ? { type: 'string', values: type.allowedValues } : { type: 'string' };
    default: return { type: type.type };
  }
}

function members(properties) {
  const all = {};
  for (const [name, p] of Object.entries(properties).sort()) {
    // Older spellings of the type are good too.
    const shapes = [p.type, ...(p.previousTypes ?? [])].map(shape);
    all[name] = { ...(shapes.length > 1 ? { union: shapes } : shapes[0]), ...(p.required ? { required: true } : {}) };
  }
  return all;
}

function define(id) {
  if (definitions[id]) return;
  definitions[id] = {};
  definitions[id] = members(db.get('typeDefinition', id).properties);
}

const resources = {};
for (const type of types) {
  const [found] = db.lookup('resource', 'cloudFormationType', 'equals', type);
  if (!found) throw new Error(`${type} is not in the specification`);
  resources[type] = { properties: members(found.properties), attributes: Object.keys(found.attributes).sort() };
}
const source = JSON.parse(readFileSync('package.json')).devDependencies;
writeFileSync('resources.json', JSON.stringify({ source, resources, definitions }, null, 1) + '\n');
