"""A function in Python as Lambda starts it: imports, clients, the first request
for an invocation. The clients are those that Debian's boto3 has of the ones that
the product's functions open; theirs open bedrock and bedrock-runtime as well."""
import http.client
import json
import os

import boto3

clients = [boto3.client(name) for name in ("s3", "sqs", "sns")]


def handler(event):
    return json.dumps(event)


connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
connection.request("GET", "/2018-06-01/runtime/invocation/next")
handler(json.load(connection.getresponse()))
