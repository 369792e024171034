"""The AWS side of .ci/function-emulator: makes table and role, then invokes the function and looks into the table.

Asks as another program than the one under test, with boto3.
"""

import json
import sys
import time

import boto3
from botocore.config import Config

# One attempt a call: what is refused shall be seen, not waited for.
CONFIG = Config(retries={"max_attempts": 1}, connect_timeout=5, read_timeout=60)
TABLE = "readings"
FUNCTION = "sensor-handler"
ROLE = "sensor-handler"


def client(service):
    return boto3.client(service, config=CONFIG)


def prepare():
    """Makes the table and the role of docs/function.md, and prints the role's ARN."""
    dynamodb = client("dynamodb")
    wait_for(dynamodb.list_tables)
    table = dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("device_id", "sk")],
        KeySchema=[
            {"AttributeName": "device_id", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
    )["TableDescription"]
    ttl = {"AttributeName": "expires_at", "Enabled": True}
    dynamodb.update_time_to_live(TableName=TABLE, TimeToLiveSpecification=ttl)
    trust = statement(["sts:AssumeRole"], Principal={"Service": "lambda.amazonaws.com"})
    role = client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=trust)["Role"]
    allow(["dynamodb:BatchWriteItem", "dynamodb:PutItem"], table["TableArn"])
    print(role["Arn"])


def wait_for(call, patience=180):
    deadline = time.monotonic() + patience
    while True:
        try:
            return call()
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def statement(actions, **rest):
    allowed = {"Effect": "Allow", "Action": actions, **rest}
    return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})


def allow(actions, resource):
    client("iam").put_role_policy(
        RoleName=ROLE, PolicyName="table", PolicyDocument=statement(actions, Resource=resource)
    )


def check(path):
    """Invokes with the event of the contract, twice, and once more without the permission."""
    with open(path, encoding="utf-8") as file:
        event = json.load(file)
    answer, seconds = invoke(event)
    print(f"first invocation: {seconds * 1000:.0f} ms")
    ids = [record["id"] for record in event["records"]]
    failed = [(failure["itemIdentifier"], failure.get("retry", True)) for failure in answer["batchItemFailures"]]
    expect(failed, [(ids[1], False), (ids[2], False)])
    expect([command["topic"] for command in answer["publish"]], ["devices/C-Client-01/command"])
    stored = items()
    expect(sorted(item["sk"]["S"] for item in stored), [f"2026-11-20T12:00:00.123Z#{ids[0]}", "latest"])
    expect({item["temperature"]["N"] for item in stored}, {"24.5"})

    again, _ = invoke(event)
    expect((again, items()), (answer, stored))
    times = sorted(invoke(event)[1] for _ in range(20))
    print(f"warm invocation: {times[10] * 1000:.0f} ms in the middle of 20")

    allow(["dynamodb:BatchWriteItem"], "arn:aws:dynamodb:us-east-1:000000000000:table/another")
    refused, _ = invoke(event)
    failure = refused["batchItemFailures"][-1]
    expect((failure["itemIdentifier"], failure.get("retry", True)), (ids[0], True))
    expect("AccessDenied" in failure["reason"], True, failure)
    print("ok: items found, a repeat changed nothing, and without its permission nothing is stored")


def invoke(event):
    begun = time.monotonic()
    answer = client("lambda").invoke(FunctionName=FUNCTION, Payload=json.dumps(event))
    seconds = time.monotonic() - begun
    payload = answer["Payload"].read()
    expect(answer.get("FunctionError"), None, payload)
    return json.loads(payload), seconds


def items():
    return client("dynamodb").scan(TableName=TABLE, ConsistentRead=True)["Items"]


def expect(found, expected, context=""):
    if found != expected:
        sys.exit(f"error: expected {expected!r}, found {found!r} {context}")


{"prepare": prepare, "check": check}[sys.argv[1]](*sys.argv[2:])
