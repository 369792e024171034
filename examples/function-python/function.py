"""A function for the MQTT bridge, in Python without any dependency: takes readings, and answers record by record.

Copy this folder to begin one of your own: `take` is where it goes.
"""

import base64
import json
import math

from mqtt_event import Event, ItemFailure, Record, Response


class Refused(Exception):
    """No further attempt can help: the record goes to the failure destination at once."""


def handler(event: Event, context: object) -> Response:
    failures: list[ItemFailure] = []
    for record in event["records"]:
        try:
            take(record)
        except Refused as reason:
            failures.append({"itemIdentifier": record["id"], "retry": False, "reason": str(reason)})
        except Exception as error:
            # The bridge sends this record again, by its own policy, and no other.
            failures.append({"itemIdentifier": record["id"], "reason": type(error).__name__})
    return {"batchItemFailures": failures}


def take(record: Record) -> None:
    """Does with one message what the function is for."""
    if record["encoding"] != "json" or not isinstance(record["payload"], dict):
        raise Refused("payload: no JSON object")
    temperature = record["payload"].get("temperature")
    if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or not math.isfinite(temperature):
        raise Refused("temperature: not a finite number")
    print(json.dumps({"id": record["id"], "topic": record["topic"], "temperature": temperature}))


def published(record: Record) -> bytes:
    """The bytes that the device published, but for JSON, of which this is another spelling."""
    if record["encoding"] == "base64":
        return base64.b64decode(record["payload"], validate=True)
    if record["encoding"] == "text":
        return str(record["payload"]).encode()
    return json.dumps(record["payload"]).encode()
