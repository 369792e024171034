"""The same function on AWS Lambda Powertools: its batch processor calls `take` for each record, and what it answers is the
partial batch response that the bridge reads."""

from typing import Any, cast

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from function import take
from mqtt_event import Event, Record


class MqttProcessor(BatchProcessor):
    """Records of the bridge are plain dictionaries, and name themselves by `id`."""

    def __init__(self) -> None:
        # Of the events that Powertools knows, SQS's has the same response. When all have failed Powertools would raise and lose which: the
        # bridge takes a whole batch as well as a part.
        super().__init__(event_type=EventType.SQS, raise_on_entire_batch_failure=False)

    def _to_batch_type(self, record: dict[str, Any], event_type: EventType, model: Any = None) -> Any:
        return record

    def _collect_sqs_failures(self) -> list[dict[str, str]]:
        return [{"itemIdentifier": record["id"]} for record in cast(list[Record], self.fail_messages)]


processor = MqttProcessor()


def take_one(record: Record) -> None:
    take(record)


def handler(event: Event, context: Any) -> Any:
    records = {"Records": event["records"]}
    return process_partial_response(event=records, record_handler=take_one, processor=processor, context=context)
