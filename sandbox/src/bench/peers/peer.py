"""The bridge that one writes in an afternoon: paho-mqtt and boto3. Acknowledges what Lambda has taken, at most THREADS at once."""

import json
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
import paho.mqtt.client as mqtt
from botocore.config import Config

e = os.environ
threads = int(e["PEER_THREADS"])
function = boto3.client("lambda", config=Config(max_pool_connections=threads, retries={"max_attempts": 0}))
pool = ThreadPoolExecutor(threads) if threads > 1 else None


def invoke(client, message):
    event = {"topic": message.topic, "payload": json.loads(message.payload)}
    answer = function.invoke(FunctionName=e["PEER_FUNCTION"], Payload=json.dumps(event, separators=(",", ":")).encode())
    answer["Payload"].read()
    client.ack(message.mid, message.qos)


def received(client, _data, message):
    if pool:
        pool.submit(invoke, client, message)
    else:
        invoke(client, message)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=e["PEER_CLIENT_ID"], clean_session=False, manual_ack=True)
client.tls_set(e["PEER_CA"], e["PEER_CERT"], e["PEER_KEY"])
client.max_inflight_messages_set(65_535)
client.on_message = received
client.on_connect = lambda client, *_: client.subscribe(e["PEER_TOPIC"], qos=1)
client.on_subscribe = lambda *_: print("subscribed", file=sys.stderr, flush=True)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
client.connect(e["PEER_HOST"], int(e["PEER_PORT"]))
client.loop_start()
threading.Event().wait()
