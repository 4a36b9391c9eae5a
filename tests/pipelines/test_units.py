"""Sizes, tokens and times."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.units import UNITS, Family, parse, show

FAMILIES: st.SearchStrategy[Any] = st.sampled_from(list(UNITS))


@given(st.integers(0, 10**14), FAMILIES)
def test_what_is_shown_is_read_as_the_same_value(value: int, family: Family) -> None:
    """Printing and reading are inverse, for every whole number of bytes, tokens or seconds."""
    assert parse(show(value, family), family) == value


@given(st.from_regex(r"[0-9]{1,9}(\.[0-9]{1,3})?[bskmghdt]", fullmatch=True), FAMILIES)
def test_what_is_read_is_shown_as_the_same_value(text: str, family: Family) -> None:
    """Whatever the spelling, the value stays."""
    value = parse(text, family)
    if value is not None and value < 10**14:
        assert parse(show(value, family), family) == value


@pytest.mark.parametrize(
    ("text", "family", "value"),
    [("4g", "size", 4 * 1024**3), ("1.5k", "tokens", 1500), ("20m", "tokens", 20_000_000), ("90s", "time", 90)],
)
def test_units_mean_what_the_docs_say(text: str, family: Family, value: int) -> None:
    """Powers of 1024 for bytes, of 1000 for tokens."""
    assert parse(text, family) == Decimal(value)


@pytest.mark.parametrize(
    "text", ["", "4", "g", "4G", "4 g", "-4g", "1h30m", "٤g", "1_0g", ".5g", "5.g", "1" * 40 + "g"]
)
def test_other_spellings_are_refused(text: str) -> None:
    """No guessing."""
    assert all(parse(text, family) is None for family in UNITS)
