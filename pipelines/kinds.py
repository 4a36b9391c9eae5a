"""The kinds of value that the pipeline language knows. `keys.py` says where each stands, `check.py` judges by them.

Tuples, not dataclasses: three times cheaper to define, and every command that reads a pipeline pays for it.
"""

from __future__ import annotations

from functools import lru_cache
from re import Pattern, compile
from typing import Literal, NamedTuple

from pipelines.units import Family

Verb = Literal["plan", "implement", "test", "review", "approve", "merge"]


class Rule(NamedTuple):
    """A kind of text. The pattern is anchored by its users, and means the same in Python and in JSON Schema."""

    pattern: str
    words: str  # "must be ..."
    example: str
    private: bool = False  # what stands there by mistake may be a secret: messages never repeat it


class Text(NamedTuple):
    """A text of a certain kind."""

    rule: Rule


class Amount(NamedTuple):
    """A number with a unit. `least` in bytes, tokens or seconds."""

    family: Family
    example: str
    least: int = 1


class Whole(NamedTuple):
    """A whole number."""

    least: int
    most: int = 1_000_000


class Number(NamedTuple):
    """A decimal number, kept exact."""

    above: bool = False  # zero itself is too small
    words: str = "a number"
    most: int = 1_000_000


class Only(NamedTuple):
    """A whole number of which this version takes one value."""

    value: int


class Choice(NamedTuple):
    """One of a closed set of words; those in `later` are known and refused."""

    values: tuple[str, ...]
    later: tuple[str, ...] = ()


class ListOf(NamedTuple):
    """A list. With `or_one`, a single item may stand without brackets."""

    item: Kind
    least: int = 0
    or_one: bool = False
    unique: bool = True


class MapOf(NamedTuple):
    """A mapping whose keys the user names."""

    key: Rule
    value: Kind
    least: int = 0


class Record(NamedTuple):
    """A mapping with known keys."""

    keys: tuple[Key, ...]
    example: str


class StageKind(NamedTuple):
    """A mapping with one verb, and the keys of that verb."""

    common: tuple[Key, ...]
    verbs: tuple[tuple[Key, tuple[Key, ...]], ...]
    example: str


class Either(NamedTuple):
    """A scalar kind, or a mapping; None for the mapping that this version does not take."""

    scalar: Kind
    mapping: Record | None
    later: tuple[str, ...] = ()  # the keys of a mapping that is known and refused


class Anything:
    """JSON of any form."""


Kind = Text | Amount | Whole | Number | Only | Choice | ListOf | MapOf | Record | StageKind | Either | Anything


class Key(NamedTuple):
    """A key, what may stand there, what holds without it, and one line for the docs. No kind: not in this version."""

    name: str
    kind: Kind | None
    doc: str
    default: str = ""
    required: bool = False


@lru_cache(maxsize=64)
def matcher(pattern: str) -> Pattern[str]:
    """A rule's pattern, compiled. Used with `fullmatch`."""
    return compile(pattern)
