"""A YAML document as values with positions: what `load.py` reads and `check.py` judges. Nothing is resolved yet."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

Position = tuple[int, int]  # line and column, from 1

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
MOST_DIGITS = 300  # int() and Decimal stay fast; nobody's budget is longer


class Scalar(NamedTuple):
    """A text. Only a plain one (neither quoted nor a block) can mean a number, a boolean or nothing."""

    text: str
    plain: bool
    at: Position


class Items(NamedTuple):
    """A list."""

    items: tuple[Node, ...]
    at: Position


class Pairs(NamedTuple):
    """A mapping, in the file's order; each key once."""

    pairs: tuple[tuple[Scalar, Node], ...]
    at: Position


Node = Scalar | Items | Pairs


def kind(node: Node) -> str:
    """What a value is, as messages name it. Only `true` and `false` are booleans, only decimal numbers numbers."""
    if isinstance(node, Items):
        return "a list"
    if isinstance(node, Pairs):
        return "a mapping"
    if node.plain and node.text in ("", "~", "null"):
        return "empty"
    if node.plain and node.text in ("true", "false"):
        return "a boolean"
    if node.plain and len(node.text) <= MOST_DIGITS and NUMBER.fullmatch(node.text):
        return "a number"
    return "text"


def plain_value(node: Node) -> object:
    """The value as JSON would have it, for what is free of form: the arguments of a scripted tool call."""
    if isinstance(node, Items):
        return [plain_value(item) for item in node.items]
    if isinstance(node, Pairs):
        return {key.text: plain_value(value) for key, value in node.pairs}
    match kind(node):
        case "empty":
            return None
        case "a boolean":
            return node.text == "true"
        case "a number":
            return float(Decimal(node.text)) if "." in node.text else int(node.text)
        case _:
            return node.text
