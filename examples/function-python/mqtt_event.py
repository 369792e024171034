"""The event that the MQTT bridge sends, and the response that it reads. Made from event/schema.json by .ci/models.py; not to be changed by hand."""

from typing import Any, Literal, NotRequired, TypedDict

# How a payload stands for bytes: as the JSON that it is, as text in a string, or as a string of base64 with
# padding (RFC 4648, section 4).
Encoding = Literal["json", "text", "base64"]


class Record(TypedDict):
    """A message inside an event."""

    # The same over every retry of a delivery; what `itemIdentifier` names.
    id: str
    # The topic the message was published to.
    topic: str
    # The quality of service it was delivered with.
    qos: Literal[0, 1, 2]
    # Whether the broker sent it as a retained message.
    retain: bool
    # Whether the broker marked it as sent before.
    dup: bool
    # When the bridge received it: RFC 3339 in UTC, to the millisecond.
    receivedAt: str
    # MQTT 5 user properties, pairs of name and value in the publisher's order; a name may appear more than
    # once.
    userProperties: NotRequired[list[list[str]]]
    # MQTT 5 Content Type.
    contentType: NotRequired[str]
    # MQTT 5 Response Topic.
    responseTopic: NotRequired[str]
    # MQTT 5 Correlation Data, in base64.
    correlationData: NotRequired[str]
    # The mapping's topic filter that the message came by.
    subscription: NotRequired[str]
    # How the payload was compressed when it was published, where the bridge has decompressed it.
    decompressed: NotRequired[Literal["gzip", "zstd"]]
    # The span of the bridge that this message is in, as a `traceparent` of W3C Trace Context: the parent of
    # what the function does with it. Only where the bridge has traces.
    traceparent: NotRequired[str]
    # The payload, as `encoding` says.
    payload: Any
    # How a payload stands for bytes: as the JSON that it is, as text in a string, or as a string of base64
    # with padding (RFC 4648, section 4).
    encoding: Encoding


class Event(TypedDict):
    """What one invocation carries: the records of one batch."""

    # Always `mqtt`.
    eventSource: Literal["mqtt"]
    # The name of the mapping that sent the event.
    mapping: str
    # The messages, in receive order.
    records: list[Record]


class ItemFailure(TypedDict):
    """One record that failed."""

    # The `id` of the record.
    itemIdentifier: str
    # `false` sends the record to the failure destination without another attempt.
    retry: NotRequired[bool]
    # Why, for the dead letter and the log. Must not hold secrets.
    reason: NotRequired[str]


class Publish(TypedDict):
    """A message that the function wants published, honoured only for topics that the mapping allows."""

    # The `id` of the record it is about, if it is about one.
    itemIdentifier: NotRequired[str]
    # Where to: a topic name without wildcards. `{topic[1]}` stands for that level of the record's own topic,
    # counted from 0.
    topic: str
    # What: as in a record, read by `encoding`.
    payload: Any
    # How a payload stands for bytes: as the JSON that it is, as text in a string, or as a string of base64
    # with padding (RFC 4648, section 4).
    encoding: NotRequired[Encoding]
    # 0 or 1; the mapping's own when absent.
    qos: NotRequired[Literal[0, 1]]
    # Whether the broker shall keep it for later subscribers.
    retain: NotRequired[bool]


class Reply(TypedDict):
    """An answer to one record, published to its `responseTopic` with its `correlationData`, where the mapping
    says so."""

    # The `id` of the record it answers.
    itemIdentifier: str
    # What: as in a record, read by `encoding`.
    payload: Any
    # How a payload stands for bytes: as the JSON that it is, as text in a string, or as a string of base64
    # with padding (RFC 4648, section 4).
    encoding: NotRequired[Encoding]


class Response(TypedDict):
    """What the function answers. `{}` and `null` both mean that every record succeeded."""

    # The records that failed; all others succeeded. The shape of AWS's own partial batch responses.
    batchItemFailures: NotRequired[list[ItemFailure]]
    # Messages to publish before the records are acknowledged.
    publish: NotRequired[list[Publish]]
    # Answers to the publishers of records, sent before the records are acknowledged.
    reply: NotRequired[list[Reply]]
