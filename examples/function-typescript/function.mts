// A function for the MQTT bridge, in TypeScript without any dependency at run time: takes readings, and answers record by record.
// Copy this folder to begin one of your own: `take` is where it goes.

import type { Event, ItemFailure, Record, Response } from "./mqtt-event.d.ts";

/** No further attempt can help: the record goes to the failure destination at once. */
class Refused extends Error {}

export const handler = async (event: Event): Promise<Response> => {
  const failures: ItemFailure[] = [];
  for (const record of event.records) {
    try {
      await take(record);
    } catch (error) {
      failures.push(
        error instanceof Refused
          ? { itemIdentifier: record.id, retry: false, reason: error.message }
          : // The bridge sends this record again, by its own policy, and no other.
            { itemIdentifier: record.id, reason: error instanceof Error ? error.name : "unknown" },
      );
    }
  }
  return { batchItemFailures: failures };
};

/** Does with one message what the function is for. */
async function take(record: Record): Promise<void> {
  const reading = record.encoding === "json" ? record.payload : undefined;
  if (typeof reading !== "object" || reading === null || Array.isArray(reading)) throw new Refused("payload: no JSON object");
  const temperature = "temperature" in reading ? reading.temperature : undefined;
  if (typeof temperature !== "number" || !Number.isFinite(temperature)) throw new Refused("temperature: not a finite number");
  console.log(JSON.stringify({ id: record.id, topic: record.topic.toString(), temperature }));
}

/** The bytes that the device published, but for JSON, of which this is another spelling. */
export function published(record: Record): Buffer {
  if (record.encoding === "base64") return Buffer.from(String(record.payload), "base64");
  if (record.encoding === "text") return Buffer.from(String(record.payload));
  return Buffer.from(JSON.stringify(record.payload));
}
