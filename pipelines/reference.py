"""The tables of keys in docs/pipeline.md, made from the table of `keys.py`."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.keys import PIPELINE, REPLIES, TASK_MATTER
from pipelines.kinds import Amount, Choice, Either, Key, Kind, ListOf, MapOf, Number, Only, Record, StageKind, Text
from pipelines.units import UNITS


def reference() -> str:
    """Markdown: a table for each place of the language, then what is known and not in this version."""
    lines: list[str] = []
    for title, keys in _places():
        lines += [f"### {title}", "", "| key | takes | without it | |", "|---|---|---|---|"]
        lines += [_row(key) for key in keys if key.kind is not None]
        lines.append("")
    lines += ["### Not in this version", "", "Known, and refused with these words:", ""]
    lines += [f"- {words}" for words in _later()]
    return "\n".join(lines) + "\n"


def _places() -> Iterator[tuple[str, tuple[Key, ...]]]:
    yield "The file", PIPELINE.keys
    for key in PIPELINE.keys:
        yield from _inside(f"`{key.name}`", key.kind)
    yield "The front matter of a task file", TASK_MATTER.keys
    yield from _inside("A file of scripted replies: each of `replies`", REPLIES.keys[0].kind)


def _inside(title: str, kind: Kind | None) -> Iterator[tuple[str, tuple[Key, ...]]]:
    match kind:
        case Record(keys=keys):
            yield title, keys
            for key in keys:
                if isinstance(key.kind, Record) or (isinstance(key.kind, ListOf) and isinstance(key.kind.item, Record)):
                    yield from _inside(f"{title}: `{key.name}`", key.kind)
        case MapOf(value=Record() as value):
            yield from _inside(f"{title}: each of them", value)
        case ListOf(item=Record() as item):
            yield from _inside(title, item)
        case ListOf(item=StageKind(common=common, verbs=verbs)):
            yield "`stages`: every stage", common
            for verb, more in verbs:
                yield f"`stages`: {verb.name}", (verb, *more)
        case _:
            pass


def _row(key: Key) -> str:
    without = "required" if key.required else key.default or "-"
    return f"| `{key.name}` | {_takes(key.kind)} | {without} | {key.doc} |"


def _takes(kind: Kind | None) -> str:
    match kind:
        case Text(rule=rule):
            return f"{rule.words.split(' (')[0]}, as `{rule.example}`"
        case Amount(family=family, example=example):
            return f"{UNITS[family].words.split(' with')[0]}, as `{example}`"
        case Choice(values=values):
            return ", ".join(f"`{value}`" for value in values)
        case Only(value=value):
            return f"`{value}`"
        case Number(words=words):
            return words
        case ListOf(item=Text() as item):
            return f"a list; each {_takes(item)}"
        case Either(scalar=scalar, mapping=mapping):
            return _takes(scalar) + (", or a mapping" if mapping else "")
        case ListOf():
            return "a list"
        case Record() | MapOf():
            return "a mapping"
        case _:
            return "a whole number"


def _later() -> list[str]:
    """What is known and refused, by the place where it stands."""
    found: list[str] = []

    def walk(kind: Kind | None, where: str) -> None:
        match kind:
            case Record(keys=keys):
                for key in keys:
                    name = f"{where}.{key.name}" if where else key.name
                    found.extend([f"`{name}`: {key.doc}"] if key.kind is None else [])
                    walk(key.kind, name)
            case StageKind(verbs=verbs):
                for verb, more in verbs:
                    walk(Record((verb, *more), ""), where)
            case MapOf(value=value) | ListOf(item=value):
                walk(value, where)
            case Either(scalar=scalar, later=later):
                found.extend(f"`{where}: {{{key}: ...}}`" for key in later if key != "context")
                walk(scalar, where)
            case Choice(later=later):
                found.extend(f"`{where}: {value}`" for value in later)
            case Only(value=value):
                found.append(f"`{where}` other than {value}") if where != "version" else None
            case _:
                pass

    walk(PIPELINE, "")
    return found
