"""JSON of frozen values: canonical, and clear about what does not fit."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.codec import CodecError, convert, decode, encode, plain


@dataclass(frozen=True)
class Point:
    x: int
    label: str = ""
    price: Decimal | None = None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_a_value_comes_back_as_it_was() -> None:
    """What was written can be read again, money included."""
    point = Point(3, "é", Decimal("0.10"))
    assert encode(point) == '{"label":"é","price":"0.10","x":3}'.encode()
    assert decode(encode(point), Point) == point
    assert convert(plain(point), Point) == point


@given(JSON)
def test_any_json_comes_back_as_it_was(value: Any) -> None:
    """A vendor's own words survive the transcript."""
    assert decode(encode(value, sort_keys=False), Any) == value  # type: ignore[arg-type]


@given(st.dictionaries(st.text(), st.integers(0, 9)))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    """Two equal values have the same bytes, so their hashes are the same."""
    assert encode(value) == encode(dict(reversed(value.items())))


@pytest.mark.parametrize(
    ("data", "told"),
    [(b'{"x":"3"}', "$.x"), (b'{"label":""}', "missing required field `x`"), (b"{", "Point"), (b"\xff", "Point")],
)
def test_a_shape_that_does_not_fit_is_named(data: bytes, told: str) -> None:
    """The error says which type was wanted and what is wrong where."""
    with pytest.raises(CodecError, match="Point") as caught:
        decode(data, Point)
    assert told in str(caught.value)


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    """Models send what no UTF-8 can hold."""
    assert decode(encode({"\ud800": ["a\udfff", 1]}), dict[str, Any]) == {"\ufffd": ["a\ufffd", 1]}


def test_what_json_cannot_say_is_told() -> None:
    """A value of no JSON type is our own error, with its type."""
    with pytest.raises(CodecError, match="object"):
        encode(object())
    with pytest.raises(CodecError, match="Point"):
        convert({"x": None}, Point)


def test_what_is_nested_without_end_is_told() -> None:
    """Neither way it is a crash of ours."""
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(CodecError, match="recursion"):
        encode(deep)
    with pytest.raises(CodecError, match="recursion"):
        decode(b"[" * 100_000, Any)  # type: ignore[arg-type]
