"""The part of JSON Schema 2020-12 that schema.json uses, so that tests need no library for it."""

import re
from typing import Any


def valid(value: Any, schema: dict[str, Any]) -> bool:
    """Whether `value` (of JSON) is valid; every keyword that is not known here is an error of the test."""
    return all(CHECKS[word](value, schema) for word in schema if word not in NOTES)


NOTES = {"$schema", "title", "description", "examples"}
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
}


def _typed(value: Any, schema: dict[str, Any]) -> bool:
    return isinstance(value, TYPES[schema["type"]]) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _additional(value: Any, schema: dict[str, Any]) -> bool:
    more = [inner for key, inner in value.items() if key not in schema.get("properties", {})] if _is(value) else []
    return (
        not more
        if schema["additionalProperties"] is False
        else all(valid(inner, schema["additionalProperties"]) for inner in more)
    )


def _is(value: Any) -> bool:
    return isinstance(value, dict)


def _matches(pattern: str, value: str) -> bool:
    # In ECMA-262 `$` is the very end; Python's also stands before a last line feed.
    return re.search(pattern.removesuffix("$") + r"\Z", value) is not None


def _equal(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


CHECKS = {
    "type": _typed,
    "const": lambda v, s: _equal(v, s["const"]),
    "enum": lambda v, s: any(_equal(v, each) for each in s["enum"]),
    "pattern": lambda v, s: not isinstance(v, str) or _matches(s["pattern"], v),
    "minimum": lambda v, s: not _number(v) or v >= s["minimum"],
    "maximum": lambda v, s: not _number(v) or v <= s["maximum"],
    "exclusiveMinimum": lambda v, s: not _number(v) or v > s["exclusiveMinimum"],
    "items": lambda v, s: not isinstance(v, list) or all(valid(each, s["items"]) for each in v),
    "minItems": lambda v, s: not isinstance(v, list) or len(v) >= s["minItems"],
    "uniqueItems": lambda v, s: not isinstance(v, list) or not any(e in v[:n] for n, e in enumerate(v)),
    "properties": lambda v, s: (
        not _is(v) or all(valid(v[key], inner) for key, inner in s["properties"].items() if key in v)
    ),
    "required": lambda v, s: not _is(v) or all(key in v for key in s["required"]),
    "additionalProperties": _additional,
    "propertyNames": lambda v, s: not _is(v) or all(valid(key, s["propertyNames"]) for key in v),
    "minProperties": lambda v, s: not _is(v) or len(v) >= s["minProperties"],
    "anyOf": lambda v, s: any(valid(v, each) for each in s["anyOf"]),
    "oneOf": lambda v, s: sum(valid(v, each) for each in s["oneOf"]) == 1,
    "not": lambda v, s: not valid(v, s["not"]),
}
