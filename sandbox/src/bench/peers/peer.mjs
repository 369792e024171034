// The bridge that one writes in an afternoon: mqtt.js and the SDK for JavaScript. mqtt.js acknowledges as it hands a message over, so
// what runs is lost with the process; at most CALLS run at once, as a message above waits in its handler.

import { Agent } from "node:http";
import { readFileSync } from "node:fs";
import mqtt from "mqtt";
import { InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { NodeHttpHandler } from "@smithy/node-http-handler";

const e = process.env;
const calls = Number(e.PEER_THREADS);
const httpAgent = new Agent({ keepAlive: true, maxSockets: calls });
const lambda = new LambdaClient({ maxAttempts: 1, requestHandler: new NodeHttpHandler({ httpAgent }) });
const client = mqtt.connect({
  protocol: "mqtts", host: e.PEER_HOST, port: Number(e.PEER_PORT), clientId: e.PEER_CLIENT_ID, clean: false,
  ca: readFileSync(e.PEER_CA), cert: readFileSync(e.PEER_CERT), key: readFileSync(e.PEER_KEY),
});

let running = 0;
const waiting = [];

async function invoke(topic, payload) {
  const event = JSON.stringify({ topic, payload: JSON.parse(payload) });
  await lambda.send(new InvokeCommand({ FunctionName: e.PEER_FUNCTION, Payload: event }));
  running -= 1;
  waiting.shift()?.();
}

client.handleMessage = (packet, taken) => {
  const begin = () => {
    running += 1;
    invoke(packet.topic, packet.payload);
    taken();
  };
  running < calls ? begin() : waiting.push(begin);
};
client.on("connect", () => client.subscribe(e.PEER_TOPIC, { qos: 1 }, () => console.error("subscribed")));
process.on("SIGTERM", () => process.exit(0));
