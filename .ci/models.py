"""Makes the typed models of examples/ from event/schema.json, and gives each folder the event that its tests take: `models.py` checks that
they are fresh, `models.py --update` writes them."""

import json
import pathlib
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEFS = json.loads((ROOT / "event/schema.json").read_text())["$defs"]
MADE = "Made from event/schema.json by .ci/models.py; not to be changed by hand."
PYTHON = {"string": "str", "boolean": "bool"}


def reference(schema):
    return schema["$ref"].rsplit("/", 1)[1] if "$ref" in schema else None


def values(schema):
    return [schema["const"]] if "const" in schema else schema.get("enum")


def pairs(schema):
    return schema.get("type") == "array" and schema["items"].get("minItems") == 2


def python_type(schema):
    if name := reference(schema):
        return name
    if values(schema):
        return f"Literal[{', '.join(json.dumps(value) for value in values(schema))}]"
    if pairs(schema):
        return "list[list[str]]"
    if schema.get("type") == "array":
        return f"list[{python_type(schema['items'])}]"
    return PYTHON.get(schema.get("type"), "Any")


def typescript_type(schema):
    if name := reference(schema):
        return name
    if values(schema):
        return " | ".join(json.dumps(value) for value in values(schema))
    if pairs(schema):
        return "[name: string, value: string][]"
    if schema.get("type") == "array":
        return f"{typescript_type(schema['items'])}[]"
    return schema.get("type", "unknown")


def told(schema):
    return schema.get("description") or DEFS[reference(schema)]["description"]


def python():
    # A name is defined before it is used.
    order = ["Encoding", "Record", "Event", "ItemFailure", "Publish", "Reply", "Response"]
    assert set(order) == set(DEFS)
    lines = [f'"""The event that the MQTT bridge sends, and the response that it reads. {MADE}"""', "", "from typing import Any, Literal, NotRequired, TypedDict"]
    for name in order:
        schema = DEFS[name]
        if values(schema):
            lines += ["", *wrapped("# ", schema["description"]), f"{name} = {python_type(schema)}"]
            continue
        lines += ["", "", f"class {name}(TypedDict):", *wrapped('    """', schema["description"], '"""'), ""]
        for field, kind in schema["properties"].items():
            written = python_type(kind) if field in schema.get("required", []) else f"NotRequired[{python_type(kind)}]"
            lines += [*wrapped("    # ", told(kind)), f"    {field}: {written}"]
    return "\n".join(lines) + "\n"


def wrapped(begin, text, end=""):
    follow = begin if begin.strip() == "#" else " " * (len(begin) - len(begin.lstrip()))
    return textwrap.wrap(text + end, 110, initial_indent=begin, subsequent_indent=follow)


def typescript():
    lines = [f"// The event that the MQTT bridge sends, and the response that it reads. {MADE}"]
    for name, schema in DEFS.items():
        lines += ["", f"/** {schema['description']} */"]
        if values(schema):
            lines.append(f"export type {name} = {typescript_type(schema)};")
            continue
        lines.append(f"export interface {name} {{")
        for field, kind in schema["properties"].items():
            mark = "" if field in schema.get("required", []) else "?"
            lines += [f"  /** {told(kind)} */", f"  {field}{mark}: {typescript_type(kind)};"]
        lines.append("}")
    return "\n".join(lines) + "\n"


MODELS = {"examples/function-python/mqtt_event.py": python(), "examples/function-typescript/mqtt-event.d.ts": typescript()}
# A folder that was copied has no fixtures beside it.
EVENT = (ROOT / "event/fixtures/event.json").read_text()
EVENTS = {f"examples/function-{language}/event.json": EVENT for language in ("minimal", "python", "typescript")}

for path, text in {**MODELS, **EVENTS}.items():
    file = ROOT / path
    if sys.argv[1:] == ["--update"]:
        file.write_text(text)
    elif not file.exists() or file.read_text() != text:
        sys.exit(f"error: {path}: not what event/ makes; run python3 .ci/models.py --update")
    else:
        print(f"ok: {path} is fresh")
