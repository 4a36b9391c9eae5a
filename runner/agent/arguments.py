"""Are a tool call's arguments what its schema says? A small checker for the part of JSON Schema that relay's tools use.

Understood: type, properties, required, items, enum, minLength, minItems, minimum. Unknown properties are an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

Schema = Mapping[str, Any]

NAMES: Mapping[str, type[Any]] = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}


def checked(args: Mapping[str, Any], schema: Schema) -> tuple[dict[str, Any], list[str]]:
    """The arguments as the tool takes them, and what is wrong with them: nothing, when the list is empty.

    An optional argument that is null counts as absent, and 3.0 as the integer 3: vendors send both.
    """
    problems: list[str] = []
    found = _checked(dict(args), schema, "", problems)
    return (found if isinstance(found, dict) else {}), problems


def _checked(value: Any, schema: Schema, where: str, problems: list[str]) -> Any:
    kind = schema["type"]
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, NAMES[kind]) or (kind == "integer" and isinstance(value, bool)):
        problems.append(f"{where or 'the arguments'} must be {_article(kind)}, not {_kind_of(value)}")
        return value
    if kind == "object":
        return _object(value, schema, where, problems)
    if kind == "array":
        if len(value) < schema.get("minItems", 0):
            problems.append(f"{where} must not be empty")
        return [_checked(item, schema["items"], f"{where}[{n}]", problems) for n, item in enumerate(value)]
    _plain(value, schema, where, problems)
    return value


def _object(value: dict[str, Any], schema: Schema, where: str, problems: list[str]) -> dict[str, Any]:
    known, required = schema["properties"], schema.get("required", ())
    dot = f"{where}." if where else ""
    result = {}
    for name, item in value.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
            problems.append(f"{dot}{name} is no argument{hint}")
        elif item is not None or name in required:
            result[name] = _checked(item, known[name], f"{dot}{name}", problems)
    problems += [f"{dot}{name} is missing" for name in required if name not in value]
    return result


def _plain(value: Any, schema: Schema, where: str, problems: list[str]) -> None:
    if "enum" in schema and value not in schema["enum"]:
        problems.append(f"{where} must be one of {', '.join(schema['enum'])}, not {value!r}")
    if isinstance(value, str):
        if len(value.strip()) < schema.get("minLength", 0):
            problems.append(f"{where} must not be empty")
        if any("\ud800" <= character <= "\udfff" for character in value):
            problems.append(f"{where} holds half a surrogate pair, which no file and no command can hold")
    elif "minimum" in schema and value < schema["minimum"]:
        problems.append(f"{where} must be at least {schema['minimum']}")


def _article(kind: str) -> str:
    return {"object": "an object", "array": "a list", "integer": "an integer"}.get(kind, f"a {kind}")


def _kind_of(value: Any) -> str:
    for name, kind in (
        ("a boolean", bool),
        ("an object", dict),
        ("a list", list),
        ("a string", str),
        ("null", type(None)),
    ):
        if isinstance(value, kind):
            return name
    return "a number"
