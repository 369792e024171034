"""A function in Python without any library: reads its event with `json.loads`, and fails each record whose payload is not the
JSON object that it expects."""

import json
import os
import urllib.request

API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"


def handle(event):
    failed = [record for record in event["records"] if not isinstance(record["payload"], dict)]
    return {"batchItemFailures": [{"itemIdentifier": record["id"], "retry": False} for record in failed]}


while True:
    with urllib.request.urlopen(f"{API}/next") as invocation:
        request_id = invocation.headers["Lambda-Runtime-Aws-Request-Id"]
        body = invocation.read()
    try:
        path, answer = "response", handle(json.loads(body))
    except Exception as error:
        path, answer = "error", {"errorType": type(error).__name__, "errorMessage": "the event cannot be read"}
    urllib.request.urlopen(urllib.request.Request(f"{API}/{request_id}/{path}", json.dumps(answer).encode())).close()
