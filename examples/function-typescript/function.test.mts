// npm test: the function of this folder, with the events that the bridge's own tests use.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { handler, published } from "./function.mjs";
import type { Event } from "./mqtt-event.d.ts";

const event = (): Event => JSON.parse(readFileSync("event.json", "utf8"));

console.log = () => {};

test("readings are taken, and all else is refused, record by record", async () => {
  const { batchItemFailures } = await handler(event());
  assert.deepEqual(
    batchItemFailures?.map(({ itemIdentifier, retry }) => [itemIdentifier.slice(-2), retry]),
    [["-2", false], ["-3", false]],
  );
});

test("a failure of ours is tried again, and says no more than its kind", async () => {
  const broken = event();
  Reflect.deleteProperty(broken.records[0]!, "topic");
  const { batchItemFailures } = await handler(broken);
  assert.deepEqual(batchItemFailures?.[0], { itemIdentifier: broken.records[0]!.id, reason: "TypeError" });
});

test("every encoding gives back its bytes", () => {
  const [json, text, binary] = event().records.map(published);
  assert.equal(JSON.parse(json!.toString()).temperature, 24.5);
  assert.equal(text!.toString(), "21,5 °C\n");
  assert.deepEqual([...binary!], [0x00, 0xff, 0x10, 0x80]);
});
