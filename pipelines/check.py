"""Judges a document by the table of `keys.py`: what fits becomes plain values, what does not becomes problems.

A value that does not fit is `BAD` or left out, so that one mistake is told once and the rest is still checked.
"""

from __future__ import annotations

from functools import lru_cache

from pipelines.findings import BAD, LATER, Findings, Path, name_of, nearest
from pipelines.keys import PIPELINE
from pipelines.kinds import Anything, Choice, Either, Key, Kind, ListOf, MapOf, Record, StageKind, Text, matcher
from pipelines.nodes import Items, Node, Pairs, Position, Scalar, kind, plain_value
from pipelines.problems import shown
from pipelines.scalars import check_scalar, such_as


def check(node: Node, is_a: Kind, found: Findings, path: Path = ()) -> object:
    """The value of `node` as its kind has it, or BAD; problems and positions go to `found`."""
    found.at.setdefault(path, node.at)
    match is_a:
        case Record():
            return _record(node, is_a, found, path)
        case StageKind():
            return _stage(node, is_a, found, path)
        case MapOf():
            return _map(node, is_a, found, path)
        case ListOf():
            return _list(node, is_a, found, path)
        case Either():
            return _either(node, is_a, found, path)
        case Anything():
            return plain_value(node)
        case _:
            return check_scalar(node, is_a, found, path)


def _key_at(key: Scalar, value: Node) -> Position:
    return value.at if isinstance(value, Scalar) and (value.text or not value.plain) else key.at


def _record(node: Node, is_a: Record, found: Findings, path: Path) -> object:
    if not isinstance(node, Pairs):
        found.add(node.at, f"{name_of(path)} must be a mapping, not {kind(node)}", f"write it as {shown(is_a.example)}")
        return BAD
    keys = {key.name: key for key in is_a.keys}
    values: dict[str, object] = {}
    meant: set[str] = set()
    for key, value in node.pairs:
        known = keys.get(key.text)
        if known is None:
            meant.add(_unknown(key, keys, found, path))
        else:
            meant.add(known.name)
            _take(key, value, known, values, found, path)
    for required in is_a.keys:
        if required.required and required.name not in meant:
            example = f"`version: {PIPELINE_VERSION}`" if required.name == "version" else f"`{required.name}:`"
            found.add(found.at[path], f"{name_of(path)} has no `{required.name}`", f"add {example} ({required.doc})")
    return values


PIPELINE_VERSION = 1


def _take(key: Scalar, value: Node, known: Key, values: dict[str, object], found: Findings, path: Path) -> None:
    """Check one known key; its value goes to `values` when it fits."""
    here = (*path, known.name)
    found.at[here] = _key_at(key, value)
    if known.kind is None:
        found.add(key.at, f"`{known.name}` is {LATER}", "delete the key")
        return
    checked = check(value, known.kind, found, here)
    if checked is not BAD:
        values[known.name] = checked


def _unknown(key: Scalar, siblings: dict[str, Key], found: Findings, path: Path) -> str:
    """Tell of an unknown key; the key that was probably meant, else the empty string."""
    meant = nearest(key.text, list(siblings))
    where = f" in {name_of(path)}" if path else ""
    if meant is not None:
        hint = f"did you mean `{meant}`?"
    elif key.text in places():
        hint = f"it belongs {places()[key.text]}"
    else:
        hint = "known here: " + ", ".join(name for name, known in siblings.items() if known.kind is not None)
    found.add(key.at, f"unknown key {shown(key.text)}{where}", hint)
    return meant or ""


@lru_cache(maxsize=1)
def places() -> dict[str, str]:
    """Where each key of the language belongs, in words."""
    known: dict[str, str] = {}

    def walk(is_a: Kind | None, where: str) -> None:
        match is_a:
            case Record(keys=keys):
                for key in keys:
                    known.setdefault(key.name, where)
                    walk(key.kind, f"under `{key.name}`")
            case StageKind(verbs=verbs):
                for verb, options in verbs:
                    for key in (verb, *options):
                        known.setdefault(key.name, "to a stage" if key is verb else f"to the stage `{verb.name}`")
            case ListOf(item=item):
                walk(item, where)
            case MapOf(value=value):
                walk(value, where.replace("under", "to one of the"))
            case _:
                pass

    walk(PIPELINE, "at the top of the file")
    return known


def _stage(node: Node, is_a: StageKind, found: Findings, path: Path) -> object:
    if not isinstance(node, Pairs):
        found.add(node.at, f"a stage must be a mapping, not {kind(node)}", f"write it as {shown(is_a.example)}")
        return BAD
    options = {verb.name: {key.name: key for key in (*is_a.common, verb, *keys)} for verb, keys in is_a.verbs}
    verbs = [key for key, _ in node.pairs if key.text in options]
    if len(verbs) > 1:
        found.add(verbs[1].at, f"a stage has two verbs, `{verbs[0].text}` and `{verbs[1].text}`", "make two stages")
        return BAD
    verb = verbs[0].text if verbs else ""
    all_keys = {name for keys in options.values() for name in keys}
    known = options.get(verb, {name: key for keys in options.values() for name, key in keys.items()})
    values: dict[str, object] = {"verb": verb} if verb else {}
    meant = {verb}
    for key, value in node.pairs:
        if key.text in known:
            _take(key, value, known[key.text], values, found, path)
        elif key.text in all_keys:
            found.add(key.at, f"`{key.text}` does not belong to `{verb}`", f"it belongs {places()[key.text]}")
        else:
            meant.add(_unknown(key, known, found, path))
    if not verb and not meant & set(options):
        found.add(node.at, "a stage without a verb", "give it one of: " + ", ".join(options))
    return values if verb else BAD


def _map(node: Node, is_a: MapOf, found: Findings, path: Path) -> object:
    if not isinstance(node, Pairs):
        found.add(node.at, f"{name_of(path)} must be a mapping, not {kind(node)}", "write `name: value` pairs")
        return BAD
    values: dict[str, object] = {}
    for key, value in node.pairs:
        if not matcher(is_a.key.pattern).fullmatch(key.text):
            found.add(
                key.at, f"{shown(key.text)} in {name_of(path)} must be {is_a.key.words}", such_as(is_a.key.example)
            )
        here = (*path, key.text)
        found.at[here] = _key_at(key, value)
        values[key.text] = check(value, is_a.value, found, here)
    if len(values) < is_a.least:
        found.add(found.at[path], f"{name_of(path)} is empty", "name at least one")
        return BAD
    return values


def _list(node: Node, is_a: ListOf, found: Findings, path: Path) -> object:
    if is_a.or_one and isinstance(node, Scalar) and kind(node) != "empty":
        node = Items((node,), node.at)
    if not isinstance(node, Items):
        found.add(node.at, f"{name_of(path)} must be a list, not {kind(node)}", "write `[first, second]`")
        return BAD
    values: list[object] = []
    seen: set[str] = set()
    for place, item in enumerate(node.items):
        found.at[(*path, place)] = item.at
        if is_a.unique and isinstance(item, Scalar) and item.text in seen:
            found.add(item.at, f"{shown(item.text)} stands twice in {name_of(path)}", "delete one")
        seen.add(item.text if isinstance(item, Scalar) else "")
        values.append(check(item, is_a.item, found, (*path, place)))
    if len(values) < is_a.least:
        found.add(found.at[path], f"{name_of(path)} is empty", "name at least one")
        return BAD
    return values


def _either(node: Node, is_a: Either, found: Findings, path: Path) -> object:
    if not isinstance(node, Pairs):
        return check(node, is_a.scalar, found, path)
    if is_a.mapping is not None:
        return check(node, is_a.mapping, found, path)
    later = [key for key, _ in node.pairs if key.text in is_a.later]
    if later:
        found.add(later[0].at, f"`{later[0].text}` in {name_of(path)} is {LATER}", _plain_form(is_a.scalar))
    else:
        found.add(node.at, f"{name_of(path)} must not be a mapping", _plain_form(is_a.scalar))
    return BAD


def _plain_form(scalar: Kind) -> str:
    if isinstance(scalar, Choice):
        return "write " + " or ".join(f"`{value}`" for value in scalar.values)
    return f"write a text, such as `{scalar.rule.example}`" if isinstance(scalar, Text) else "write a text"
