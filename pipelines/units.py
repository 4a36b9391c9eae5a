"""Sizes, token counts and times with their units, read and printed. Both ways give the same value."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, NamedTuple

Family = Literal["size", "tokens", "time"]

# Digits are bounded, so that no number in a file is slow to read.
AMOUNT = r"[0-9]{1,15}(\.[0-9]{1,9})?"


class Unit(NamedTuple):
    """A family of units: what one of each is worth, from the smallest to the largest."""

    worth: dict[str, int]
    words: str  # what a message asks for
    wrong: dict[str, str]  # spellings that people try

    @property
    def pattern(self) -> str:
        return f"{AMOUNT}[{''.join(self.worth)}]"


UNITS: dict[Family, Unit] = {
    "size": Unit(
        {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4},
        "a size with a unit (b, k, m, g, t: powers of 1024)",
        {"kb": "k", "kib": "k", "mb": "m", "mib": "m", "gb": "g", "gib": "g", "tb": "t", "tib": "t"},
    ),
    "tokens": Unit(
        {"k": 1000, "m": 1000**2},
        "a number of tokens with a unit (k = 1000, m = 1000000)",
        {},
    ),
    "time": Unit(
        {"s": 1, "m": 60, "h": 3600, "d": 86400},
        "a time with a unit (s, m, h, d)",
        {"sec": "s", "secs": "s", "min": "m", "mins": "m", "hr": "h", "hrs": "h", "hours": "h", "hour": "h"}
        | {"minutes": "m", "minute": "m", "seconds": "s", "second": "s", "days": "d", "day": "d"},
    ),
}


def parse(text: str, family: Family) -> Decimal | None:
    """The value in bytes, tokens or seconds; None when `text` is not `<number><unit>`, or parts of a byte or token."""
    unit = UNITS[family]
    amount, letter = text[:-1], text[-1:]
    whole, dot, part = amount.partition(".")
    digits = _are_digits(whole, 15) and (not dot or _are_digits(part, 9))
    if letter not in unit.worth or not digits:
        return None
    value = Decimal(amount) * unit.worth[letter]
    return value if value == value.to_integral_value() or family == "time" else None


def _are_digits(text: str, most: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= most


def suggest(text: str, family: Family) -> str | None:
    """The right spelling of what was probably meant: `4GB` -> `4g`, `1h30m` has none."""
    packed = text.replace(" ", "").replace("_", "").lower()
    amount = packed.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = UNITS[family].wrong.get(packed[len(amount) :], packed[len(amount) :])
    right = amount + unit
    return right if right != text and parse(right, family) is not None else None


def show(value: Decimal | int | float, family: Family) -> str:
    """`value` bytes, tokens or seconds in the largest unit that needs no fraction, else in the smallest."""
    exact = Decimal(str(value))
    worth = UNITS[family].worth
    smallest, base = next(iter(worth.items()))
    for letter, one in reversed(worth.items()):
        if exact and exact % one == 0:
            return f"{int(exact / one)}{letter}"
    return f"{(exact / base).normalize():f}{smallest}"
