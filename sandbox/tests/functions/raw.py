"""A function in Python that knows nothing of the bridge: it gets a payload as its event, as from a rule of AWS IoT Core, and
returns what it has seen."""

import json
import os
import urllib.request

API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"

while True:
    with urllib.request.urlopen(f"{API}/next") as invocation:
        request_id = invocation.headers["Lambda-Runtime-Aws-Request-Id"]
        context = json.loads(invocation.headers.get("Lambda-Runtime-Client-Context", "null"))
        seen = {"event": json.loads(invocation.read()), "custom": context and context["custom"]}
    urllib.request.urlopen(urllib.request.Request(f"{API}/{request_id}/response", json.dumps(seen).encode())).close()
