"""Asks the local services what Python's AWS SDK asks, in whatever version is
installed: services that it does not know are left out and named at the end.
Prints one JSON line per check."""

import datetime
import json
import os
import sys
import time
import traceback
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
BUCKET = os.environ["BB_BUCKET"]
session = boto3.session.Session(
    region_name=os.environ["AWS_REGION"],
    aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
    aws_secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
)
checks = []


def check(*services):
    """Registers a check that needs these services."""
    return lambda run: checks.append((services, run)) or run


def client(service):
    return session.client(service, endpoint_url=ENDPOINT)


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        got = error.response["Error"]["Code"]
        assert got == code, f"{got} instead of {code}: {error}"
        return
    raise AssertionError(f"not refused with {code}")


@check("s3")
def objects_are_written_listed_copied_and_deleted():
    s3, prefix = client("s3"), fresh("boto") + "/"
    for name in ("a b", "ü/1", "ü/2"):
        s3.put_object(Bucket=BUCKET, Key=prefix + name, Body=name.encode())
    assert s3.get_object(Bucket=BUCKET, Key=prefix + "a b")["Body"].read() == b"a b"
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix, Delimiter="/")
    assert [o["Key"] for o in listed["Contents"]] == [prefix + "a b"], listed
    assert [p["Prefix"] for p in listed["CommonPrefixes"]] == [prefix + "ü/"], listed
    s3.copy_object(Bucket=BUCKET, Key=prefix + "copy", CopySource={"Bucket": BUCKET, "Key": prefix + "a b"})
    keys = [{"Key": prefix + name} for name in ("a b", "ü/1", "ü/2", "copy")]
    assert len(s3.delete_objects(Bucket=BUCKET, Delete={"Objects": keys})["Deleted"]) == 4
    refused("NoSuchKey", s3.get_object, Bucket=BUCKET, Key=prefix + "a b")


@check("s3")
def a_large_file_goes_up_in_parts():
    import io

    from boto3.s3.transfer import TransferConfig

    s3, key = client("s3"), fresh("boto")
    body = os.urandom(11 << 20)
    s3.upload_fileobj(io.BytesIO(body), BUCKET, key, Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20))
    assert s3.head_object(Bucket=BUCKET, Key=key)["ETag"].endswith('-3"')
    back = io.BytesIO()
    s3.download_fileobj(BUCKET, key, back)
    assert back.getvalue() == body


@check("s3")
def a_presigned_link_works():
    import urllib.request

    # Without being told boto3 signs links as buckets of before 2020 took them.
    s3, key = session.client("s3", endpoint_url=ENDPOINT, config=Config(signature_version="s3v4")), fresh("boto")
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"by link")
    link = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key})
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"by link"


@check("sqs")
def messages_are_sent_received_and_deleted():
    sqs = client("sqs")
    url = sqs.create_queue(QueueName=fresh("boto"))["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="hällo", MessageAttributes={"a": {"DataType": "String", "StringValue": "v"}})
    out = sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "good", "MessageBody": "x"}, {"Id": "bad", "MessageBody": "x", "DelaySeconds": 1000}])
    assert [e["Id"] for e in out["Successful"]] == ["good"] and [e["Id"] for e in out["Failed"]] == ["bad"], out
    got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])["Messages"]
    assert sorted(m["Body"] for m in got) == ["hällo", "x"], got
    for message in got:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessagesNotVisible"] == "0", counts
    sqs.delete_queue(QueueUrl=url)


@check("sqs")
def an_absent_queue_has_its_error():
    sqs = client("sqs")
    try:
        sqs.get_queue_url(QueueName="none")
        raise AssertionError("found")
    except sqs.exceptions.QueueDoesNotExist:
        pass


@check("sns", "sqs")
def a_queue_gets_what_is_published():
    sns, sqs = client("sns"), client("sqs")
    topic = sns.create_topic(Name=fresh("boto"))["TopicArn"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*"}]}
    url = sqs.create_queue(QueueName=fresh("boto"), Attributes={"Policy": json.dumps(policy)})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"FilterPolicy": '{"status":["ok"]}'})
    for status in ("bad", "ok"):
        sns.publish(TopicArn=topic, Message=status, MessageAttributes={"status": {"DataType": "String", "StringValue": status}})
    got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
    assert [json.loads(m["Body"])["Message"] for m in got] == ["ok"], got
    sns.delete_topic(TopicArn=topic)


@check("lambda")
def a_function_answers():
    out = client("lambda").invoke(FunctionName=os.environ["BB_FUNCTION_NAME"], Payload=b'{"say":"x"}', LogType="Tail")
    assert json.load(out["Payload"]) == {"echo": {"say": "x"}}, out


@check("sts")
def the_caller_is_known():
    assert client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::123456789012:user/developer"


@check("cloudformation")
def the_stack_has_outputs():
    outputs = client("cloudformation").describe_stacks(StackName="clients-stack")["Stacks"][0]["Outputs"]
    assert {"OutputKey": "Bucket", "OutputValue": BUCKET} in outputs, outputs


@check("iam")
def a_role_comes_back():
    iam = client("iam")
    assert iam.get_role(RoleName="clients-job")["Role"]["AssumeRolePolicyDocument"]["Version"] == "2012-10-17"
    assert "Statement" in iam.get_role_policy(RoleName="clients-job", PolicyName="own")["PolicyDocument"]


@check("bedrock", "s3")
def a_batch_job_runs():
    bedrock, s3, name = client("bedrock"), client("s3"), fresh("boto")
    record = {"modelInput": {"messages": [{"role": "user", "content": [{"text": "hello"}]}], "inferenceConfig": {"maxTokens": 20}}}
    lines = [json.dumps({"recordId": f"r{i}", **record}) for i in range(100)]
    s3.put_object(Bucket=BUCKET, Key=f"boto/{name}/in/records.jsonl", Body="\n".join(lines).encode())
    arn = bedrock.create_model_invocation_job(
        jobName=name, modelId="us.amazon.nova-lite-v1:0", roleArn=os.environ["BB_JOB_ROLE_ARN"],
        inputDataConfig={"s3InputDataConfig": {"s3Uri": f"s3://{BUCKET}/boto/{name}/in/"}},
        outputDataConfig={"s3OutputDataConfig": {"s3Uri": f"s3://{BUCKET}/boto/{name}/out/"}},
    )["jobArn"]
    limit = time.monotonic() + 60
    while (job := bedrock.get_model_invocation_job(jobIdentifier=arn))["status"] not in ("Completed", "Failed"):
        assert time.monotonic() < limit, job["status"]
        time.sleep(0.1)
    assert job["status"] == "Completed", job
    out = s3.get_object(Bucket=BUCKET, Key=f"boto/{name}/out/{arn.rsplit('/', 1)[1]}/records.jsonl.out")["Body"].read()
    assert len(out.splitlines()) == 100


@check("bedrock-runtime")
def converse_answers():
    out = client("bedrock-runtime").converse(modelId="us.amazon.nova-lite-v1:0", messages=[{"role": "user", "content": [{"text": "hello"}]}])
    assert out["output"]["message"]["content"][0]["text"], out


@check("lambda", "cloudwatch", "logs")
def a_line_of_a_log_is_a_metric():
    functions, cloudwatch, logs = client("lambda"), client("cloudwatch"), client("logs")
    name = os.environ["BB_FUNCTION_NAME"]
    functions.invoke(FunctionName=name, Payload=b'{"count":true}')
    found = [m for page in cloudwatch.get_paginator("list_metrics").paginate(Namespace="Clients") for m in page["Metrics"]]
    assert [m["MetricName"] for m in found] == ["Echoes"], found
    now = datetime.datetime.now(datetime.timezone.utc)
    points = cloudwatch.get_metric_statistics(
        Namespace="Clients", MetricName="Echoes", Dimensions=found[0]["Dimensions"], Period=3600, Statistics=["Sum"],
        StartTime=now - datetime.timedelta(hours=1), EndTime=now + datetime.timedelta(hours=1))["Datapoints"]
    assert sum(p["Sum"] for p in points) == 3, points
    assert [a["AlarmName"] for a in cloudwatch.describe_alarms()["MetricAlarms"]] == ["clients-errors"]
    events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern="{ $.Echoes = 3 }")["events"]
    assert len(events) == 1, events


known = set(session.get_available_services())
for services, run in checks:
    if not set(services) <= known:
        print(f"boto3 {boto3.__version__} does not know {', '.join(sorted(set(services) - known))}: left out {run.__name__}", file=sys.stderr)
        continue
    error = ""
    try:
        run()
    except Exception:  # whatever it is, it is this check's outcome
        error = traceback.format_exc()
    print(json.dumps({"name": run.__name__.replace("_", " "), "file": "boto.py", "passed": not error, "error": error}), flush=True)
