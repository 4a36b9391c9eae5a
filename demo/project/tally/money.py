"""Amounts of money as integers in cents: reading, writing, splitting."""

import re

_AMOUNT = re.compile(r"(-?)(\d+)(?:\.(\d{1,2}))?")


class BadAmount(ValueError):
    """A text that is no amount of money."""


def parse(text):
    """The cents of an amount such as `12`, `12.5` or `-0.07`."""
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise BadAmount(f"not an amount: {text!r}")
    sign, whole, fraction = match.groups()
    cents = int(whole) * 100 + int((fraction or "0").ljust(2, "0"))
    return -cents if sign else cents


def format_cents(cents):
    """An amount with two decimals: the reverse of `parse`."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def split(cents, people):
    """The share of each of `people` persons in an amount, as a list."""
    if people < 1:
        raise ValueError("an amount is split among at least one person")
    return [cents // people] * people
