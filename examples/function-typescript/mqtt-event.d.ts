// The event that the MQTT bridge sends, and the response that it reads. Made from event/schema.json by .ci/models.py; not to be changed by hand.

/** How a payload stands for bytes: as the JSON that it is, as text in a string, or as a string of base64 with padding (RFC 4648, section 4). */
export type Encoding = "json" | "text" | "base64";

/** What one invocation carries: the records of one batch. */
export interface Event {
  /** Always `mqtt`. */
  eventSource: "mqtt";
  /** The name of the mapping that sent the event. */
  mapping: string;
  /** The messages, in receive order. */
  records: Record[];
}

/** A message inside an event. */
export interface Record {
  /** The same over every retry of a delivery; what `itemIdentifier` names. */
  id: string;
  /** The topic the message was published to. */
  topic: string;
  /** The quality of service it was delivered with. */
  qos: 0 | 1 | 2;
  /** Whether the broker sent it as a retained message. */
  retain: boolean;
  /** Whether the broker marked it as sent before. */
  dup: boolean;
  /** When the bridge received it: RFC 3339 in UTC, to the millisecond. */
  receivedAt: string;
  /** MQTT 5 user properties, pairs of name and value in the publisher's order; a name may appear more than once. */
  userProperties?: [name: string, value: string][];
  /** MQTT 5 Content Type. */
  contentType?: string;
  /** MQTT 5 Response Topic. */
  responseTopic?: string;
  /** MQTT 5 Correlation Data, in base64. */
  correlationData?: string;
  /** The mapping's topic filter that the message came by. */
  subscription?: string;
  /** How the payload was compressed when it was published, where the bridge has decompressed it. */
  decompressed?: "gzip" | "zstd";
  /** The span of the bridge that this message is in, as a `traceparent` of W3C Trace Context: the parent of what the function does with it. Only where the bridge has traces. */
  traceparent?: string;
  /** The payload, as `encoding` says. */
  payload: unknown;
  /** How a payload stands for bytes: as the JSON that it is, as text in a string, or as a string of base64 with padding (RFC 4648, section 4). */
  encoding: Encoding;
}

/** What the function answers. `{}` and `null` both mean that every record succeeded. */
export interface Response {
  /** The records that failed; all others succeeded. The shape of AWS's own partial batch responses. */
  batchItemFailures?: ItemFailure[];
  /** Messages to publish before the records are acknowledged. */
  publish?: Publish[];
  /** Answers to the publishers of records, sent before the records are acknowledged. */
  reply?: Reply[];
}

/** One record that failed. */
export interface ItemFailure {
  /** The `id` of the record. */
  itemIdentifier: string;
  /** `false` sends the record to the failure destination without another attempt. */
  retry?: boolean;
  /** Why, for the dead letter and the log. Must not hold secrets. */
  reason?: string;
}

/** A message that the function wants published, honoured only for topics that the mapping allows. */
export interface Publish {
  /** The `id` of the record it is about, if it is about one. */
  itemIdentifier?: string;
  /** Where to: a topic name without wildcards. `{topic[1]}` stands for that level of the record's own topic, counted from 0. */
  topic: string;
  /** What: as in a record, read by `encoding`. */
  payload: unknown;
  /** How a payload stands for bytes: as the JSON that it is, as text in a string, or as a string of base64 with padding (RFC 4648, section 4). */
  encoding?: Encoding;
  /** 0 or 1; the mapping's own when absent. */
  qos?: 0 | 1;
  /** Whether the broker shall keep it for later subscribers. */
  retain?: boolean;
}

/** An answer to one record, published to its `responseTopic` with its `correlationData`, where the mapping says so. */
export interface Reply {
  /** The `id` of the record it answers. */
  itemIdentifier: string;
  /** What: as in a record, read by `encoding`. */
  payload: unknown;
  /** How a payload stands for bytes: as the JSON that it is, as text in a string, or as a string of base64 with padding (RFC 4648, section 4). */
  encoding?: Encoding;
}
