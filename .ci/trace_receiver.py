"""Receives OTLP over HTTP, as JSON or as protobuf, and prints each span as a line of JSON. Judges by OpenTelemetry's own .proto files: a
request with an unknown field, or with a value of another type, is answered with 400. The first line says the port.

Argument: the port to listen on; a free one without it."""

import base64
import gzip
import http.server
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

IDS = {"traceId": 16, "spanId": 8, "parentSpanId": 8}


def with_ids(node):
    """OTLP has ids in hexadecimal, where the general mapping of protobuf to JSON has base64."""
    if isinstance(node, list):
        return [with_ids(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {}
    for key, value in node.items():
        if key in IDS:
            raw = bytes.fromhex(value)
            if len(raw) != IDS[key]:
                raise ValueError(f"{key}: {len(raw)} bytes")
            made[key] = base64.b64encode(raw).decode()
        else:
            made[key] = with_ids(value)
    return made


def parsed(kind, body):
    if kind == "application/json":
        return json_format.ParseDict(with_ids(json.loads(body)), ExportTraceServiceRequest())
    if kind == "application/x-protobuf":
        return ExportTraceServiceRequest.FromString(body)
    raise ValueError(f"Content-Type {kind}")


def value(any_value):
    return getattr(any_value, any_value.WhichOneof("value"))


def attributes(all_of_them):
    return {attribute.key: value(attribute.value) for attribute in all_of_them}


def spans(request):
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield {
                    "resource": attributes(resource.resource.attributes),
                    "scope": scope.scope.name,
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": Span.SpanKind.Name(span.kind),
                    "flags": span.flags,
                    "nanoseconds": span.end_time_unix_nano - span.start_time_unix_nano,
                    "start": span.start_time_unix_nano,
                    "status": Status.StatusCode.Name(span.status.code),
                    "attributes": attributes(span.attributes),
                    "links": [{"trace": link.trace_id.hex(), "span": link.span_id.hex()} for link in span.links],
                }


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"]
        try:
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            lines = [json.dumps(span) for span in spans(parsed(kind, body))]
        except Exception as error:
            lines = [json.dumps({"refused": str(error)})]
            self.answer(400, {"code": 3, "message": str(error)})
        else:
            self.answer(200, {})
        for line in lines:
            print(line, flush=True)

    def answer(self, status, body):
        text = b"" if self.headers["Content-Type"] == "application/x-protobuf" else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", self.headers["Content-Type"])
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
