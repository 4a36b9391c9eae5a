"""Judges single values by their kinds: texts, numbers, sizes, times, words of a closed set."""

from __future__ import annotations

from decimal import Decimal

from pipelines import units
from pipelines.findings import BAD, LATER, Findings, Path, name_of, nearest
from pipelines.kinds import Amount, Choice, Number, Only, Text, Whole, matcher
from pipelines.nodes import Node, Scalar, kind
from pipelines.problems import shown

ScalarKind = Text | Amount | Whole | Number | Only | Choice


def such_as(example: str) -> str:
    return f"such as `{example}`"


def check_scalar(node: Node, is_a: ScalarKind, found: Findings, path: Path) -> object:
    if not isinstance(node, Scalar):
        found.add(
            node.at, f"{name_of(path)} must be {_words(is_a)}, not {kind(node)}", f"write one, such as {_example(is_a)}"
        )
        return BAD
    if kind(node) == "empty":
        found.add(
            found.at[path], f"{name_of(path)} has no value", f"give it one, such as {_example(is_a)}, or delete the key"
        )
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
        found.add(node.at, f"{name_of(path)} must be text, not {kind(node)}", private if is_a.rule.private else hint)
        return BAD
    if not matcher(is_a.rule.pattern).fullmatch(node.text):
        what = f"{name_of(path)} must be {is_a.rule.words}"
        found.add(
            node.at, what if is_a.rule.private else f"{what}, not {shown(node.text)}", _text_hint(node.text, is_a)
        )
        return BAD
    return node.text


VENDORS = ("anthropic", "google", "openai", "openai-compatible", "scripted")


def _text_hint(text: str, is_a: Text) -> str:
    if is_a.rule.example != "anthropic/claude-opus-5-5":
        return such_as(is_a.rule.example)
    vendor, slash, model = text.partition("/")
    if slash and model and vendor not in VENDORS:
        meant = nearest(vendor, list(VENDORS))
        known = "vendors: " + ", ".join(VENDORS)
        return f"did you mean {shown(f'{meant}/{model}')}?" if meant else known
    return such_as(is_a.rule.example)


def _amount(node: Scalar, is_a: Amount, found: Findings, path: Path) -> object:
    family = units.UNITS[is_a.family]
    value = units.parse(node.text, is_a.family)
    if value is None:
        right = units.suggest(node.text, is_a.family)
        bare = ", a bare number has none" if kind(node) == "a number" else f", not {shown(node.text)}"
        hint = f"did you mean `{right}`?" if right else such_as(is_a.example)
        found.add(node.at, f"{name_of(path)} must be {family.words}{bare}", hint)
        return BAD
    least = Decimal(is_a.least) if is_a.family != "time" else Decimal("0.001")
    if value < least or value > 10**15 or (is_a.family != "time" and value % 1):
        what = f"{name_of(path)} is too small, too large or no whole number"
        found.add(node.at, f"{what}, {shown(node.text)}", f"at least {units.show(is_a.least, is_a.family)}")
        return BAD
    return float(value) if is_a.family == "time" else int(value)


def _choice(node: Scalar, is_a: Choice, found: Findings, path: Path) -> object:
    if node.text in is_a.values:
        return node.text
    words = "write " + " or ".join(f"`{value}`" for value in is_a.values)
    if node.text in is_a.later:
        found.add(node.at, f"`{_key(path)}: {node.text}` is {LATER}", words)
        return BAD
    meant = nearest(node.text, [*is_a.values, *is_a.later])
    hint = f"did you mean `{meant}`?" if meant else words
    found.add(node.at, f"{name_of(path)} cannot be {shown(node.text)}", hint)
    return BAD


def _number(node: Scalar, is_a: Whole | Number | Only, found: Findings, path: Path) -> object:
    whole = isinstance(is_a, Whole | Only)
    if kind(node) != "a number" or (whole and "." in node.text):
        what = kind(node) if kind(node) != "a number" else "a fraction"
        found.add(
            node.at, f"{name_of(path)} must be {_words(is_a)}, not {what}", f"write one, such as {_example(is_a)}"
        )
        return BAD
    value = Decimal(node.text)
    if isinstance(is_a, Only):
        if value != is_a.value:
            found.add(node.at, f"`{_key(path)}: {node.text[:20]}` is {LATER}", f"write `{is_a.value}`")
            return BAD
        return int(value)
    least = is_a.least if isinstance(is_a, Whole) else 0
    if value < least or value > is_a.most or (isinstance(is_a, Number) and is_a.above and value == 0):
        more = "more than 0" if isinstance(is_a, Number) and is_a.above else f"at least {least}"
        found.add(node.at, f"{name_of(path)} cannot be {shown(node.text)}", f"write {more} and at most {is_a.most}")
        return BAD
    return int(value) if whole else value


def _words(is_a: ScalarKind) -> str:
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


def _example(is_a: ScalarKind) -> str:
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
            return f"`{max(is_a.least, 1)}`"
        case _:
            return "`2.50`"


def _key(path: Path) -> str:
    return name_of(path)[1:-1]
