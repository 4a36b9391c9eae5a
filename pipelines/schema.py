"""The JSON Schema of pipeline files, made from the table of `keys.py`. `schema.json` is its output, kept current.

JSON Schema 2020-12. It says what the loader says about form; what needs other files, names or the order of stages is
the loader's alone.
"""

from __future__ import annotations

import json
from pathlib import Path

from pipelines.keys import PIPELINE
from pipelines.kinds import (
    Amount,
    Anything,
    Choice,
    Either,
    Key,
    Kind,
    ListOf,
    MapOf,
    Number,
    Only,
    Record,
    StageKind,
    Text,
    Whole,
)
from pipelines.units import UNITS

SHIPPED = Path(__file__).with_name("schema.json")

Schema = dict[str, object]


def pipeline_schema() -> Schema:
    """The schema of a pipeline file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "relay pipeline",
        **schema_of(PIPELINE),
    }


def schema_text() -> str:
    """What `schema.json` holds."""
    return json.dumps(pipeline_schema(), indent=2) + "\n"


def schema_of(is_a: Kind) -> Schema:
    """The schema of one kind of value."""
    match is_a:
        case Record(keys=keys):
            return _object(keys)
        case StageKind():
            return {"oneOf": [_object((verb, *is_a.common, *more), needed=verb.name) for verb, more in is_a.verbs]}
        case MapOf():
            names = {"pattern": _anchored(is_a.key.pattern)}
            least = {"minProperties": is_a.least} if is_a.least else {}
            return {
                "type": "object",
                "propertyNames": names,
                "additionalProperties": schema_of(is_a.value),
                **least,
            }
        case ListOf():
            return _list(is_a)
        case Either():
            scalar = schema_of(is_a.scalar)
            return scalar if is_a.mapping is None else {"anyOf": [scalar, schema_of(is_a.mapping)]}
        case _:
            return _scalar(is_a)


def _anchored(pattern: str) -> str:
    return f"^(?:{pattern})$"


def _object(keys: tuple[Key, ...], needed: str = "") -> Schema:
    required = [key.name for key in keys if key.required or key.name == needed]
    return {
        "type": "object",
        "properties": {key.name: _property(key) for key in keys},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _property(key: Key) -> Schema:
    if key.kind is None:
        return {"description": f"Not in this version. {key.doc}", "not": {}}
    default = f" Default: {key.default}." if key.default else ""
    return {"description": key.doc + default, **schema_of(key.kind)}


def _list(is_a: ListOf) -> Schema:
    item = schema_of(is_a.item)
    many: Schema = {"type": "array", "items": item}
    if is_a.least:
        many["minItems"] = is_a.least
    if is_a.unique:
        many["uniqueItems"] = True
    return {"anyOf": [item, many]} if is_a.or_one else many


def _scalar(is_a: Kind) -> Schema:
    match is_a:
        case Text(rule=rule):
            return {"type": "string", "pattern": _anchored(rule.pattern)}
        case Amount(family=family, example=example):
            return {"type": "string", "pattern": _anchored(UNITS[family].pattern), "examples": [example]}
        case Whole(least=least, most=most):
            return {"type": "integer", "minimum": least, "maximum": most}
        case Number(above=above, most=most):
            return {"type": "number", "exclusiveMinimum" if above else "minimum": 0, "maximum": most}
        case Only(value=value):
            return {"const": value}
        case Choice(values=values):
            return {"enum": list(values)}
        case Anything():
            return {}
        case _:
            raise TypeError(is_a)
