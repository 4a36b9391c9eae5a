"""Judges a document by the table of `keys.py`: what fits becomes plain values, what does not becomes problems.

A value that does not fit is `BAD` or left out, so that one mistake is told once and the rest is still checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

from pipelines import units
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
    matcher,
)
from pipelines.nodes import Items, Node, Pairs, Position, Scalar, kind, plain_value
from pipelines.problems import Problem, Severity, shown

Path = tuple[str | int, ...]  # keys and list places (from 0) that lead to a value

LATER: Final = "not in this version"


class _Bad:
    def __repr__(self) -> str:
        return "BAD"


BAD: Final = _Bad()


@dataclass
class Findings:
    """What a check has found so far, in one file: the problems, and where each value stands."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    at: dict[Path, Position] = field(default_factory=dict)

    def add(self, at: Position, what: str, hint: str, severity: Severity = "error") -> None:
        self.problems.append(Problem(self.file, at[0], at[1], what, hint, severity))


def nearest(wrong: str, right: list[str]) -> str | None:
    """The name among `right` that was probably meant."""
    found = get_close_matches(wrong.lower().replace("_", "-")[:60], right, n=1, cutoff=0.6)
    return found[0] if found else None


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
            return _scalar(node, is_a, found, path)


def _name(path: Path) -> str:
    """How messages name the value at `path`: by its nearest key."""
    names = [part for part in path if isinstance(part, str)]
    return f"`{names[-1]}`" if names else "the file"


def _key_at(key: Scalar, value: Node) -> Position:
    return value.at if isinstance(value, Scalar) and (value.text or not value.plain) else key.at


def _record(node: Node, is_a: Record, found: Findings, path: Path) -> object:
    if not isinstance(node, Pairs):
        found.add(node.at, f"{_name(path)} must be a mapping, not {kind(node)}", f"write it as {shown(is_a.example)}")
        return BAD
    keys = {key.name: key for key in is_a.keys}
    values: dict[str, object] = {}
    meant: set[str] = set()
    for key, value in node.pairs:
        known = keys.get(key.text)
        if known is None:
            meant.add(_unknown(key, list(keys), found, path))
        else:
            meant.add(known.name)
            _take(key, value, known, values, found, path)
    for required in is_a.keys:
        if required.required and required.name not in meant:
            example = f"`version: {PIPELINE_VERSION}`" if required.name == "version" else f"`{required.name}:`"
            found.add(found.at[path], f"{_name(path)} has no `{required.name}`", f"add {example} ({required.doc})")
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


def _unknown(key: Scalar, siblings: list[str], found: Findings, path: Path) -> str:
    """Tell of an unknown key; the key that was probably meant, else the empty string."""
    meant = nearest(key.text, siblings)
    where = f" in {_name(path)}" if path else ""
    if meant is not None:
        hint = f"did you mean `{meant}`?"
    elif key.text in places():
        hint = f"it belongs {places()[key.text]}"
    else:
        hint = "known here: " + ", ".join(siblings)
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
            meant.add(_unknown(key, list(known), found, path))
    if not verb and not meant & set(options):
        found.add(node.at, "a stage without a verb", "give it one of: " + ", ".join(options))
    return values if verb else BAD


def _map(node: Node, is_a: MapOf, found: Findings, path: Path) -> object:
    if not isinstance(node, Pairs):
        found.add(node.at, f"{_name(path)} must be a mapping, not {kind(node)}", "write `name: value` pairs")
        return BAD
    values: dict[str, object] = {}
    for key, value in node.pairs:
        if not matcher(is_a.key.pattern).fullmatch(key.text):
            found.add(
                key.at, f"{shown(key.text)} in {_name(path)} must be {is_a.key.words}", _such_as(is_a.key.example)
            )
        here = (*path, key.text)
        found.at[here] = _key_at(key, value)
        values[key.text] = check(value, is_a.value, found, here)
    if len(values) < is_a.least:
        found.add(found.at[path], f"{_name(path)} is empty", "name at least one")
        return BAD
    return values


def _list(node: Node, is_a: ListOf, found: Findings, path: Path) -> object:
    if is_a.or_one and isinstance(node, Scalar) and kind(node) != "empty":
        node = Items((node,), node.at)
    if not isinstance(node, Items):
        found.add(node.at, f"{_name(path)} must be a list, not {kind(node)}", "write `[first, second]`")
        return BAD
    values: list[object] = []
    seen: set[str] = set()
    for place, item in enumerate(node.items):
        found.at[(*path, place)] = item.at
        if is_a.unique and isinstance(item, Scalar) and item.text in seen:
            found.add(item.at, f"{shown(item.text)} stands twice in {_name(path)}", "delete one")
        seen.add(item.text if isinstance(item, Scalar) else "")
        values.append(check(item, is_a.item, found, (*path, place)))
    if len(values) < is_a.least:
        found.add(found.at[path], f"{_name(path)} is empty", "name at least one")
        return BAD
    return values


def _either(node: Node, is_a: Either, found: Findings, path: Path) -> object:
    if not isinstance(node, Pairs):
        return check(node, is_a.scalar, found, path)
    if is_a.mapping is not None:
        return check(node, is_a.mapping, found, path)
    later = [key for key, _ in node.pairs if key.text in is_a.later]
    if later:
        found.add(later[0].at, f"`{later[0].text}` in {_name(path)} is {LATER}", _plain_form(is_a.scalar))
    else:
        found.add(node.at, f"{_name(path)} must not be a mapping", _plain_form(is_a.scalar))
    return BAD


def _plain_form(scalar: Kind) -> str:
    if isinstance(scalar, Choice):
        return "write " + " or ".join(f"`{value}`" for value in scalar.values)
    return f"write a text, such as `{scalar.rule.example}`" if isinstance(scalar, Text) else "write a text"


def _such_as(example: str) -> str:
    return f"such as `{example}`"


def _scalar(node: Node, is_a: Text | Amount | Whole | Number | Only | Choice, found: Findings, path: Path) -> object:
    if not isinstance(node, Scalar):
        found.add(node.at, f"{_name(path)} must be {_words(is_a)}, not {kind(node)}", f"write {_example(is_a)}")
        return BAD
    if kind(node) == "empty":
        found.add(found.at[path], f"{_name(path)} has no value", f"write {_example(is_a)}, or delete the key")
        return BAD
    match is_a:
        case Text():
            return _text(node, is_a, found, path)
        case Amount():
            return _amount(node, is_a, found, path)
        case Choice():
            return _choice(node, is_a, found, path)
        case _:
            return _number(node, is_a, found, path)


def _text(node: Scalar, is_a: Text, found: Findings, path: Path) -> object:
    if kind(node) != "text":
        hint = f"put it in quotes: `{shown(node.text)[1:-1]!r}`".replace("'", '"')
        private = "put it in quotes"
        found.add(node.at, f"{_name(path)} must be text, not {kind(node)}", private if is_a.rule.private else hint)
        return BAD
    if not matcher(is_a.rule.pattern).fullmatch(node.text):
        what = f"{_name(path)} must be {is_a.rule.words}"
        found.add(
            node.at, what if is_a.rule.private else f"{what}, not {shown(node.text)}", _text_hint(node.text, is_a)
        )
        return BAD
    return node.text


VENDORS = ("anthropic", "google", "openai", "openai-compatible", "scripted")


def _text_hint(text: str, is_a: Text) -> str:
    if is_a.rule.example != "anthropic/claude-opus-5-5":
        return _such_as(is_a.rule.example)
    vendor, slash, model = text.partition("/")
    if slash and model and vendor not in VENDORS:
        meant = nearest(vendor, list(VENDORS))
        known = "vendors: " + ", ".join(VENDORS)
        return f"did you mean `{meant}`? {known}" if meant else known
    return _such_as(is_a.rule.example)


def _amount(node: Scalar, is_a: Amount, found: Findings, path: Path) -> object:
    family = units.UNITS[is_a.family]
    value = units.parse(node.text, is_a.family)
    if value is None:
        right = units.suggest(node.text, is_a.family)
        bare = ", a bare number has none" if kind(node) == "a number" else f", not {shown(node.text)}"
        hint = f"did you mean `{right}`?" if right else _such_as(is_a.example)
        found.add(node.at, f"{_name(path)} must be {family.words}{bare}", hint)
        return BAD
    least = Decimal(is_a.least) if is_a.family != "time" else Decimal("0.001")
    if value < least or value > 10**15 or (is_a.family != "time" and value % 1):
        what = f"{_name(path)} is too small, too large or no whole number"
        found.add(node.at, f"{what}, {shown(node.text)}", f"at least {units.show(is_a.least, is_a.family)}")
        return BAD
    return float(value) if is_a.family == "time" else int(value)


def _choice(node: Scalar, is_a: Choice, found: Findings, path: Path) -> object:
    if node.text in is_a.values:
        return node.text
    words = "write " + " or ".join(f"`{value}`" for value in is_a.values)
    if node.text in is_a.later:
        found.add(node.at, f"`{node.text}` for {_name(path)} is {LATER}", words)
        return BAD
    meant = nearest(node.text, [*is_a.values, *is_a.later])
    hint = f"did you mean `{meant}`?" if meant else words
    found.add(node.at, f"{_name(path)} cannot be {shown(node.text)}", hint)
    return BAD


def _number(node: Scalar, is_a: Whole | Number | Only, found: Findings, path: Path) -> object:
    whole = isinstance(is_a, Whole | Only)
    if kind(node) != "a number" or (whole and "." in node.text):
        what = kind(node) if kind(node) != "a number" else "a fraction"
        found.add(node.at, f"{_name(path)} must be {_words(is_a)}, not {what}", f"write {_example(is_a)}")
        return BAD
    value = Decimal(node.text)
    if isinstance(is_a, Only):
        if value != is_a.value:
            found.add(node.at, f"{_name(path)} {shown(node.text)} is {LATER}", f"write {is_a.value}")
            return BAD
        return int(value)
    least = is_a.least if isinstance(is_a, Whole) else 0
    if value < least or value > is_a.most or (isinstance(is_a, Number) and is_a.above and value == 0):
        more = "more than 0" if isinstance(is_a, Number) and is_a.above else f"at least {least}"
        found.add(node.at, f"{_name(path)} cannot be {shown(node.text)}", f"write {more} and at most {is_a.most}")
        return BAD
    return int(value) if whole else value


def _words(is_a: Text | Amount | Whole | Number | Only | Choice) -> str:
    match is_a:
        case Text():
            return is_a.rule.words
        case Amount():
            return units.UNITS[is_a.family].words
        case Number():
            return is_a.words
        case Choice():
            return "one of " + ", ".join(is_a.values)
        case _:
            return "a whole number"


def _example(is_a: Text | Amount | Whole | Number | Only | Choice) -> str:
    match is_a:
        case Text():
            return f"`{is_a.rule.example}`"
        case Amount():
            return f"`{is_a.example}`"
        case Choice():
            return f"`{is_a.values[0]}`"
        case Only():
            return f"`{is_a.value}`"
        case Whole():
            return f"a number such as `{max(is_a.least, 1)}`"
        case _:
            return "a number such as `2` or `2.50`"
